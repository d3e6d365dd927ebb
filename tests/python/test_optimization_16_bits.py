"""The optimizers on parameters of 16 bits: averages and a copy of the weights in float32."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from optimization_cases import AVERAGES
from support import assert_close, assert_equal


def steps_in(
    optimizer_class: Any, parameter: nn.Parameter, gradients: list[torch.Tensor], state: Any = None
) -> Any:
    """The optimizer after steps on a parameter, from a state of another one if one is given."""
    optimizer = optimizer_class([parameter], lr=1e-4)
    if state is not None:
        optimizer.load_state_dict(state)
    for gradient in gradients:
        parameter.grad = gradient.to(parameter.dtype, copy=True)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_small_steps_of_16_bit_parameters_add_up(optimizer_class: Any, dtype: torch.dtype) -> None:
    """They are made in float32, also after the state has been saved and loaded."""
    torch.manual_seed(0)
    gradients = [torch.randn(3, 4).to(dtype).float() for _ in range(40)]
    wide = nn.Parameter(torch.ones(3, 4))
    expected = steps_in(optimizer_class, wide, gradients)
    narrow = nn.Parameter(torch.ones(3, 4, dtype=dtype))
    optimizer = steps_in(optimizer_class, narrow, gradients[:20])
    other = nn.Parameter(narrow.detach().clone())
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer = steps_in(optimizer_class, other, gradients[20:], saved)
    state = optimizer.state[other]
    assert other.dtype == dtype
    assert_close(state["master"], wide, atol=1e-6)
    assert_equal(other, state["master"].to(dtype))
    for average in AVERAGES[optimizer_class.__name__]:
        assert state[average].dtype == torch.float32
        assert_close(state[average], expected.state[wide][average], atol=1e-6)


def test_state_without_copies_starts_from_the_16_bit_parameters(optimizer_class: Any) -> None:
    parameter = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = steps_in(optimizer_class, parameter, [torch.ones(3)] * 3)
    state = copy.deepcopy(optimizer.state_dict())
    del state["state"][0]["master"]
    optimizer.load_state_dict(state)
    assert_equal(optimizer.state[parameter]["master"], parameter.float())


def test_16_bit_parameter_that_was_changed_keeps_its_new_value(optimizer_class: Any) -> None:
    parameter = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = steps_in(optimizer_class, parameter, [torch.ones(3)])
    with torch.no_grad():
        parameter[1] = 5.0
    optimizer.step()
    assert parameter[1].item() == pytest.approx(5.0, abs=0.02)
    assert parameter[0].item() == pytest.approx(1.0, abs=0.02)
