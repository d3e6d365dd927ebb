"""torch.compile: a model is one opaque call; Python modules put into it are compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

import plain_models
from model_cases import flat_outputs
from plain_models import loss_of, part_of, put
from support import assert_close

# Dynamo reads `grad` of a module's inputs, in any model.
TOUCHED = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture(params=plain_models.FEWER_CLASSES)
def class_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


class PartOfTheUser(nn.Module):
    def __init__(self, replaced: Any) -> None:
        super().__init__()
        (inputs,) = {*replaced.weight.shape} - {32}
        self.dense = nn.Linear(inputs, 32)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.dense(x))


# torch's inductor imports modules that torch itself deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_compiled_model_breaks_its_graph_once_and_gives_equal_results(
    backend: str, pair: tuple[Any, Any], class_name: str
) -> None:
    model, plain = pair
    compiled: Any = torch.compile(model, backend=backend)
    with plain_models.evaluating(model, plain):
        for _ in range(2):
            outputs = flat_outputs(compiled(**plain_models.batch(class_name)))
            for output, expected in zip(
                outputs, plain_models.outputs_of(plain, class_name), strict=True
            ):
                assert_close(output, expected)
    assert sum(counters["graph_break"].values()) == 1
    with plain_models.plain_paths():
        torch.manual_seed(1)
        loss_of(compiled(**plain_models.batch_and_labels(class_name))).backward()
        expected_gradients = plain_models.gradients_of(plain, class_name)
    for name, gradient in expected_gradients.items():
        if gradient is not None:
            assert_close(model.get_parameter(name).grad, gradient)


def test_compiled_model_serves_other_shapes(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair[0].eval(), pair[1].eval()
    compiled: Any = torch.compile(model, backend="eager", dynamic=True)
    for shape in [(2, 3), (3, 5), (1, 1), (4, 9)]:
        ids = plain_models.ids(class_name, *shape)
        for output, expected in zip(
            flat_outputs(compiled(*ids)), flat_outputs(plain(*ids)), strict=True
        ):
            assert_close(output, expected)


@TOUCHED
def test_changes_take_effect_in_a_compiled_model(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    compiled: Any = torch.compile(model, backend="eager")

    def assert_agree() -> None:
        with plain_models.evaluating(model, plain):
            outputs = flat_outputs(compiled(**plain_models.batch(class_name)))
            for output, expected in zip(
                outputs, plain_models.outputs_of(plain, class_name), strict=True
            ):
                assert_close(output, expected)

    assert_agree()
    for tree in (model, plain):
        dense = part_of(tree, "dense")
        dense.weight = nn.Parameter(torch.full(dense.weight.shape, 0.1))
    inner = nn.Sequential(
        nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, part_of(model, "inner", 1).bias.numel())
    )
    for tree in (model, plain):
        put(tree, "inner", inner, 1)
    assert_agree()
    handles = [
        part_of(tree, "feed_forward").register_forward_hook(lambda node, inputs, output: 2 * output)
        for tree in (model, plain)
    ]
    assert_agree()
    for handle in handles:
        handle.remove()
    assert_agree()


@TOUCHED
def test_parts_of_the_user_are_compiled(pair: tuple[Any, Any], class_name: str) -> None:
    """Nodes that C++ calls in Python are traced by the compiler as in any other model."""
    model, plain = pair[0].eval(), pair[1].eval()
    graphs: list[torch.fx.GraphModule] = []

    def remember(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    part = PartOfTheUser(part_of(model, "dense"))
    for tree in pair:
        put(tree, "dense", part)
    compiled: Any = torch.compile(model, backend=remember)
    outputs = flat_outputs(compiled(**plain_models.batch(class_name)))
    assert_close(outputs[0], plain_models.outputs_of(plain, class_name)[0])
    assert any("tanh" in str(node.target) for graph in graphs for node in graph.graph.nodes)


@TOUCHED
def test_compiled_parts_are_used(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    part_of(model, "block").compile(backend="eager")
    part_of(model, "dense", 1).compile(backend="eager")
    plain_models.assert_agree(model, plain, class_name)


def test_graph_without_breaks_is_refused(pair: tuple[Any, Any], class_name: str) -> None:
    compiled: Any = torch.compile(pair[0], backend="eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="method `__call__` of class `Run`"):
        compiled(**plain_models.batch(class_name))
