"""Fast paths of models with outputs for each token, and of attention."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import plain_models
from fast_path_support import (
    LENGTHS,
    TOKEN_CLASSES,
    assert_paths_agree,
    linear_rows,
    make_model,
    padded_batch,
    token_labels,
)
from support import assert_close, assert_equal

# Losses that count some tokens only


@given(
    class_name=st.sampled_from(sorted(TOKEN_CLASSES)),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
    gaps=st.booleans(),
    masked=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_losses_of_tokens_agree(
    class_name: str, lengths: list[int], seed: int, gaps: bool, masked: bool
) -> None:
    torch.manual_seed(seed)
    ids, types, mask = padded_batch(lengths)
    if gaps:
        mask[:, 1:] *= torch.randint(0, 2, mask[:, 1:].shape)
    if not masked:
        mask[:] = 1
    labels = token_labels(class_name, mask)
    model = make_model(class_name, dropout=0.0)
    assert_paths_agree(model, ids, types, mask if masked else None, *labels)


@pytest.mark.parametrize("class_name", TOKEN_CLASSES)
def test_losses_of_tokens_agree_under_autocast(class_name: str) -> None:
    model = make_model(class_name, dropout=0.0)
    batch = padded_batch(LENGTHS)
    labels = token_labels(class_name, batch[2])
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(*batch, *labels)
        with plain_models.plain_paths():
            expected = model(*batch, *labels)
    assert loss.dtype == expected.dtype
    assert_close(loss, expected, 0.05)


def test_losses_of_tokens_work_on_labelled_tokens_only() -> None:
    batch = padded_batch(LENGTHS)
    tokens, sequences, positions = sum(LENGTHS), len(LENGTHS), len(LENGTHS) * max(LENGTHS)
    for class_name, extra in (("BertForMaskedLM", []), ("BertForPreTraining", [sequences])):
        model = make_model(class_name).eval()
        labels = token_labels(class_name, batch[2])
        labelled = int((labels[0] >= 0).sum())
        # After the last attention: labelled tokens, and for pre-training first tokens, too.
        expected = {tokens, labelled, *extra, *(n + labelled for n in extra)}
        assert linear_rows(model, *batch, *labels) == expected
        with plain_models.plain_paths():
            assert linear_rows(model, *batch, *labels) == {positions, sequences}
        handle = model.cls.predictions.decoder.register_forward_hook(lambda *_: None)
        assert linear_rows(model, *batch, *labels) == {positions, sequences}
        handle.remove()
        assert linear_rows(model, *batch, *labels) == expected
    model = make_model("BertForTokenClassification").eval()
    assert linear_rows(model, *batch, *token_labels("BertForTokenClassification", batch[2])) == {
        tokens
    }


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertForPreTraining"])
def test_labels_of_padding_and_no_labels_take_the_plain_path(class_name: str) -> None:
    model = make_model(class_name).eval()
    batch = padded_batch(LENGTHS)
    labels = token_labels(class_name, batch[2])
    labels[0][2, 5] = 7  # at padding
    none = [torch.full_like(labels[0], -1), *labels[1:]]
    sequences = [len(LENGTHS)]  # of the pooler
    for some in (labels, none):
        assert linear_rows(model, *batch, *some) == {len(LENGTHS) * max(LENGTHS), *sequences}
        loss = model(*batch, *some)
        with plain_models.plain_paths():
            torch.testing.assert_close(loss, model(*batch, *some), equal_nan=True)
    assert torch.isnan(loss)  # the mean of no values, as in the 2019 library


def test_activation_of_the_user_in_the_head_sees_the_whole_batch() -> None:
    model = make_model("BertForMaskedLM").eval()
    batch = padded_batch(LENGTHS)
    labels = token_labels("BertForMaskedLM", batch[2])
    shapes = []

    def activation(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return nn.functional.gelu(x)

    expected = model(*batch, *labels)
    model.cls.predictions.transform.transform_act_fn = activation
    assert_close(model(*batch, *labels), expected)
    assert shapes == [(4, 7, 32)]


# Work on padding where the caller allows it


def as_list(layers: Tensor | list[Tensor]) -> list[Tensor]:
    return layers if isinstance(layers, list) else [layers]


def run_trunk(model: Any, *inputs: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Hidden states of all layers, pooled output, and gradients of real tokens' sums."""
    layers, pooled = model(*inputs)
    real = inputs[2].bool()
    hidden = torch.stack(as_list(layers))[:, real]
    loss = hidden.square().sum() + pooled.square().sum()
    return hidden.detach(), pooled.detach(), list(torch.autograd.grad(loss, [*model.parameters()]))


@pytest.mark.parametrize("all_layers", [True, False])
def test_skipping_padding_changes_nothing_else(all_layers: bool) -> None:
    trunk = make_model("BertForSequenceClassification", dropout=0.0).bert
    batch = padded_batch(LENGTHS)
    hidden, pooled, gradients = run_trunk(trunk, *batch, all_layers)
    trunk.skip_padding = True
    again, pooled_again, gradients_again = run_trunk(trunk, *batch, all_layers)
    assert_close(again, hidden)
    assert_close(pooled_again, pooled)
    for gradient, expected in zip(gradients_again, gradients, strict=True):
        assert float((gradient - expected).norm()) <= 1e-5 * max(1.0, float(expected.norm()))
    layers, _ = trunk(*batch, all_layers)
    assert len(as_list(layers)) == (2 if all_layers else 1)
    assert not torch.stack(as_list(layers))[:, batch[2] == 0].any()
    assert linear_rows(trunk, *batch) == {sum(LENGTHS), len(LENGTHS)}


def test_models_with_outputs_for_each_token_may_skip_padding() -> None:
    batch = padded_batch(LENGTHS)
    model = make_model("BertForTokenClassification").eval()
    expected = model(*batch)
    model.bert.skip_padding = True
    real = batch[2].bool()
    assert_close(model(*batch)[real], expected[real])
    assert sum(LENGTHS) in linear_rows(model, *batch)
    handle = model.bert.encoder.register_forward_hook(lambda *_: None)
    assert_equal(model(*batch)[~real], expected[~real])  # the plain path
    handle.remove()
    with plain_models.plain_paths():
        assert_close(model(*batch)[~real], expected[~real])
    assert copy.deepcopy(model).bert.skip_padding


# Attention without `output_attentions`


def attention_calls(model: Any, *inputs: Tensor | None) -> int:
    """How many attentions are computed by one kernel."""
    with torch.profiler.profile() as profile:
        model(*inputs)
    return sum(event.name == "aten::scaled_dot_product_attention" for event in profile.events())


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 0.1)]
)
def test_attention_of_one_kernel_gives_the_same(dtype: torch.dtype, atol: float) -> None:
    model = make_model("BertForTokenClassification").eval().to(dtype)
    ids, types, mask = padded_batch(LENGTHS)
    mask[2] = 0  # attends to all positions equally, as in the 2019 library
    for some in (mask, None):
        # In half precision score + -10000 rounds the score away.
        fused = 2 if some is None or dtype != torch.bfloat16 else 0
        with torch.no_grad():
            scores = model(ids, types, some)
            assert attention_calls(model, ids, types, some) == fused
        with plain_models.plain_paths():
            assert_close(scores, model(ids, types, some).detach(), atol)
            assert attention_calls(model, ids, types, some) == 0


def test_attention_of_one_kernel_is_for_inference() -> None:
    model = make_model("BertForTokenClassification").eval()
    batch = padded_batch(LENGTHS)
    assert attention_calls(model, *batch) == 0  # it has no second derivative
    with torch.no_grad():
        assert attention_calls(model.train(), *batch) == 0  # dropout
        model.eval()
        with torch.autocast("cpu", torch.bfloat16):
            scores = model(batch[0])
            assert attention_calls(model, batch[0]) > 0
            with plain_models.plain_paths():
                assert_close(scores, model(batch[0]), 0.1)
        model.output_attentions = True
        assert attention_calls(model, *batch) == 0


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(2, 1, 1, 3, dtype=torch.bool),  # 1 is added
        torch.zeros(2, 1, 1, 3, dtype=torch.long),
        torch.zeros(()),
        torch.tensor([0.0, 0.0, -10000.0]),
        torch.full((2, 1, 1, 3), -torch.inf),  # NaN
    ],
)
def test_masks_of_the_user_mean_the_same(mask: Tensor) -> None:
    layer = make_model("BertForMaskedLM").eval().bert.encoder.layer[0]
    hidden = torch.randn(2, 3, 32)
    with torch.no_grad():
        output = layer(hidden, mask)
        with plain_models.plain_paths():
            expected = layer(hidden, mask)
    torch.testing.assert_close(output, expected, equal_nan=True)
