"""`ptbert.utils.explain` returns the path of each step and its reason."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_models
import ptbert
from fast_path_support import LENGTHS, make_model, padded_batch
from ptbert.utils import Explanation, PathChoice, explain
from support import assert_equal


def choices(model: Any, batch: Any, step: str) -> list[tuple[str, str]]:
    return [(path, reason) for name, path, reason, _ in explain(model, batch) if name == step]


@pytest.fixture
def model() -> Any:
    return make_model("BertForSequenceClassification").eval()


def test_inference(model: Any) -> None:
    with torch.no_grad():
        explanation = explain(model, padded_batch(LENGTHS))
    assert explanation[:2] == (
        PathChoice(
            "padding", "left out", "14 of 28 positions are computed, of 3 different lengths", 1
        ),
        PathChoice("last layer", "where it is used", "4 of 14 tokens", 1),
    )
    # Two layers, three lengths.
    attention = "no gradient is wanted and no weight is dropped"
    assert PathChoice("attention", "one kernel", attention, 6) in explanation
    assert {choice.step for choice in explanation} == {
        "padding",
        "last layer",
        "attention",
        "linear layers",
    }


def test_training() -> None:
    model = make_model("BertForSequenceClassification")
    batch = padded_batch(LENGTHS)
    assert choices(model, batch, "dropout") == [("drawn in parallel", "in float32, on the CPU")]
    assert choices(model, batch, "attention") == [
        ("one operation after the other", "weights are dropped")
    ]
    assert choices(model.double(), batch, "dropout") == [("drawn by torch", "not in float32")]


def test_reasons_to_compute_padding(model: Any) -> None:
    ids, types, mask = padded_batch(LENGTHS)

    def reasons(*inputs: Any) -> list[str]:
        found = choices(model, inputs, "padding")
        assert all(path == "computed" for path, _ in found)
        return [reason for _, reason in found]

    shown = "BertModel returns the states of padding, as `skip_padding` is False"
    assert choices(model.bert, (ids, types, mask), "padding") == [("computed", shown)]
    assert reasons(ids, types, mask * 0.5) == ["the mask holds other values than 0 and 1"]
    hidden_first = mask.clone()
    hidden_first[1, 0] = 0
    assert reasons(ids, types, hidden_first) == ["the mask hides the first token of a row"]
    assert reasons(ids, types, mask.float().requires_grad_()) == ["the mask has a gradient"]
    assert reasons(ids, types, mask, None, torch.ones(4)) == ["there is a head mask"]
    handle = model.bert.pooler.register_forward_hook(lambda *_: None)
    assert reasons(ids, types, mask) == [
        "user code can see intermediate tensors (hook, replaced part, kept output)"
    ]
    handle.remove()
    with plain_models.plain_paths():
        assert reasons(ids, types, mask) == ["enable_fast_paths(False)"]


def test_labels_at_padding() -> None:
    model = make_model("BertForMaskedLM").eval()
    ids, types, mask = padded_batch(LENGTHS)
    labels = torch.full(ids.shape, -1)
    labels[0, 0] = 5
    assert choices(model, (ids, types, mask, labels), "last layer") == [
        ("where it is used", "1 of 14 tokens")
    ]
    labels[0, -1] = 5
    assert choices(model, (ids, types, mask, labels), "padding") == [
        ("computed", "a label stands at padding")
    ]


def test_reasons_for_the_operations_of_attention(model: Any) -> None:
    ids, types, mask = padded_batch(LENGTHS)

    def reason(model: Any, *inputs: Any) -> str:
        ((path, reason),) = choices(model, inputs, "attention")
        assert path == "one operation after the other"
        return reason

    assert reason(model, ids, types, mask).startswith("inputs require gradients")
    with torch.no_grad():
        assert reason(model, ids, types, mask, None, torch.ones(4)) == "there is a head mask"
        attending = ptbert.BertModel(model.config, output_attentions=True)
        assert reason(attending, ids) == "its weights are asked for"
        half = make_model("BertForSequenceClassification").eval().bfloat16().bert
        assert reason(half, ids, types, mask).startswith("the kernel would read this mask")
        dropout = model.bert.encoder.layer[0].attention.self.dropout
        handle = dropout.register_forward_hook(lambda *_: None)
        found = choices(model, (ids, types, mask), "attention")
        assert ("one operation after the other", "dropout is called in Python") in found
        handle.remove()
        with plain_models.plain_paths():
            assert reason(model, ids, types, mask) == "enable_fast_paths(False)"


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_batches_are_what_the_model_is_called_with(model: Any, kind: type) -> None:
    ids, types, mask = padded_batch(LENGTHS)
    names = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
    batch = names if kind is dict else kind(names.values())
    assert choices(model, batch, "last layer") == [("where it is used", "4 of 14 tokens")]
    assert choices(model, ids, "last layer") == [("where it is used", "4 of 28 tokens")]


def test_a_module_that_holds_a_model(model: Any) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Tensor) -> Tensor:
            return self.model(ids) + self.model(ids[:, :3])

    found = choices(Both(), padded_batch(LENGTHS)[0], "last layer")
    assert [reason for _, reason in found] == ["4 of 28 tokens", "4 of 12 tokens"]
    assert explain(nn.Linear(3, 2), torch.ones(1, 3)) == ()
    assert str(Explanation()) == ""


def test_the_text_is_a_table(model: Any) -> None:
    lines = str(explain(model, padded_batch(LENGTHS))).splitlines()
    assert lines[0] == (
        "padding        left out (1x): 14 of 28 positions are computed, of 3 different lengths"
    )
    assert lines[1] == "last layer     where it is used (1x): 4 of 14 tokens"


def test_random_numbers_are_put_back() -> None:
    model = make_model("BertForSequenceClassification")
    batch = padded_batch(LENGTHS)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    explain(model, batch)
    assert_equal(torch.rand(3), expected)


def test_errors_of_the_model_end_the_recording(model: Any) -> None:
    with pytest.raises(ValueError, match="attention_mask"):
        explain(model, (torch.ones(2, 3).long(), None, torch.ones(2, 4)))
    with torch.no_grad():
        assert len(explain(model, padded_batch(LENGTHS))) >= 4


def test_other_threads_are_not_heard(model: Any) -> None:
    def forward(ids: Tensor) -> None:
        thread = threading.Thread(target=model, args=(ids,))
        thread.start()
        thread.join()

    assert explain(forward, padded_batch(LENGTHS)[0]) == ()
