"""Fast paths give the results of the plain path for all strides of tensors."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import plain_models
from fast_path_support import (
    CLASSES,
    TOKEN_CLASSES,
    assert_paths_agree,
    make_model,
    padded_batch,
    token_labels,
)
from support import assert_close

# Each gives a tensor of the same values.
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "last dimension first": lambda x: x.movedim(-1, 0).contiguous().movedim(0, -1),
    "every other element": lambda x: torch.stack([x, x + 1], dim=-1)[..., 0],
    "within a larger one": lambda x: torch.cat([x - 1, x, x + 1], dim=-1).narrow(
        -1, x.shape[-1], x.shape[-1]
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_keep_values(layout: str) -> None:
    x = torch.arange(24).view(2, 3, 4)
    assert torch.equal(LAYOUTS[layout](x), x)


@given(
    class_name=st.sampled_from(sorted(CLASSES | TOKEN_CLASSES)),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_paths_agree_for_any_strides(
    class_name: str, lengths: list[int], dtype: torch.dtype, seed: int
) -> None:
    torch.manual_seed(seed)
    choose = random.Random(seed)

    def laid_out(x: Tensor) -> Tensor:
        return choose.choice(list(LAYOUTS.values()))(x)

    model = make_model(class_name).eval().to(dtype)
    for parameter in model.parameters():
        parameter.data = laid_out(parameter.data)
    inputs = list(padded_batch([length for length in lengths for _ in range(2)]))
    if class_name in TOKEN_CLASSES:
        inputs += token_labels(class_name, inputs[2])
    elif class_name == "BertForMultipleChoice":
        inputs = [x.unflatten(0, (-1, 2)) for x in inputs]
    inputs = [laid_out(x) for x in inputs]
    assert_paths_agree(model, *inputs, atol=2e-5)
    with torch.no_grad():
        result = model(*inputs)
        with plain_models.plain_paths():
            assert_close(result, model(*inputs), 2e-5)
