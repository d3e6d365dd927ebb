"""Transformer-XL against recorded results of pytorch-pretrained-bert 0.6.2."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

import ptbert
from support import GOLDEN, assert_close, assert_gradients_close, seed_weights
from transfo_xl_cases import CASES, TransfoXLCase

Arrays = dict[str, npt.NDArray[Any]]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    with np.load(GOLDEN / "transfo_xl.npz") as file:
        return dict(file)


def build(case: TransfoXLCase) -> Any:
    model = ptbert.TransfoXLLMHeadModel(ptbert.TransfoXLConfig.from_dict(case.config_fields))
    seed_weights(model)
    if case.lengths:
        model.reset_length(*case.lengths)
    return model.eval()


def losses_and_memory(model: Any, case: TransfoXLCase) -> tuple[Tensor, Any]:
    """The losses of all segments, and the memory behind the last."""
    losses, mems = [], None
    for input_ids, target in case.segments:
        loss, mems = model(input_ids, target, mems)
        losses.append(loss)
    return torch.stack(losses), mems


@every_case
def test_state_dict_has_the_reference_keys_and_shapes(case: TransfoXLCase) -> None:
    expected = json.loads((GOLDEN / "transfo_xl.json").read_text())["states"][case.name]
    shapes = {name: list(tensor.shape) for name, tensor in build(case).state_dict().items()}
    assert list(shapes.items()) == list(expected.items())


@every_case
@pytest.mark.parametrize("with_gradients", [True, False])
def test_losses_and_memory_equal_the_reference(
    case: TransfoXLCase, with_gradients: bool, arrays: Arrays
) -> None:
    with torch.set_grad_enabled(with_gradients):
        losses, mems = losses_and_memory(build(case), case)
    assert_close(losses, arrays[f"{case.name}/losses"])
    if mems is None:
        assert f"{case.name}/mems" not in arrays
    else:
        assert_close(torch.stack(mems), arrays[f"{case.name}/mems"])


@every_case
@pytest.mark.parametrize("with_gradients", [True, False])
def test_log_probabilities_equal_the_reference(
    case: TransfoXLCase, with_gradients: bool, arrays: Arrays
) -> None:
    model, mems = build(case), None
    with torch.set_grad_enabled(with_gradients):
        for input_ids, _ in case.segments:
            log_probs, mems = model(input_ids, mems=mems)
    assert_close(log_probs[:, -1], arrays[f"{case.name}/log_probs"])
    assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:-1]))


@every_case
def test_every_gradient_equals_the_reference(case: TransfoXLCase, arrays: Arrays) -> None:
    model = build(case)
    losses_and_memory(model, case)[0].mean().backward()
    flat, start, gradients = arrays[f"{case.name}/gradients"], 0, {}
    for name, parameter in model.named_parameters():
        gradients[name] = flat[start : start + parameter.numel()].reshape(parameter.shape)
        start += parameter.numel()
    assert start == flat.size
    assert_gradients_close(model, gradients)
