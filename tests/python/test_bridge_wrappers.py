"""torch's wrappers of modules work with models: functional calls, replicas, compilers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

import plain_models
from model_cases import flat_outputs
from plain_models import joined, loss_of, part_of, path_of
from support import assert_close, assert_equal

pytestmark = pytest.mark.usefixtures("one_thread")

Ids = tuple[Tensor, ...]


@pytest.fixture
def ids(class_name: str) -> Ids:
    return plain_models.ids(class_name, 4, 6)


@pytest.fixture
def pair(class_name: str, ids: Ids) -> tuple[Any, Any]:
    model, plain = plain_models.make_pair(class_name)
    model(*ids)
    return model.eval(), plain.eval()


def scores(model: Any, ids: Ids) -> Tensor:
    return joined(model(*ids))


def test_functional_call_uses_the_given_parameters(pair: tuple[Any, Any], ids: Ids) -> None:
    model, _ = pair
    before = scores(model, ids)
    given = {name: (0.5 * p.detach()).requires_grad_() for name, p in model.named_parameters()}
    outputs = [joined(functional_call(tree, given, ids)) for tree in pair]
    assert_close(outputs[0], outputs[1])
    outputs[0].sum().backward()
    assert given[f"{path_of(model, 'dense')}.weight"].grad is not None
    assert all(parameter.grad is None for parameter in model.parameters())
    assert_equal(scores(model, ids), before)


def test_grad_over_functional_call(pair: tuple[Any, Any], class_name: str) -> None:
    results = []
    for tree in pair:

        def loss(parameters: dict[str, Tensor], tree: Any = tree) -> Tensor:
            named = plain_models.batch_and_labels(class_name)
            return loss_of(functional_call(tree, parameters, (), named))

        results.append(grad(loss)(dict(tree.named_parameters())))
    for name, gradient in results[1].items():
        assert_close(results[0][name], gradient)


def halved(model: Any) -> Any:
    """A copy with all parameters halved."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    return other


def test_vmap_over_parameters_and_inputs(pair: tuple[Any, Any], ids: Ids) -> None:
    model, plain = pair
    parameters, _ = stack_module_state([model, halved(model)])

    def one(parameters: dict[str, Tensor], ids: Ids) -> Tensor:
        return joined(functional_call(model, parameters, ids))

    both = vmap(one, in_dims=(0, None))(parameters, ids)
    assert_close(both, torch.stack([scores(plain, ids), scores(halved(plain), ids)]))
    single = tuple(tensor[:, None] for tensor in ids)
    rows = vmap(one, in_dims=(None, 0))(dict(model.named_parameters()), single)
    assert_close(rows[:, 0], scores(plain, ids))


def test_gradients_per_sample(pair: tuple[Any, Any], ids: Ids) -> None:
    model, plain = pair

    def loss(tree: Any, parameters: dict[str, Tensor], ids: Ids) -> Tensor:
        single = tuple(tensor[None] for tensor in ids)
        return joined(functional_call(tree, parameters, single)).sum()

    per_sample = vmap(grad(partial(loss, model)), in_dims=(None, 0))
    gradients = per_sample(dict(model.named_parameters()), ids)
    for row in range(len(ids[0])):
        of_row = tuple(tensor[row] for tensor in ids)
        expected = grad(partial(loss, plain))(dict(plain.named_parameters()), of_row)
        for name, gradient in expected.items():
            scale = max(1.0, float(gradient.detach().abs().max()))
            assert_close(gradients[name][row], gradient, atol=1e-4 * scale)


def test_parametrization_can_be_removed(pair: tuple[Any, Any], class_name: str) -> None:
    for tree in pair:
        parametrize.register_parametrization(part_of(tree, "queries"), "weight", nn.Identity())
    plain_models.assert_agree(*pair, class_name)
    for tree in pair:
        parametrize.remove_parametrizations(part_of(tree, "queries"), "weight")
    plain_models.assert_agree(*pair, class_name)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_no_graph_is_made_on_request(mode: Any, pair: tuple[Any, Any], ids: Ids) -> None:
    model, _ = pair
    expected = scores(model, ids)
    with mode():
        output = scores(model, ids)
    assert not output.requires_grad
    assert_close(output, expected)  # without gradients attention is fused and rounds differently
    assert scores(model, ids).requires_grad


def test_autocast_is_that_of_plain_pytorch(
    pair: tuple[Any, Any], class_name: str, ids: Ids
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert flat_outputs(pair[0](*ids))[0].dtype == torch.bfloat16
        plain_models.assert_agree(*pair, class_name, atol=3e-2, relative=True)
    plain_models.assert_agree(*pair, class_name)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpointed_layers_give_the_same_gradients(
    use_reentrant: bool, pair: tuple[Any, Any], class_name: str
) -> None:
    for layer in part_of(pair[0].train(), "blocks"):
        forward = layer.forward
        layer.forward = lambda *inputs, forward=forward: checkpoint(
            forward, *inputs, use_reentrant=use_reentrant
        )
    pair[1].train()
    plain_models.assert_agree(*pair, class_name)


def test_averaged_model_follows(pair: tuple[Any, Any], class_name: str) -> None:
    averages: list[Any] = []
    for tree in pair:
        averaged = torch.optim.swa_utils.AveragedModel(tree)
        averaged.update_parameters(tree)
        averaged.update_parameters(halved(tree))
        averages.append(averaged)
    plain_models.assert_agree(averages[0], averages[1], class_name)


def replica_of(model: Any) -> Any:
    """A copy as torch.nn.parallel.replicate makes them, of the same tensors."""
    replicas = {module: module._replicate_for_data_parallel() for module in model.modules()}
    for module, replica in replicas.items():
        for name, child in module.named_children():
            setattr(replica, name, replicas[child])
            replica._modules[name] = replicas[child]
        for name, parameter in module._parameters.items():
            if parameter is None:
                replica._parameters[name] = None
            else:
                setattr(replica, name, parameter.view_as(parameter))
    return replicas[model]


def test_replica_of_data_parallel(pair: tuple[Any, Any], class_name: str, ids: Ids) -> None:
    model, plain = pair
    replica = replica_of(model)
    named = plain_models.batch_and_labels(class_name)
    for _ in range(2):
        assert_close(scores(replica, ids), scores(model, ids))
        loss_of(replica(**named)).backward()
    expected = plain_models.gradients_of(plain, class_name)
    for name, parameter in model.named_parameters():
        gradient = expected[name]
        assert (parameter.grad is None) == (gradient is None), name
        if parameter.grad is not None and gradient is not None:
            assert_close(parameter.grad, 2 * gradient)
    assert_close(scores(model, ids), scores(plain, ids))


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("find_unused", [False, True])
def test_distributed_data_parallel(
    find_unused: bool, pair: tuple[Any, Any], class_name: str
) -> None:
    model, plain = pair
    wrapped = nn.parallel.DistributedDataParallel(model, find_unused_parameters=find_unused)
    named = plain_models.batch_and_labels(class_name)
    with wrapped.no_sync():
        loss_of(wrapped(**named)).backward()
    if class_name not in plain_models.WITH_UNUSED_PARTS or find_unused:
        loss_of(wrapped(**named)).backward()
    else:
        loss_of(model(**named)).backward()
    for name, gradient in plain_models.gradients_of(plain, class_name).items():
        mine = model.get_parameter(name).grad
        if gradient is not None:
            assert_close(mine, 2 * gradient)
