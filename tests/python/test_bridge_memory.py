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

import plain_bert
from ptbert import BertConfig

pytestmark = pytest.mark.usefixtures("one_thread")

# The activations of a pass, and the C++ modules of a twin, take about 100 kB: were they kept, 100
# repeats would leave more than twice this.
LEAK = 4 * 2**20
# A composite node and a leaf.
NODES = ["bert.encoder.layer.0", "bert.encoder.layer.0.output.dense"]
HOOKS = ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"]


@pytest.fixture
def model(class_name: str, tiny_config: BertConfig) -> Any:
    return plain_bert.make_pair(class_name, tiny_config)[0]


@pytest.fixture
def batch(class_name: str) -> dict[str, Tensor]:
    """Padded rows and their labels."""
    return plain_bert.batch_and_labels(class_name)


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
    assert_no_growth(lambda: model(**batch).backward(), 1000)


def test_copies_leave_nothing_behind(model: Any, batch: dict[str, Tensor]) -> None:
    model(**batch)
    assert_no_growth(lambda: copy.deepcopy(model)(**batch).backward(), 200)


@pytest.mark.parametrize("kind", HOOKS)
def test_hooks_come_and_go_without_a_trace(kind: str, model: Any, batch: dict[str, Tensor]) -> None:
    def work() -> None:
        for path in NODES:
            register = getattr(model.get_submodule(path), f"register_{kind}")
            handle = register(lambda *_: model and None)
            model(**batch).backward()
            handle.remove()

    assert_no_growth(work, 200)


def test_replaced_parts_leave_nothing_behind(model: Any, batch: dict[str, Tensor]) -> None:
    def work() -> None:
        model.bert.encoder.layer[1] = copy.deepcopy(model.bert.encoder.layer[1])
        model.bert.pooler.dense.weight = nn.Parameter(torch.zeros(32, 32))
        model(**batch).backward()

    assert_no_growth(work, 200)


@pytest.mark.parametrize("path", ["", "bert", *NODES])
def test_model_that_a_hook_refers_to_is_collected(
    path: str, class_name: str, tiny_config: BertConfig, batch: dict[str, Tensor]
) -> None:
    model, _ = plain_bert.make_pair(class_name, tiny_config)
    model.get_submodule(path).register_forward_hook(lambda *_, model=model: None)
    model.bert.encoder.layer[1].root = [model]
    model.bert.encoder.layer[1].intermediate.intermediate_act_fn = lambda x, model=model: x
    model(**batch).backward()
    alive = [weakref.ref(module) for module in model.modules()]
    del model
    gc.collect()
    assert not any(reference() is not None for reference in alive)


def test_values_of_the_user_are_not_kept(model: Any, batch: dict[str, Tensor]) -> None:
    class Value:
        pass

    model.note = Value()
    model.bert.pooler.note = Value()
    references = [weakref.ref(model.note), weakref.ref(model.bert.pooler.note)]
    model(**batch)
    del model.note, model.bert.pooler.note
    assert [reference() for reference in references] == [None, None]


def test_parts_called_alone_do_not_keep_what_was_replaced(
    model: Any, batch: dict[str, Tensor]
) -> None:
    layer = model.bert.encoder.layer[0]
    layer(torch.zeros(1, 3, 32))
    model(**batch)
    old = weakref.ref(layer.output.dense.weight)
    layer.output.dense.weight = nn.Parameter(torch.zeros(32, 37))
    model(**batch)
    assert old() is None


def test_model_is_freed_at_once(
    class_name: str, tiny_config: BertConfig, batch: dict[str, Tensor]
) -> None:
    gc.disable()
    try:
        model, _ = plain_bert.make_pair(class_name, tiny_config)
        model(**batch).backward()
        model.bert.encoder.layer[0](torch.zeros(1, 2, 32))
        model.bert.pooler.dense = nn.Linear(32, 32)
        model.bert.pooler.register_forward_hook(lambda *_: None)
        model(**batch).backward()
        alive = [weakref.ref(module) for module in model.modules()]
        alive += [weakref.ref(parameter) for parameter in model.parameters()]
        del model
        assert not any(reference() is not None for reference in alive)
    finally:
        gc.enable()
