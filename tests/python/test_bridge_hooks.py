"""Hooks on any node of a model's tree fire once, in order, and may change what they see."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_models
from model_cases import flat_outputs, probe_loss
from plain_models import loss_of, part_of, path_of
from support import assert_close

TRUNK = [
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
GPT2 = [
    "",
    "transformer",
    "transformer.wte",
    "transformer.wpe",
    "transformer.drop",
    "transformer.h.1",
    "transformer.h.0.attn",
    "transformer.h.0.attn.c_attn",
    "transformer.h.0.attn.attn_dropout",
    "transformer.h.0.mlp",
    "transformer.h.0.ln_1",
    "transformer.ln_f",
    "lm_head",
    "lm_head.decoder",
]
GPT = [
    "",
    "transformer",
    "transformer.tokens_embed",
    "transformer.h.1",
    "transformer.h.0.attn",
    "transformer.h.0.attn.c_proj",
    "transformer.h.0.mlp",
    "transformer.h.0.mlp.c_fc",
    "transformer.h.1.ln_2",
    "lm_head",
    "multiple_choice_head",
    "multiple_choice_head.dropout",
    "multiple_choice_head.linear",
]
TRANSFO_XL = [
    "",
    "transformer",
    "transformer.word_emb",
    "transformer.word_emb.emb_layers.1",
    "transformer.pos_emb",
    "transformer.drop",
    "transformer.layers.1",
    "transformer.layers.0.dec_attn",
    "transformer.layers.0.dec_attn.qkv_net",
    "transformer.layers.0.dec_attn.r_net",
    "transformer.layers.0.dec_attn.dropatt",
    "transformer.layers.0.dec_attn.layer_norm",
    "transformer.layers.0.pos_ff",
    "transformer.layers.0.pos_ff.CoreNet",
    "transformer.layers.0.pos_ff.CoreNet.0",
    "transformer.layers.0.pos_ff.CoreNet.1",
    "crit",
    "crit.out_layers.1",
]
PATHS = {
    "BertForSequenceClassification": [*TRUNK, "dropout", "classifier"],
    "BertForQuestionAnswering": [*TRUNK, "qa_outputs"],
    "GPT2LMHeadModel": GPT2,
    "OpenAIGPTDoubleHeadsModel": GPT,
    "TransfoXLLMHeadModel": TRANSFO_XL,
}

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # torch warns for both trees that backward hooks see no gradients of ids or lists.
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),
    pytest.mark.filterwarnings("ignore:dropout2d. Received a 3D input"),
    pytest.mark.filterwarnings("ignore:For backward hooks to be called"),
]


def changed(value: Any) -> Any:
    """`value` with the elements of every tensor moved by one, and doubled unless they are ids."""
    if isinstance(value, Tensor):
        moved = value.roll(1)
        return 2 * moved if moved.is_floating_point() else moved
    if isinstance(value, (list, tuple)):
        return type(value)(changed(item) for item in value)
    if isinstance(value, dict):
        return {name: changed(item) for name, item in value.items()}
    return value


def forward_pre(module: nn.Module) -> Any:
    return module.register_forward_pre_hook(lambda node, inputs: changed(inputs))


def forward_pre_with_kwargs(module: nn.Module) -> Any:
    return module.register_forward_pre_hook(
        lambda node, inputs, kwargs: (changed(inputs), changed(kwargs)), with_kwargs=True
    )


def forward(module: nn.Module) -> Any:
    return module.register_forward_hook(lambda node, inputs, output: changed(output))


def forward_with_kwargs(module: nn.Module) -> Any:
    return module.register_forward_hook(
        lambda node, inputs, kwargs, output: changed(output), with_kwargs=True
    )


def full_backward_pre(module: nn.Module) -> Any:
    return module.register_full_backward_pre_hook(lambda node, gradients: changed(gradients))


def full_backward(module: nn.Module) -> Any:
    return module.register_full_backward_hook(lambda node, inputs, outputs: changed(inputs))


Kind = Callable[[nn.Module], Any]
KINDS: list[Kind] = [
    forward_pre,
    forward_pre_with_kwargs,
    forward,
    forward_with_kwargs,
    full_backward_pre,
    full_backward,
]
TAKE_IDS = ["", "bert", "bert.embeddings", "bert.embeddings.word_embeddings", "transformer"]
TAKE_IDS += ["transformer.wte", "transformer.wpe", "transformer.tokens_embed"]
TAKE_IDS += ["transformer.word_emb", "transformer.word_emb.emb_layers.1"]
TAKE_IDS += ["transformer.layers.0.dec_attn.r_net"]  # positions, which have no gradient either


def has_effect(class_name: str, path: str, kind: Kind) -> bool:
    """Whether there is anything to change that outputs or gradients of parameters depend on."""
    if class_name == "BertForQuestionAnswering" and path.startswith("bert.pooler"):
        return False
    if path == "transformer.pos_emb":  # it gives what has no gradient
        return kind not in (full_backward_pre, full_backward)
    if path == "transformer" and class_name == plain_models.TRANSFO_XL:
        return kind is not full_backward
    if path in ("bert.encoder", "transformer"):  # it gives lists
        return kind not in (full_backward_pre, full_backward)
    return kind is not full_backward or path not in TAKE_IDS


def results(tree: Any, class_name: str) -> Tensor:
    """Outputs, and gradients of a function of them, in one vector."""
    tree.zero_grad()
    torch.manual_seed(1)
    outputs = flat_outputs(tree(**plain_models.batch(class_name)))
    probe_loss(outputs).backward()
    gradients = [parameter.grad for parameter in tree.parameters() if parameter.grad is not None]
    return torch.cat([tensor.detach().flatten() for tensor in outputs + gradients])


class ByPosition(nn.Module):
    """Passes what it is given by name on by position, where hooks see it as inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **named: Tensor) -> Any:
        names = list(inspect.signature(self.model.forward).parameters)
        last = max(names.index(name) for name in named)
        return self.model(*(named.get(name) for name in names[: last + 1]))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("class_name", "path"),
    [(name, path) for name, paths in PATHS.items() for path in paths],
)
def test_hook_changes_what_it_sees_until_removed(
    class_name: str, path: str, kind: Kind, pair: tuple[Any, Any]
) -> None:
    model, plain = (ByPosition(tree) for tree in pair)
    with plain_models.evaluating(model, plain):
        before = results(plain, class_name)
        assert_close(results(model, class_name), before, atol=1e-4)
        handles = [kind(tree.get_submodule(path)) for tree in pair]
        after = results(plain, class_name)
        assert torch.allclose(after, before, atol=0.1) != has_effect(class_name, path, kind)
        assert_close(results(model, class_name), after, atol=1e-4)
    with plain_models.plain_paths():
        assert_close(results(model, class_name), results(plain, class_name), atol=1e-4)
    for handle in handles:
        handle.remove()
    with plain_models.evaluating(model):
        assert_close(results(model, class_name), before, atol=1e-4)


def test_hooks_see_and_change_keyword_arguments(pair: tuple[Any, Any], class_name: str) -> None:
    before = results(pair[1], class_name)
    logs: list[Any] = []
    for tree in pair:
        log: list[Any] = []
        forward_pre_with_kwargs(tree)
        tree.register_forward_hook(
            lambda node, inputs, kwargs, output, log=log: log.append((inputs, kwargs)),
            with_kwargs=True,
        )
        logs.append(log)
    plain_models.assert_agree(*pair, class_name)
    assert_alike(*logs)
    assert list(logs[0][-1][1]) == list(
        plain_models.batch(class_name) | plain_models.labels(class_name)
    )
    assert not torch.allclose(results(pair[1], class_name), before, atol=0.1)


def python_calls(model: Any, ids: tuple[Tensor, ...]) -> int:
    """How many Python functions a forward pass enters."""
    count = 0

    def counting(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counting)
    try:
        model(*ids)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_fast_path_returns_when_hooks_are_gone(
    kind: Kind, pair: tuple[Any, Any], ids: tuple[Tensor, ...]
) -> None:
    model, _ = pair
    model(*ids)
    before = python_calls(model, ids)
    handles = [kind(module) for module in model.modules()]
    assert python_calls(model, ids) > before + len(handles)
    for handle in handles:
        handle.remove()
    model(*ids)
    assert python_calls(model, ids) == before


def listen(tree: nn.Module) -> list[tuple[str, Any]]:
    """What hooks of every kind on every node see, in the order in which they are called."""
    log = []

    def note(event: str) -> Callable[..., None]:
        return lambda node, *seen: log.append((event, seen))

    for name, module in tree.named_modules():
        for kind in ("forward_pre", "forward", "full_backward_pre", "full_backward"):
            getattr(module, f"register_{kind}_hook")(note(f"{kind} of {name}"))
    return log


def assert_alike(actual: Any, expected: Any) -> None:
    """Fails unless both hold close tensors in the same places."""
    assert type(actual) is type(expected)
    if isinstance(expected, Tensor):
        assert actual.dtype == expected.dtype
        assert_close(actual, expected)
    elif isinstance(expected, (list, tuple)):
        for item, other in zip(actual, expected, strict=True):
            assert_alike(item, other)
    elif isinstance(expected, dict):
        assert_alike(list(actual.items()), list(expected.items()))
    else:
        assert actual == expected


@pytest.mark.parametrize("hooks_before", [False, True])
def test_hooks_fire_once_in_the_order_of_the_pass(
    hooks_before: bool, pair: tuple[Any, Any], class_name: str, ids: tuple[Tensor, ...]
) -> None:
    logs = []
    for tree in pair:
        if not hooks_before:
            tree(*ids)
        log = listen(tree)
        given = plain_models.batch_and_labels(class_name)
        # For which GPT calls its token embeddings again.
        given.pop("token_type_ids", None)
        loss_of(tree(**given)).backward()
        logs.append([event for event, _ in log])
    assert logs[0] == logs[1]
    again = [event for event in logs[0] if logs[0].count(event) > 1]
    if class_name == plain_models.TRANSFO_XL:  # drops embeddings, positions and outputs
        assert {event.rpartition(" ")[2] for event in again} == {"transformer.drop"}
        logs[0] = list(dict.fromkeys(logs[0]))
    else:
        assert again == []
    called = 1 + len(plain_models.called_parts(pair[0]))
    assert sum(event.startswith("forward") for event in logs[0]) == 2 * called


@pytest.mark.usefixtures("plain_paths")
def test_hooks_see_what_those_of_plain_pytorch_see(pair: tuple[Any, Any], class_name: str) -> None:
    logs = [listen(tree) for tree in pair]
    for tree in pair:
        torch.manual_seed(1)
        loss_of(tree(**plain_models.batch_and_labels(class_name))).backward()
    for (event, seen), (_, expected) in zip(*logs, strict=True):
        try:
            assert_alike(seen, expected)
        except AssertionError as error:
            raise AssertionError(event) from error


@contextmanager
def global_hook(kind: str, hook: Callable[..., Any]) -> Iterator[None]:
    handle = getattr(nn.modules.module, f"register_module_{kind}")(hook)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook"])
def test_global_hook_sees_every_node(
    kind: str, pair: tuple[Any, Any], ids: tuple[Tensor, ...]
) -> None:
    model, plain = pair
    model.eval()
    plain.eval()
    expected = flat_outputs(model(*ids))
    before = python_calls(model, ids)
    seen: list[nn.Module] = []
    with global_hook(kind, lambda node, *_: seen.append(node)):
        for output, other in zip(flat_outputs(model(*ids)), expected, strict=True):
            assert_close(output, other)
        plain(*ids)
    names = {module: name for tree in pair for name, module in tree.named_modules()}
    paths = [names[module] for module in seen]
    assert paths[: len(paths) // 2] == paths[len(paths) // 2 :]
    assert set(paths) == {"", *plain_models.called_parts(model)}
    model(*ids)
    assert python_calls(model, ids) == before


def test_global_hook_changes_outputs(pair: tuple[Any, Any], class_name: str) -> None:
    # Doubled in so many places, scores make a sharp softmax, which enlarges rounding.
    atol = 1e-3 if class_name == plain_models.TRANSFO_XL else 1e-5
    with global_hook("forward_hook", lambda node, inputs, output: changed(output)):
        plain_models.assert_agree(*pair, class_name, atol, relative=True)
    with global_hook("full_backward_pre_hook", lambda node, gradients: changed(gradients)):
        plain_models.assert_agree(*pair, class_name, relative=True)
    plain_models.assert_agree(*pair, class_name)


@pytest.mark.parametrize("role", ["trunk", "block", "dense"])
def test_exception_in_a_hook_arrives_and_leaves_the_model_usable(
    role: str, pair: tuple[Any, Any], class_name: str, ids: tuple[Tensor, ...]
) -> None:
    model, plain = pair

    def fail(*_: Any) -> None:
        raise LookupError("of the user")

    for _ in range(2):
        handle = part_of(model, role).register_forward_hook(fail)
        for _ in range(2):
            with pytest.raises(LookupError, match=r"^'?of the user'?$"):
                model(*ids)
        handle.remove()
        plain_models.assert_agree(model, plain, class_name)


@pytest.mark.parametrize(("role", "block"), [("inner", 0), ("dense", 1)])
def test_hook_that_is_always_called_hears_of_a_failed_forward(
    role: str, block: int, pair: tuple[Any, Any], class_name: str, ids: tuple[Tensor, ...]
) -> None:
    path = path_of(pair[0], role, block)
    paths = PATHS[class_name]
    logs = []
    for tree in pair:
        log: list[tuple[str, bool]] = []
        tree.get_submodule(path).weight = nn.Parameter(torch.zeros(1, 1))
        for name in {*paths, path.rpartition(".")[0]}:
            tree.get_submodule(name).register_forward_hook(
                lambda *seen, name=name, log=log: log.append((name, seen[-1] is None)),
                always_call=True,
            )
        with pytest.raises(RuntimeError, match=r"shapes? .*cannot be multiplied|size of tensor"):
            tree(*ids)
        logs.append(log)
    assert logs[0] == logs[1]
    assert {(path.rpartition(".")[0], True), ("", True)} < set(logs[0])


@pytest.mark.parametrize("role", ["", "trunk", "block"])
def test_hook_may_call_the_model_itself(
    role: str, pair: tuple[Any, Any], class_name: str, ids: tuple[Tensor, ...]
) -> None:
    for tree in pair:
        active: list[nn.Module] = []

        def again(
            node: nn.Module, inputs: Any, output: Any, tree: Any = tree, active: Any = active
        ) -> Any:
            if active:
                return None
            active.append(node)
            called = part_of(tree, role) if role else tree
            given = {"": ids, "trunk": ids[:1], "block": inputs}[role]
            other = flat_outputs(called(*given))[-1].mean()
            active.clear()
            if isinstance(output, tuple):
                return output[0] + other, output[1]
            return output + other

        part_of(tree, "block", 1).register_forward_hook(again)
    plain_models.assert_agree(*pair, class_name)


@pytest.mark.parametrize(
    ("class_name", "head"),
    [
        ("BertForSequenceClassification", "classifier"),
        ("GPT2LMHeadModel", "lm_head.decoder"),
        ("OpenAIGPTDoubleHeadsModel", "lm_head.decoder"),
    ],
)
def test_hook_may_change_the_model_during_the_pass(
    class_name: str, head: str, ids: tuple[Tensor, ...]
) -> None:
    """A running pass is not affected by the change; the next one is."""
    model, _ = plain_models.make_pair(class_name)
    model.eval()
    before = flat_outputs(model(*ids))

    def cut(*_: Any) -> None:
        handle.remove()
        model.set_submodule(head, nn.Linear(32, 5))
        model.num_labels = 5
        model(*ids)

    handle = part_of(model, "block").register_forward_hook(cut)
    assert_close(flat_outputs(model(*ids))[0], before[0])
    assert flat_outputs(model(*ids))[0].shape == (*before[0].shape[:-1], 5)


def test_user_attributes_set_by_hooks_do_not_hide_changes(
    pair: tuple[Any, Any], class_name: str
) -> None:
    def remember(node: Any, inputs: Any, output: Any) -> None:
        node.seen = output

    for tree in pair:
        part_of(tree, "feed_forward").register_forward_hook(remember)
    plain_models.assert_agree(*pair, class_name)
    assert isinstance(part_of(pair[0], "feed_forward").seen, Tensor)
    for tree in pair:
        part_of(tree, "dropout").p = 0.9
    plain_models.assert_agree(*pair, class_name)


def test_base_class_of_hooks_is_reached_by_children_called_alone(
    pair: tuple[Any, Any], ids: tuple[Tensor, ...]
) -> None:
    model, _ = pair
    calls: list[str] = []
    part_of(model, "feed_forward").register_forward_hook(lambda *_: calls.append("called"))
    part_of(model, "block")(*plain_models.block_inputs(model, 3))
    model(*ids)
    assert calls == ["called"] * 2
