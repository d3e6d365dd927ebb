"""Many threads may call one model; calls and changes leave no memory behind."""

from __future__ import annotations

import copy
import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
import twin
from ptbert import BertConfig
from support import assert_close, assert_equal, seeded_ids

# The activations of a pass, and the C++ modules of a twin, take about 100 kB: were they kept, 100
# repeats would leave more than twice this.
LEAK = 4 * 2**20
IDS = seeded_ids("ids", (4, 6), 1, 99)


@pytest.fixture
def model(tiny_config: BertConfig) -> Any:
    return twin.make_pair("BertForSequenceClassification", tiny_config)[0].eval()


def run_in_threads(count: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def guarded(index: int) -> None:
        barrier.wait()
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("hooked", [False, True])
def test_eight_threads_share_a_model(model: Any, hooked: bool) -> None:
    if hooked:
        model.bert.encoder.layer[0].register_forward_hook(lambda *_: None)
    batches = []
    for index in range(8):
        ids = seeded_ids(f"ids{index}", (2, 5 + index), 1, 99)
        mask = torch.ones_like(ids)
        mask[1, 2 + index // 2 :] = 0
        batches.append((ids, None, mask))
    expected = [model(*batch) for batch in batches]

    def call(index: int) -> None:
        for _ in range(20):
            assert_equal(model(*batches[index]), expected[index])

    run_in_threads(8, call)


def test_first_calls_may_come_at_once(model: Any) -> None:
    outputs: list[Any] = [None] * 8

    def call(index: int) -> None:
        outputs[index] = model(IDS)

    run_in_threads(8, call)
    for output in outputs:
        assert_equal(output, outputs[0])


def test_gradients_of_threads_add_up(model: Any, tiny_config: BertConfig) -> None:
    def call(index: int) -> None:
        (gradient,) = torch.autograd.grad(model(IDS).sum(), model.classifier.bias)
        assert_equal(gradient, torch.full((3,), 4.0))

    run_in_threads(8, call)


def test_threads_see_either_value_of_a_replaced_part(model: Any) -> None:
    """Parameter, hook and layers change together with the bias that tells which state was seen."""
    parameters = [nn.Parameter(torch.full((3,), value)) for value in (1.0, 2.0)]
    with torch.no_grad():
        model.classifier.weight.zero_()
    poolers = [model.bert.pooler, nn.Identity()]
    allowed = [torch.full((4, 3), value) for value in (1.0, 2.0)]
    model.classifier.bias = parameters[0]
    done = threading.Event()
    seen: set[float] = set()

    def work(index: int) -> None:
        if index == 0:
            for step in range(150):
                model.classifier.bias = parameters[step % 2]
                model.bert.encoder.layer[1].output.dropout.p = 0.1 * (step % 3)
                model.bert.encoder.layer[0].note = poolers[step % 2]
                model(IDS)
            done.set()
            return
        while not done.is_set():
            output = model(IDS)
            assert any(torch.equal(output, one) for one in allowed), output
            seen.add(output[0, 0].item())

    run_in_threads(5, work)
    assert seen <= {1.0, 2.0}


def test_parameter_replaced_during_a_pass_is_used_by_the_next(model: Any) -> None:
    expected = model(IDS)
    old = model.classifier.bias
    new = nn.Parameter(old.detach() + 1)
    inner: list[Tensor] = []

    def replace(*_: Any) -> None:
        if inner:
            return
        model.classifier.bias = new
        inner.append(torch.zeros(0))
        inner.append(model(IDS))

    handle = model.bert.pooler.register_forward_hook(replace)
    outer = model(IDS)
    assert_close(inner[1], expected + 1)
    assert_close(outer, expected)
    handle.remove()
    assert_close(model(IDS), expected + 1)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(work: Callable[[], None], repeats: int) -> tuple[int, int]:
    """Objects and bytes that `repeats` more calls of `work` leave behind."""
    for _ in range(30):
        work()
    gc.collect()
    objects, memory = len(gc.get_objects()), resident_bytes()
    for _ in range(repeats):
        work()
    gc.collect()
    return len(gc.get_objects()) - objects, resident_bytes() - memory


def test_passes_leave_nothing_behind(model: Any) -> None:
    def work() -> None:
        model(IDS).sum().backward()

    objects, memory = growth(work, 300)
    assert objects < 50
    assert memory < LEAK


def test_hooks_come_and_go_without_a_trace(model: Any) -> None:
    def work() -> None:
        handle = model.bert.encoder.layer[0].register_forward_hook(lambda *_: model and None)
        model(IDS)
        handle.remove()
        model(IDS)

    objects, memory = growth(work, 200)
    assert objects < 50
    assert memory < LEAK


def test_replaced_parts_and_copies_are_freed(model: Any) -> None:
    def work() -> None:
        other = copy.deepcopy(model)
        other(IDS)
        model.classifier = nn.Linear(32, 3)
        model.bert.pooler.dense.weight = nn.Parameter(torch.zeros(32, 32))
        model(IDS)

    objects, memory = growth(work, 100)
    assert objects < 50
    assert memory < LEAK


@pytest.mark.parametrize("path", ["", "bert", "bert.encoder.layer.0.output.dense"])
def test_model_that_a_hook_refers_to_is_collected(path: str, tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertForSequenceClassification(tiny_config, 3)
    model.get_submodule(path).register_forward_hook(lambda *_, model=model: None)
    model.bert.encoder.layer[1].root = [model]
    model.bert.encoder.layer[1].intermediate.intermediate_act_fn = lambda x, model=model: x
    model(IDS).sum().backward()
    alive = [weakref.ref(module) for module in model.modules()]
    del model
    gc.collect()
    assert not any(reference() is not None for reference in alive)


def test_values_of_the_user_are_not_kept(model: Any) -> None:
    class Value:
        pass

    model.note = Value()
    model.bert.pooler.note = Value()
    references = [weakref.ref(model.note), weakref.ref(model.bert.pooler.note)]
    model(IDS)
    del model.note, model.bert.pooler.note
    assert [reference() for reference in references] == [None, None]


def test_parts_called_alone_do_not_keep_what_was_replaced(model: Any) -> None:
    layer = model.bert.encoder.layer[0]
    layer(torch.zeros(1, 3, 32))
    model(IDS)
    old = weakref.ref(layer.output.dense.weight)
    layer.output.dense.weight = nn.Parameter(torch.zeros(32, 37))
    model(IDS)
    assert old() is None


def test_model_is_freed_at_once(tiny_config: BertConfig) -> None:
    gc.disable()
    try:
        model, _ = twin.make_pair("BertForSequenceClassification", tiny_config)
        twin.gradients_of(model, "BertForSequenceClassification")
        model.bert.encoder.layer[0](torch.zeros(1, 2, 32))
        model.classifier = nn.Linear(32, 3)
        model.bert.pooler.register_forward_hook(lambda *_: None)
        model(IDS)
        alive = [weakref.ref(module) for module in model.modules()]
        alive += [weakref.ref(parameter) for parameter in model.parameters()]
        del model
        assert not any(reference() is not None for reference in alive)
    finally:
        gc.enable()
