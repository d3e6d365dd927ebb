"""Hooks on any node of a model's tree fire once, in order, and may change what they see."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
import twin
from ptbert import BertConfig
from support import assert_close, assert_equal

NODES = [
    "",
    "bert",
    "bert.embeddings",
    "bert.embeddings.word_embeddings",
    "bert.embeddings.LayerNorm",
    "bert.embeddings.dropout",
    "bert.encoder",
    "bert.encoder.layer.1",
    "bert.encoder.layer.0.attention",
    "bert.encoder.layer.0.attention.self",
    "bert.encoder.layer.0.attention.self.query",
    "bert.encoder.layer.0.attention.output",
    "bert.encoder.layer.0.intermediate",
    "bert.encoder.layer.0.output",
    "bert.encoder.layer.0.output.LayerNorm",
    "bert.pooler",
    "bert.pooler.activation",
]


def doubled(value: Any) -> Any:
    """Twice every floating-point tensor in `value`."""
    if isinstance(value, Tensor):
        return 2 * value if value.is_floating_point() else value
    if isinstance(value, (list, tuple)):
        return type(value)(doubled(item) for item in value)
    return value


def python_calls(model: Any) -> int:
    """How many Python functions a forward pass enters."""
    count = 0

    def counting(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    inputs = {"input_ids": torch.tensor([[1, 2, 3]])}
    sys.setprofile(counting)
    try:
        model(**inputs)
    finally:
        sys.setprofile(None)
    return count


def forward_pre(module: nn.Module) -> Any:
    return module.register_forward_pre_hook(lambda node, inputs: doubled(inputs))


def forward_pre_with_kwargs(module: nn.Module) -> Any:
    return module.register_forward_pre_hook(
        lambda node, inputs, kwargs: (doubled(inputs), kwargs), with_kwargs=True
    )


def forward(module: nn.Module) -> Any:
    return module.register_forward_hook(lambda node, inputs, output: doubled(output))


def forward_with_kwargs(module: nn.Module) -> Any:
    return module.register_forward_hook(
        lambda node, inputs, kwargs, output: doubled(output), with_kwargs=True, always_call=True
    )


def full_backward_pre(module: nn.Module) -> Any:
    return module.register_full_backward_pre_hook(lambda node, gradients: doubled(gradients))


def full_backward(module: nn.Module) -> Any:
    return module.register_full_backward_hook(lambda node, inputs, outputs: doubled(inputs))


KINDS = [
    forward_pre,
    forward_pre_with_kwargs,
    forward,
    forward_with_kwargs,
    full_backward_pre,
    full_backward,
]


# torch says of both trees that backward hooks see no gradients of ids and none of lists.
QUIET = [
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),
    pytest.mark.filterwarnings("ignore:For backward hooks to be called"),
]


@QUIET[0]
@QUIET[1]
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("path", NODES)
def test_hook_changes_what_it_sees_until_removed(
    path: str, kind: Callable[[nn.Module], Any], tiny_config: BertConfig
) -> None:
    class_name = "BertForSequenceClassification"
    model, plain = twin.make_pair(class_name, tiny_config)
    twin.assert_agree(model, plain, class_name)
    handles = [kind(tree.get_submodule(path)) for tree in (model, plain)]
    twin.assert_agree(model, plain, class_name)
    for handle in handles:
        handle.remove()
    twin.assert_agree(model, plain, class_name)


def test_fast_path_returns_when_hooks_are_gone(tiny_config: BertConfig) -> None:
    model, _ = twin.make_pair("BertForSequenceClassification", tiny_config)
    model(torch.tensor([[1, 2, 3]]))
    before = python_calls(model)
    handles = [
        model.get_submodule(path).register_forward_hook(lambda *args: None) for path in NODES[1:]
    ]
    assert python_calls(model) > before + len(handles)
    for handle in handles:
        handle.remove()
    model(torch.tensor([[1, 2, 3]]))
    assert python_calls(model) == before


@pytest.mark.parametrize("hooks_before", [False, True])
def test_hooks_fire_once_in_the_order_of_the_pass(
    hooks_before: bool, tiny_config: BertConfig
) -> None:
    logs: list[list[str]] = []
    for tree in twin.make_pair("BertForQuestionAnswering", tiny_config):
        if not hooks_before:
            tree(torch.tensor([[1, 2, 3]]))
        log: list[str] = []
        for name, module in tree.named_modules():
            module.register_forward_pre_hook(lambda *_, n=name, to=log: to.append(f"into {n}"))
            module.register_forward_hook(lambda *_, n=name, to=log: to.append(f"out of {n}"))
        tree(torch.tensor([[1, 2, 3]]))
        logs.append(log)
    assert logs[0] == logs[1]
    # All but the list of layers, which is not called.
    assert len(logs[0]) == 2 * (len(list(tree.modules())) - 1)


@contextmanager
def global_hook(kind: str, hook: Callable[..., Any]) -> Iterator[None]:
    handle = getattr(nn.modules.module, f"register_module_{kind}")(hook)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook"])
def test_global_hook_sees_every_node(kind: str, tiny_config: BertConfig) -> None:
    model, plain = twin.make_pair("BertForSequenceClassification", tiny_config)
    ids = torch.tensor([[1, 2, 3]])
    model.eval()
    plain.eval()
    expected = model(ids)
    before = python_calls(model)
    seen: list[nn.Module] = []
    with global_hook(kind, lambda node, *_: seen.append(node)):
        assert_close(model(ids), expected)
        plain(ids)
    names = {module: name for tree in (model, plain) for name, module in tree.named_modules()}
    paths = [names[module] for module in seen]
    assert paths[: len(paths) // 2] == paths[len(paths) // 2 :]
    assert len(paths) == 2 * (len(names) // 2 - 1)
    model(ids)
    assert python_calls(model) == before


@QUIET[0]
@QUIET[1]
def test_global_hook_changes_outputs(tiny_config: BertConfig) -> None:
    class_name = "BertForSequenceClassification"
    model, plain = twin.make_pair(class_name, tiny_config)
    with global_hook("forward_hook", lambda node, inputs, output: doubled(output)):
        twin.assert_agree(model, plain, class_name)
    with global_hook("full_backward_pre_hook", lambda node, gradients: doubled(gradients)):
        twin.assert_agree(model, plain, class_name)
    twin.assert_agree(model, plain, class_name)


@pytest.mark.parametrize("path", ["bert", "bert.encoder.layer.1", "bert.pooler.dense"])
def test_exception_in_a_hook_arrives_and_leaves_the_model_usable(
    path: str, tiny_config: BertConfig
) -> None:
    model, _ = twin.make_pair("BertForSequenceClassification", tiny_config)
    model.eval()
    ids = torch.tensor([[1, 2, 3]])
    expected = model(ids)

    def fail(*_: Any) -> None:
        raise LookupError("of the user")

    for _ in range(2):
        handle = model.get_submodule(path).register_forward_hook(fail)
        for _ in range(2):
            with pytest.raises(LookupError, match=r"^'?of the user'?$"):
                model(ids)
        handle.remove()
        assert_equal(model(ids), expected)


@pytest.mark.parametrize("inner", ["", "bert", "bert.encoder.layer.0"])
def test_hook_may_call_the_model_itself(inner: str, tiny_config: BertConfig) -> None:
    class_name = "BertForSequenceClassification"
    model, plain = twin.make_pair(class_name, tiny_config)
    for tree in (model.eval(), plain.eval()):
        active: list[nn.Module] = []

        def again(
            node: nn.Module, inputs: Any, output: Any, tree: Any = tree, active: Any = active
        ) -> Any:
            if active:
                return None
            active.append(node)
            called = tree.get_submodule(inner)
            other = (
                called(*inputs) if inner.endswith("layer.0") else called(torch.tensor([[4, 5, 6]]))
            )
            active.clear()
            first: Tensor = other if isinstance(other, Tensor) else other[1]
            return output + first.mean()

        tree.bert.encoder.layer[1].register_forward_hook(again)
    twin.assert_agree(model, plain, class_name)


def test_hook_may_change_the_model_during_the_pass(tiny_config: BertConfig) -> None:
    """The pass under way goes on as it began; the next one sees the change."""
    model, _ = twin.make_pair("BertForSequenceClassification", tiny_config)
    model.eval()
    ids = torch.tensor([[1, 2, 3]])
    before = model(ids)

    def cut(*_: Any) -> None:
        handle.remove()
        model.classifier = nn.Linear(32, 5)
        model.num_labels = 5
        model(ids)

    handle = model.bert.encoder.layer[0].register_forward_hook(cut)
    assert_close(model(ids), before)
    assert model(ids).shape == (1, 5)


def test_user_attributes_set_by_hooks_do_not_hide_changes(tiny_config: BertConfig) -> None:
    class_name = "BertForSequenceClassification"
    model, plain = twin.make_pair(class_name, tiny_config)

    def remember(node: Any, inputs: Any, output: Any) -> None:
        node.seen = output

    for tree in (model, plain):
        tree.bert.encoder.layer[0].register_forward_hook(remember)
    twin.assert_agree(model, plain, class_name)
    assert isinstance(model.bert.encoder.layer[0].seen, Tensor)
    for tree in (model, plain):
        tree.bert.encoder.layer[0].output.dropout.p = 0.9
    twin.assert_agree(model, plain, class_name)


def test_base_class_of_hooks_is_reached_by_children_called_alone(tiny_config: BertConfig) -> None:
    model = ptbert.BertModel(tiny_config)
    calls: list[str] = []
    layer: Any = model.encoder.layer[0]  # type: ignore[index]
    layer.intermediate.register_forward_hook(lambda *_: calls.append("intermediate"))
    layer(torch.zeros(1, 3, 32), None)
    model(torch.tensor([[1, 2, 3]]))
    assert calls == ["intermediate"] * 2
