"""Changes that C++ cannot follow raise an error that names the part; they are never ignored."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

import plain_bert
import ptbert
from ptbert import BertConfig
from support import assert_close, assert_equal

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def model(tiny_config: BertConfig) -> Any:
    """A sequence classifier that has been called."""
    made = plain_bert.make_pair("BertForSequenceClassification", tiny_config)[0].eval()
    made(IDS)
    return made


def test_deleted_part_is_missed_only_when_called(class_name: str, tiny_config: BertConfig) -> None:
    model, _ = plain_bert.make_pair(class_name, tiny_config)
    model(IDS)
    pooler = model.bert.pooler
    for removed in (True, False):
        if removed:
            del model.bert.pooler
        else:
            model.bert.pooler = None
        hidden = torch.zeros(1, 3, 32)
        assert model.bert.encoder(hidden)[0].shape == (1, 3, 32)
        for _ in range(2):
            with pytest.raises(AttributeError, match=r"^The model has no module `bert\.pooler`\.$"):
                model(IDS)
            with pytest.raises(AttributeError, match=r"^The model has no module `pooler`\.$"):
                model.bert(IDS)
        model.bert.pooler = pooler
        model(IDS)


@pytest.mark.parametrize(
    ("parent", "name"),
    [
        ("", "bert"),
        ("bert", "embeddings"),
        ("bert.embeddings", "LayerNorm"),
        ("bert", "encoder"),
        ("bert.encoder", "layer"),
        ("bert.encoder.layer.0", "attention"),
        ("bert.encoder.layer.0.attention.self", "query"),
        ("bert.encoder.layer.1.output", "dropout"),
    ],
)
def test_deleted_part_is_named(
    parent: str, name: str, class_name: str, tiny_config: BertConfig
) -> None:
    model, _ = plain_bert.make_pair(class_name, tiny_config)
    expected = plain_bert.outputs_of(model.eval(), class_name)
    node = model.get_submodule(parent)
    part = getattr(node, name)
    for deleted in (True, False):
        if deleted:
            delattr(node, name)
        else:
            setattr(node, name, None)
        for _ in range(2):
            with pytest.raises(AttributeError) as error:
                model(IDS)
            path = f"{parent}.{name}" if parent else name
            assert str(error.value) == f"The model has no module `{path}`."
        setattr(node, name, part)
        assert_equal(plain_bert.outputs_of(model, class_name)[0], expected[0])


@pytest.mark.parametrize("path", ["bert.pooler.dense", "bert.encoder.layer.0.output.LayerNorm"])
def test_deleted_parameter_is_named(path: str, class_name: str, tiny_config: BertConfig) -> None:
    model, _ = plain_bert.make_pair(class_name, tiny_config)
    expected = plain_bert.outputs_of(model.eval(), class_name)
    node = model.get_submodule(path)
    weight = node.weight
    del node.weight
    for _ in range(2):
        with pytest.raises(
            AttributeError, match=rf"^The model has no parameter `{re.escape(path)}\.weight`\.$"
        ):
            model(IDS)
    node.weight = weight
    assert_equal(plain_bert.outputs_of(model, class_name)[0], expected[0])


def test_missing_parameter_may_be_made_good(class_name: str, tiny_config: BertConfig) -> None:
    model, _ = plain_bert.make_pair(class_name, tiny_config)
    expected = plain_bert.outputs_of(model.eval(), class_name)[0]
    dense = model.bert.pooler.dense if hasattr(model, "classifier") else model.qa_outputs
    weight, bias = dense.weight.detach(), dense.bias
    del dense.weight
    with pytest.raises(AttributeError, match=r"^The model has no parameter `.*\.?weight`\.$"):
        model(IDS)
    dense.forward = lambda x: nn.functional.linear(x, weight, bias)
    assert_close(plain_bert.outputs_of(model, class_name)[0], expected)
    del dense.forward
    dense.weight = weight
    assert_close(plain_bert.outputs_of(model, class_name)[0], expected)
    del dense.weight
    hook = dense.register_forward_pre_hook(lambda node, _: setattr(node, "weight", weight))
    assert_close(plain_bert.outputs_of(model, class_name)[0], expected)
    hook.remove()


def set_query(model: Any) -> None:
    model.bert.encoder.layer[0].attention.self.query = nn.Linear(32, 48)


def set_heads(model: Any) -> None:
    model.bert.encoder.layer[1].attention.self.num_attention_heads = 5


def set_weight(model: Any) -> None:
    model.bert.pooler.dense.weight = nn.Parameter(torch.zeros(32, 31))


def unset_weight(model: Any) -> None:
    model.bert.encoder.layer[0].intermediate.dense.weight = None


def set_norm(model: Any) -> None:
    model.bert.encoder.layer[0].output.LayerNorm.weight = nn.Parameter(torch.ones(31))


def set_embeddings(model: Any) -> None:
    model.bert.embeddings.position_embeddings = nn.Embedding(512, 31)


def set_feed_forward(model: Any) -> None:
    model.bert.encoder.layer[1].output.dense = nn.Linear(37, 31)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("change", "path"),
    [
        (set_query, "bert.encoder.layer.0.attention.self"),
        (set_heads, "bert.encoder.layer.1.attention.self"),
        (set_weight, "bert.pooler.dense"),
        (unset_weight, "bert.encoder.layer.0.intermediate.dense"),
        (set_norm, "bert.encoder.layer.0.output.LayerNorm"),
        (set_embeddings, "bert.embeddings"),
        (set_feed_forward, "bert.encoder.layer.1.output"),
    ],
)
def test_part_that_does_not_fit_is_named(
    change: Callable[[Any], None],
    path: str,
    fast: bool,
    class_name: str,
    tiny_config: BertConfig,
) -> None:
    model, _ = plain_bert.make_pair(class_name, tiny_config)
    model.eval()(IDS)
    change(model)
    with nullcontext() if fast else plain_bert.plain_paths():
        for _ in range(2):
            with pytest.raises(RuntimeError, match=rf"\(in `{re.escape(path)}`\)$"):
                model(IDS)


@pytest.mark.parametrize(
    ("name", "head", "width", "labels", "message"),
    [
        ("BertForQuestionAnswering", "qa_outputs", 3, 0, "`qa_outputs` must give 2 scores"),
        ("BertForMultipleChoice", "classifier", 2, 0, "`classifier` must give 1 score"),
        ("BertForSequenceClassification", "classifier", 4, 1, "`classifier` must give 2 scores"),
        ("BertForTokenClassification", "classifier", 4, 2, "`classifier` must give 2 scores"),
    ],
)
def test_head_of_another_width_is_refused(
    name: str, head: str, width: int, labels: int, message: str, tiny_config: BertConfig
) -> None:
    model: Any = getattr(ptbert, name)(tiny_config, *([2] if head == "classifier" else []))
    model(IDS[None] if name == "BertForMultipleChoice" else IDS)
    setattr(model, head, nn.Linear(32, width))
    targets = {0: {}, 1: {"labels": torch.tensor([0, 1])}, 2: {"labels": torch.zeros_like(IDS)}}
    with pytest.raises(ValueError, match=rf"^{message}, but gives {width}\.$"):
        model(IDS[None] if name == "BertForMultipleChoice" else IDS, **targets[labels])


class Returns(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, *inputs: Any) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "classifier",
            None,
            "The output of `classifier` must be a torch.Tensor, but is a NoneType.",
        ),
        (
            "bert.encoder.layer.1",
            (torch.zeros(1),),
            "The output of `bert.encoder.layer.1` must be a torch.Tensor, but is a tuple.",
        ),
        (
            "bert.encoder.layer.0.attention.self",
            (torch.zeros(2, 3, 32), torch.zeros(2, 4, 3, 3)),
            "The output of `bert.encoder.layer.0.attention.self` must have its attentions first, "
            "of 4 dimensions, but has a tensor of 3 there.",
        ),
        (
            "bert.encoder",
            torch.zeros(2, 3, 32),
            "The output of `bert.encoder` must be a list of tensors, but is a Tensor.",
        ),
        (
            "bert.encoder",
            [],
            "The output of `bert.encoder` must hold at least one tensor, but is empty.",
        ),
        (
            "bert.encoder",
            [1],
            "The output of `bert.encoder` must be a torch.Tensor, but is an int.",
        ),
        (
            "bert",
            torch.zeros(2, 32),
            "The output of `bert` must be a tuple of two, but is a Tensor.",
        ),
        (
            "bert",
            (None, [torch.zeros(2, 3, 32)], torch.zeros(2, 32)),
            "The output of `bert` must be a tuple of two, but is a tuple.",
        ),
        (
            "bert",
            (None, None),
            "The output of `bert` must be a list of tensors, but is a NoneType.",
        ),
    ],
)
def test_part_that_returns_something_else_is_named(
    path: str, value: Any, message: str, model: Any
) -> None:
    model.set_submodule(path, Returns(value))
    for _ in range(2):
        with pytest.raises(
            ValueError if isinstance(value, list) and not value else TypeError
        ) as error:
            model(IDS)
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("path", "attribute", "value", "kind", "message"),
    [
        ("dropout", "p", "much", TypeError, "`dropout.p` must be a number, but is a str."),
        (
            "bert.encoder.layer.0.attention.self",
            "num_attention_heads",
            2.0,
            TypeError,
            "`bert.encoder.layer.0.attention.self.num_attention_heads` must be an int, "
            "but is a float.",
        ),
        (
            "bert.encoder.layer.0.attention.self",
            "output_attentions",
            "yes",
            TypeError,
            "`bert.encoder.layer.0.attention.self.output_attentions` must be a bool, but is a str.",
        ),
        (
            "bert.encoder",
            "layer",
            nn.Sequential(nn.Identity()),
            TypeError,
            "`bert.encoder.layer` must be an nn.ModuleList, but is a Sequential.",
        ),
        (
            "bert.encoder",
            "layer",
            nn.ModuleList(),
            ValueError,
            "`bert.encoder.layer` must hold at least one module, but is empty.",
        ),
    ],
)
def test_change_that_the_core_cannot_follow_is_refused(
    path: str, attribute: str, value: Any, kind: type[Exception], message: str, model: Any
) -> None:
    node = model.get_submodule(path)
    before = getattr(node, attribute)
    expected = model(IDS)
    setattr(node, attribute, value)
    for _ in range(2):
        with pytest.raises(kind) as error:
            model(IDS)
        assert str(error.value) == message
    setattr(node, attribute, before)
    assert_equal(model(IDS), expected)
