"""Changes that C++ cannot follow raise an error that names the part; they are never ignored."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_models
import ptbert
from model_cases import flat_outputs
from plain_models import part_of, path_of
from ptbert import BertConfig
from support import assert_close, assert_equal

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def model() -> Any:
    """A sequence classifier that has been called."""
    made = plain_models.make_pair("BertForSequenceClassification")[0].eval()
    made(IDS)
    return made


def test_deleted_part_is_missed_only_when_called(class_name: str, ids: tuple[Tensor, ...]) -> None:
    model, _ = plain_models.make_pair(class_name)
    model(*ids)
    trunk = part_of(model, "trunk")
    name = "pooler" if class_name.startswith("Bert") else "drop"
    path = f"{path_of(model, 'trunk')}.{name}"
    part = getattr(trunk, name)
    for removed in (True, False):
        if removed:
            delattr(trunk, name)
        else:
            setattr(trunk, name, None)
        block = part_of(model, "block")
        given = plain_models.block_inputs(model, 1)
        assert flat_outputs(block(*given))[0].shape == (1, 1, 32)
        for _ in range(2):
            with pytest.raises(
                AttributeError, match=rf"^The model has no module `{re.escape(path)}`\.$"
            ):
                model(*ids)
            with pytest.raises(AttributeError, match=rf"^The model has no module `{name}`\.$"):
                trunk(ids[0])
        setattr(trunk, name, part)
        model(*ids)


PARTS: dict[str, list[str]] = {
    "Bert": [
        "bert",
        "bert.embeddings",
        "bert.embeddings.LayerNorm",
        "bert.encoder",
        "bert.encoder.layer",
        "bert.encoder.layer.0.attention",
        "bert.encoder.layer.0.attention.self.query",
        "bert.encoder.layer.1.output.dropout",
    ],
    "GPT2": [
        "transformer",
        "transformer.wpe",
        "transformer.h",
        "transformer.h.0.attn",
        "transformer.h.0.attn.c_attn",
        "transformer.h.1.mlp.dropout",
        "transformer.ln_f",
        "lm_head",
        "lm_head.decoder",
    ],
    "OpenAIGPT": [
        "transformer.tokens_embed",
        "transformer.h.1.ln_2",
        "transformer.h.0.mlp.c_fc",
        "lm_head.decoder",
        "multiple_choice_head",
        "multiple_choice_head.linear",
    ],
    "TransfoXL": [
        "transformer",
        "transformer.word_emb",
        "transformer.pos_emb",
        "transformer.layers",
        "transformer.layers.0.dec_attn",
        "transformer.layers.0.dec_attn.r_net",
        "transformer.layers.1.pos_ff.CoreNet",
        "crit",
    ],
}


@pytest.mark.parametrize(
    ("class_name", "path"),
    [
        (name, path)
        for name in plain_models.CLASSES
        for family, paths in PARTS.items()
        for path in paths
        if name.startswith(family)
    ],
)
def test_deleted_part_is_named(path: str, class_name: str, ids: tuple[Tensor, ...]) -> None:
    model, _ = plain_models.make_pair(class_name)
    expected = plain_models.outputs_of(model.eval(), class_name)
    parent, _, name = path.rpartition(".")
    node = model.get_submodule(parent)
    part = getattr(node, name)
    for deleted in (True, False):
        if deleted:
            delattr(node, name)
        else:
            setattr(node, name, None)
        for _ in range(2):
            with pytest.raises(AttributeError) as error:
                model(*ids)
            assert str(error.value) == f"The model has no module `{path}`."
        setattr(node, name, part)
        assert_equal(plain_models.outputs_of(model, class_name)[0], expected[0])


@pytest.mark.parametrize("role", ["dense", "norm", "queries", "positions"])
def test_deleted_parameter_is_named(role: str, class_name: str, ids: tuple[Tensor, ...]) -> None:
    model, _ = plain_models.make_pair(class_name)
    expected = plain_models.outputs_of(model.eval(), class_name)
    path = path_of(model, role)
    node = model.get_submodule(path)
    weight = node.weight
    del node.weight
    for _ in range(2):
        with pytest.raises(
            AttributeError, match=rf"^The model has no parameter `{re.escape(path)}\.weight`\.$"
        ):
            model(*ids)
    node.weight = weight
    assert_equal(plain_models.outputs_of(model, class_name)[0], expected[0])


@pytest.mark.parametrize("class_name", plain_models.GPT_CLASSES)
def test_missing_buffer_is_named(ids: tuple[Tensor, ...], class_name: str) -> None:
    model, _ = plain_models.make_pair(class_name)
    attention = part_of(model, "attention")
    mask = attention.bias
    del attention.bias
    for _ in range(2):
        with pytest.raises(
            AttributeError, match=r"^The model has no parameter `transformer\.h\.0\.attn\.bias`\.$"
        ):
            model(*ids)
    attention.register_buffer("bias", None)
    with pytest.raises(TypeError, match=r"^`bias` must be the causal mask, but is None\.$"):
        model(*ids)
    attention.bias = mask
    model(*ids)


def test_missing_parameter_may_be_made_good(class_name: str, ids: tuple[Tensor, ...]) -> None:
    model, _ = plain_models.make_pair(class_name)
    expected = plain_models.outputs_of(model.eval(), class_name)[0]
    dense: Any = {
        "BertForSequenceClassification": lambda: model.bert.pooler.dense,
        "BertForQuestionAnswering": lambda: model.qa_outputs,
    }.get(class_name, lambda: part_of(model, "dense"))()
    weight, bias = dense.weight.detach(), dense.bias
    rows = weight if isinstance(dense, nn.Linear) else weight.t()
    del dense.weight
    with pytest.raises(AttributeError, match=r"^The model has no parameter `.*\.?weight`\.$"):
        model(*ids)
    dense.forward = lambda x: nn.functional.linear(x, rows, bias)
    assert_close(plain_models.outputs_of(model, class_name)[0], expected)
    del dense.forward
    dense.weight = weight
    assert_close(plain_models.outputs_of(model, class_name)[0], expected)
    del dense.weight
    hook = dense.register_forward_pre_hook(lambda node, _: setattr(node, "weight", weight))
    assert_close(plain_models.outputs_of(model, class_name)[0], expected)
    hook.remove()


def set_query(model: Any) -> None:
    plain_models.put(model, "queries", nn.Linear(32, 48))


def set_heads(model: Any) -> None:
    attention = part_of(model, "attention", 1)
    name = "num_attention_heads" if hasattr(model, "bert") else "n_head"
    setattr(attention, name, 5)


def set_weight(model: Any) -> None:
    part_of(model, "dense", 1).weight = nn.Parameter(torch.zeros(33, 31))


def unset_weight(model: Any) -> None:
    part_of(model, "inner").weight = None


def set_norm(model: Any) -> None:
    part_of(model, "norm").weight = nn.Parameter(torch.ones(31))


def set_embeddings(model: Any) -> None:
    transfo_xl = plain_models.family_of(model) == "transfo-xl"
    plain_models.put(model, "words" if transfo_xl else "positions", nn.Embedding(512, 31))


def set_feed_forward(model: Any) -> None:
    dense = part_of(model, "dense", 1)
    inner = dense.in_features if isinstance(dense, nn.Linear) else dense.weight.size(0)
    plain_models.put(model, "dense", nn.Linear(inner, 31), 1)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("change", "role", "block"),
    [
        (set_query, "attention", 0),
        (set_heads, "attention", 1),
        (set_weight, "dense", 1),
        (unset_weight, "inner", 0),
        (set_norm, "norm", 0),
        (set_embeddings, "embeddings", 0),
        (set_feed_forward, "feed_forward", 1),
    ],
)
def test_part_that_does_not_fit_is_named(
    change: Callable[[Any], None],
    role: str,
    block: int,
    fast: bool,
    class_name: str,
    ids: tuple[Tensor, ...],
) -> None:
    model, _ = plain_models.make_pair(class_name)
    model.eval()(*ids)
    change(model)
    if role == "feed_forward" and "GPT" in class_name:
        role = "block"  # which adds its output to the input
    path = path_of(model, role, block)
    with nullcontext() if fast else plain_models.plain_paths():
        for _ in range(2):
            with pytest.raises(RuntimeError, match=rf"\(in `{re.escape(path)}`\)$"):
                model(*ids)


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
def test_part_of_bert_that_returns_something_else_is_named(
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
    ("path", "value", "message"),
    [
        (
            "lm_head",
            None,
            "The output of `lm_head` must be a torch.Tensor, but is a NoneType.",
        ),
        (
            "transformer.h.1",
            torch.zeros(2, 3, 32),
            "The output of `transformer.h.1` must be a tuple of two, but is a Tensor.",
        ),
        (
            "transformer.h.0.attn",
            (torch.zeros(2, 3, 32), None),
            "The output of `transformer.h.0.attn` must be a torch.Tensor, but is a NoneType.",
        ),
        (
            "transformer.h.0.mlp",
            (torch.zeros(2, 3, 32),),
            "The output of `transformer.h.0.mlp` must be a torch.Tensor, but is a tuple.",
        ),
        (
            "transformer",
            torch.zeros(2, 32),
            "The output of `transformer` must be a tuple of two, but is a Tensor.",
        ),
        (
            "transformer",
            (None, []),
            "The output of `transformer` must be a list of tensors, but is a NoneType.",
        ),
        (
            "transformer",
            ([], []),
            "The output of `transformer` must hold at least one tensor, but is empty.",
        ),
    ],
)
def test_part_of_gpt2_that_returns_something_else_is_named(
    path: str, value: Any, message: str
) -> None:
    model = plain_models.make_pair("GPT2LMHeadModel")[0]
    model(IDS)
    model.set_submodule(path, Returns(value))
    for _ in range(2):
        with pytest.raises((TypeError, ValueError)) as error:
            model(IDS)
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "transformer.h.1",
            (torch.zeros(2, 3, 32),),
            "The output of `transformer.h.1` must be a torch.Tensor, but is a tuple.",
        ),
        (
            "transformer",
            torch.zeros(2, 32),
            "The output of `transformer` must be a list of tensors, but is a Tensor.",
        ),
        (
            "transformer",
            [],
            "The output of `transformer` must hold at least one tensor, but is empty.",
        ),
        (
            "multiple_choice_head",
            None,
            "The output of `multiple_choice_head` must be a torch.Tensor, but is a NoneType.",
        ),
    ],
)
def test_part_of_gpt_that_returns_something_else_is_named(
    path: str, value: Any, message: str
) -> None:
    model = plain_models.make_pair("OpenAIGPTDoubleHeadsModel")[0]
    ids = plain_models.ids("OpenAIGPTDoubleHeadsModel")
    model(*ids)
    model.set_submodule(path, Returns(value))
    for _ in range(2):
        with pytest.raises((TypeError, ValueError)) as error:
            model(*ids)
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
def test_change_of_bert_that_the_core_cannot_follow_is_refused(
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


@pytest.mark.parametrize(
    ("path", "attribute", "value", "kind", "message"),
    [
        (
            "transformer.h.1.mlp.dropout",
            "p",
            "much",
            TypeError,
            "`transformer.h.1.mlp.dropout.p` must be a number, but is a str.",
        ),
        (
            "transformer.h.0.attn",
            "n_head",
            2.0,
            TypeError,
            "`transformer.h.0.attn.n_head` must be an int, but is a float.",
        ),
        (
            "transformer.h.0.attn",
            "scale",
            "yes",
            TypeError,
            "`transformer.h.0.attn.scale` must be a bool, but is a str.",
        ),
        (
            "transformer",
            "h",
            nn.Sequential(nn.Identity()),
            TypeError,
            "`transformer.h` must be an nn.ModuleList, but is a Sequential.",
        ),
        (
            "transformer",
            "h",
            nn.ModuleList(),
            ValueError,
            "`transformer.h` must hold at least one module, but is empty.",
        ),
    ],
)
@pytest.mark.parametrize("class_name", plain_models.GPT_CLASSES)
def test_change_of_gpt_that_the_core_cannot_follow_is_refused(
    path: str,
    attribute: str,
    value: Any,
    kind: type[Exception],
    message: str,
    class_name: str,
    ids: tuple[Tensor, ...],
) -> None:
    model = plain_models.make_pair(class_name)[0].eval()
    expected = plain_models.joined(model(*ids))
    node = model.get_submodule(path)
    before = getattr(node, attribute)
    setattr(node, attribute, value)
    for _ in range(2):
        with pytest.raises(kind) as error:
            model(*ids)
        assert str(error.value) == message
    setattr(node, attribute, before)
    assert_equal(plain_models.joined(model(*ids)), expected)
