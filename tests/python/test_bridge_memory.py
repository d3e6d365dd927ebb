"""Calls and changes leave no memory behind."""

from __future__ import annotations

import copy
import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_models
from plain_models import activation_of, loss_of, part_of, path_of

pytestmark = pytest.mark.usefixtures("one_thread")

# The activations of a pass, and the C++ modules of a twin, take about 100 kB: were they kept, 100
# repeats would leave more than twice this.
LEAK = 4 * 2**20
# A composite node and a leaf.
NODES = ["block", "dense"]
HOOKS = ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"]


@pytest.fixture(params=plain_models.FEWER_CLASSES)
def class_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(class_name: str) -> Any:
    return plain_models.make_pair(class_name)[0]


@pytest.fixture
def batch(class_name: str) -> dict[str, Tensor]:
    """Padded rows and their labels."""
    return plain_models.batch_and_labels(class_name)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def assert_no_growth(work: Callable[[], None], repeats: int) -> None:
    """Fails where `repeats` more calls of `work` leave objects or memory behind."""
    for _ in range(30):
        work()
    gc.collect()
    objects, memory = len(gc.get_objects()), resident_bytes()
    for _ in range(repeats):
        work()
    gc.collect()
    assert len(gc.get_objects()) - objects < 50
    assert resident_bytes() - memory < LEAK


def test_passes_leave_nothing_behind(model: Any, batch: dict[str, Tensor]) -> None:
    assert_no_growth(lambda: loss_of(model(**batch)).backward(), 1000)


def test_copies_leave_nothing_behind(model: Any, batch: dict[str, Tensor]) -> None:
    model(**batch)
    assert_no_growth(lambda: loss_of(copy.deepcopy(model)(**batch)).backward(), 200)


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_come_and_go_without_a_trace(kind: str, model: Any, batch: dict[str, Tensor]) -> None:
    def work() -> None:
        for role in NODES:
            register = getattr(part_of(model, role), f"register_{kind}")
            handle = register(lambda *_: model and None)
            loss_of(model(**batch)).backward()
            handle.remove()

    assert_no_growth(work, 200)


def test_replaced_parts_leave_nothing_behind(model: Any, batch: dict[str, Tensor]) -> None:
    def work() -> None:
        blocks = part_of(model, "blocks")
        blocks[1] = copy.deepcopy(blocks[1])
        dense = part_of(model, "dense")
        dense.weight = nn.Parameter(torch.zeros_like(dense.weight))
        loss_of(model(**batch)).backward()

    assert_no_growth(work, 200)


@pytest.mark.parametrize("role", ["", "trunk", *NODES])
def test_model_that_a_hook_refers_to_is_collected(
    role: str, class_name: str, batch: dict[str, Tensor]
) -> None:
    model, _ = plain_models.make_pair(class_name)
    part = part_of(model, role) if role else model
    part.register_forward_hook(lambda *_, model=model: None)
    part_of(model, "block", 1).root = [model]
    if class_name != plain_models.TRANSFO_XL:  # whose activation is a module
        setattr(*activation_of(model, 1), lambda x, model=model: x)
    loss_of(model(**batch)).backward()
    alive = [weakref.ref(module) for module in model.modules()]
    del model, part
    gc.collect()
    assert not any(reference() is not None for reference in alive)


def test_values_of_the_user_are_not_kept(model: Any, batch: dict[str, Tensor]) -> None:
    class Value:
        pass

    model.note = Value()
    part = part_of(model, "feed_forward")
    part.note = Value()
    references = [weakref.ref(model.note), weakref.ref(part.note)]
    model(**batch)
    del model.note, part.note
    assert [reference() for reference in references] == [None, None]


def test_parts_called_alone_do_not_keep_what_was_replaced(
    model: Any, batch: dict[str, Tensor]
) -> None:
    part_of(model, "block")(*plain_models.block_inputs(model, 3))
    model(**batch)
    dense = part_of(model, "dense")
    old = weakref.ref(dense.weight)
    dense.weight = nn.Parameter(torch.zeros(dense.weight.shape))
    model(**batch)
    assert old() is None


def test_model_is_freed_at_once(class_name: str, batch: dict[str, Tensor]) -> None:
    gc.disable()
    try:
        model, _ = plain_models.make_pair(class_name)
        loss_of(model(**batch)).backward()
        part_of(model, "block")(*plain_models.block_inputs(model, 2))
        attention = path_of(model, "queries")
        part_of(model, "queries").register_forward_hook(lambda *_: None)
        model.set_submodule(attention, nn.Linear(32, 32 if hasattr(model, "bert") else 96))
        part_of(model, "feed_forward").register_forward_hook(lambda *_: None)
        loss_of(model(**batch)).backward()
        alive = [weakref.ref(module) for module in model.modules()]
        alive += [weakref.ref(parameter) for parameter in model.parameters()]
        del model
        assert not any(reference() is not None for reference in alive)
    finally:
        gc.enable()
