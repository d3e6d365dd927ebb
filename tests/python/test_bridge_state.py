"""Copies, pickles and state dicts are those of the Python tree."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
import twin
from ptbert import BertConfig
from support import assert_equal

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.fixture(params=twin.CLASSES)
def class_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(tiny_config: BertConfig) -> Any:
    """A sequence classifier that has been called."""
    made = twin.make_pair("BertForSequenceClassification", tiny_config)[0].eval()
    made(IDS)
    return made


def test_meta_model_is_filled_by_loading(tiny_config: BertConfig, model: Any) -> None:
    with torch.device("meta"):
        empty = ptbert.BertForSequenceClassification(tiny_config, 3)
    assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
    assert empty(IDS.to("meta")).device.type == "meta"
    empty.to_empty(device="cpu").load_state_dict(model.state_dict())
    assert_equal(empty.eval()(IDS), model(IDS))


def test_meta_model_takes_assigned_tensors(tiny_config: BertConfig, model: Any) -> None:
    with torch.device("meta"):
        empty = ptbert.BertForSequenceClassification(tiny_config, 3)
    state = model.state_dict()
    empty.load_state_dict(state, assign=True)
    assert_equal(empty.eval()(IDS), model(IDS))
    assert empty.classifier.weight.data_ptr() == state["classifier.weight"].data_ptr()  # type: ignore[union-attr, operator]


def copies_of(model: Any) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return {
        "deepcopy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
        "torch.save": torch.load(file, weights_only=False),
    }


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save"])
def test_copy_is_equal_and_independent(way: str, class_name: str, tiny_config: BertConfig) -> None:
    model, _ = twin.make_pair(class_name, tiny_config)
    model(IDS)
    model.bert.embeddings.requires_grad_(False)
    model.bert.note = "kept"
    model.bert.encoder.layer[0].output.dropout = nn.Identity()
    model.eval()
    other = copies_of(model)[way]
    assert_equal(twin.outputs_of(other, class_name)[0], twin.outputs_of(model, class_name)[0])
    assert other.bert.note == "kept"
    assert not other.bert.embeddings.word_embeddings.weight.requires_grad
    assert isinstance(other.bert.encoder.layer[0].output.dropout, nn.Identity)
    assert not other.training
    before = twin.outputs_of(model, class_name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    assert not torch.equal(twin.outputs_of(other, class_name)[0], before[0])
    assert_equal(twin.outputs_of(model, class_name)[0], before[0])


def test_copy_keeps_hooks_and_tied_weights(tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertForMaskedLM(tiny_config).eval()
    model.bert.encoder.layer[0].register_forward_hook(double_output)
    expected = model(IDS)
    for other in copies_of(model).values():
        assert_equal(other(IDS), expected)
        assert other.cls.predictions.decoder.weight is other.bert.embeddings.word_embeddings.weight


def double_output(node: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return 2 * output


def test_shallow_copy_shares_parts_and_has_its_own_attributes(model: Any) -> None:
    other = copy.copy(model)
    assert_equal(other(IDS), model(IDS))
    assert other.bert is model.bert
    other.dropout = nn.Identity()
    assert_equal(other(IDS), model(IDS))


def test_state_dict_round_trip(class_name: str, tiny_config: BertConfig) -> None:
    model, plain = twin.make_pair(class_name, tiny_config)
    other, _ = twin.make_pair(class_name, tiny_config)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other(IDS)
    assert str(other.load_state_dict(plain.state_dict())) == "<All keys matched successfully>"
    twin.assert_agree(other, model, class_name)


@pytest.mark.parametrize("assign", [False, True])
def test_loading_names_what_does_not_fit(assign: bool, model: Any) -> None:
    state = model.state_dict()
    before = model(IDS)
    state["stranger"] = state.pop("classifier.bias")
    with pytest.raises(
        RuntimeError, match=r'Missing key\(s\) in state_dict: "classifier.bias"'
    ) as e:
        model.load_state_dict(state, assign=assign)
    assert 'Unexpected key(s) in state_dict: "stranger"' in str(e.value)
    missing, unexpected = model.load_state_dict(state, strict=False, assign=assign)
    assert (missing, unexpected) == (["classifier.bias"], ["stranger"])
    assert_equal(model(IDS), before)
    state["classifier.weight"] = torch.zeros(4, 32)
    with pytest.raises(RuntimeError, match=r"size mismatch for classifier\.weight"):
        model.load_state_dict(state, strict=False, assign=assign)


def test_assigned_state_is_used(model: Any) -> None:
    state = {name: 0.5 * tensor for name, tensor in model.state_dict().items()}
    other = copy.deepcopy(model)
    other.load_state_dict(state)
    model.load_state_dict(state, assign=True)
    assert_equal(model(IDS), other(IDS))
