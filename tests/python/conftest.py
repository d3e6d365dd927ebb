"""Fixtures that several test files use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import plain_models
import ptbert
from optimization_cases import OPTIMIZERS
from support import REPOSITORY, TINY_CONFIG


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Makes every test start from the same random state and leave none behind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def plain_paths() -> Iterator[None]:
    """Keeps the test on the plain paths."""
    with plain_models.plain_paths():
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For tiny models, whose threads wait for one another most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=plain_models.CLASSES)
def class_name(request: pytest.FixtureRequest) -> str:
    """One of the models that have a counterpart in plain PyTorch."""
    return str(request.param)


@pytest.fixture
def pair(class_name: str) -> tuple[Any, Any]:
    """A tiny model, never called, and its counterpart in plain PyTorch, in training mode."""
    return plain_models.make_pair(class_name)


@pytest.fixture
def ids(class_name: str) -> tuple[Tensor, ...]:
    """All that the model must be given, by position."""
    return plain_models.ids(class_name)


@pytest.fixture
def tiny_fields() -> dict[str, Any]:
    """The fields of the tiny configuration, for a test that changes some."""
    return dict(TINY_CONFIG)


@pytest.fixture
def tiny_config(tiny_fields: dict[str, Any]) -> ptbert.BertConfig:
    """Hidden size 32, 2 layers, 4 heads, vocabulary 99."""
    return ptbert.BertConfig.from_dict(tiny_fields)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data sets named by PTBERT_TEST_DATA; skips where it is absent."""
    folder = Path(os.environ.get("PTBERT_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}: set PTBERT_TEST_DATA")
    return folder


@pytest.fixture(params=OPTIMIZERS)
def optimizer_class(request: pytest.FixtureRequest) -> Any:
    """Each of the optimizers."""
    return getattr(ptbert, request.param)
