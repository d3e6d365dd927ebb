"""Many threads may call one model, also while it is changed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_models
from model_cases import flat_outputs, probe_loss
from plain_models import part_of
from support import assert_close, assert_equal, seeded_ids

THREADS = 8


@pytest.fixture(params=plain_models.FEWER_CLASSES)
def class_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(class_name: str) -> tuple[Any, Any]:
    """A model and its counterpart in plain PyTorch, in evaluation mode."""
    model, plain = plain_models.make_pair(class_name)
    return model.eval(), plain.eval()


@pytest.fixture
def ids(class_name: str) -> tuple[Tensor, ...]:
    return plain_models.ids(class_name, 4, 6)


def another_batch(class_name: str, index: int) -> tuple[Tensor | None, ...]:
    """Another batch for every thread."""
    if not class_name.startswith("Bert"):
        return plain_models.ids(class_name, 2, 5 + index, f"ids{index}")
    ids = seeded_ids(f"ids{index}", (2, 5 + index), 1, 99)
    mask = torch.ones_like(ids)
    mask[1, 2 + index // 2 :] = 0
    return ids, None, mask


def scores(model: Any, *inputs: Tensor | None) -> Tensor:
    return flat_outputs(model(*inputs))[0].detach()


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


def assert_threads_get(expected: list[Tensor], call: Callable[[int], Tensor]) -> None:
    """Fails unless `call` gives every thread, time and again, the tensor of its index."""

    def work(index: int) -> None:
        for _ in range(20):
            assert_equal(call(index), expected[index])

    run_in_threads(THREADS, work)


@pytest.mark.parametrize("hooked", [False, True])
def test_eight_threads_share_a_model(hooked: bool, pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    if hooked:
        part_of(model, "block").register_forward_hook(lambda *_: None)
    batches = [another_batch(class_name, index) for index in range(THREADS)]
    expected = [scores(model, *batch) for batch in batches]
    for output, batch in zip(expected, batches, strict=True):
        assert_close(output, scores(plain, *batch))
    assert_threads_get(expected, lambda index: scores(model, *batches[index]))


def test_threads_may_call_different_models() -> None:
    names = plain_models.CLASSES
    models = [plain_models.make_pair(name)[0].eval() for name in names]
    which = [index % len(names) for index in range(THREADS)]
    calls = [(models[i], *another_batch(names[i], index)) for index, i in enumerate(which)]
    expected = [scores(*call) for call in calls]
    assert_threads_get(expected, lambda index: scores(*calls[index]))


def test_first_calls_may_come_at_once(pair: tuple[Any, Any], ids: tuple[Tensor, ...]) -> None:
    model, plain = pair
    outputs = [torch.empty(0)] * THREADS

    def call(index: int) -> None:
        outputs[index] = scores(model, *ids)

    run_in_threads(THREADS, call)
    for output in outputs:
        assert_equal(output, outputs[0])
    assert_close(outputs[0], scores(plain, *ids))


def test_gradients_of_threads_add_up(pair: tuple[Any, Any], class_name: str) -> None:
    def backward(tree: Any, index: int) -> None:
        probe_loss(flat_outputs(tree(*another_batch(class_name, index)))).backward()

    model, plain = pair
    run_in_threads(THREADS, lambda index: backward(model, index))
    for index in range(THREADS):
        backward(plain, index)
    for name, parameter in plain.named_parameters():
        gradient, expected = model.get_parameter(name).grad, parameter.grad
        assert (gradient is None) == (expected is None), name
        if expected is not None:
            assert_close(gradient, expected, 1e-5 * max(1.0, float(expected.abs().max())))


def test_interpreter_is_free_during_a_pass(pair: tuple[Any, Any], class_name: str) -> None:
    """With a long switch interval, another thread can run only while C++ releases the GIL."""
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(1e-4)

    ids = plain_models.ids(class_name, 512, 64)
    thread = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(600)
    try:
        thread.start()
        with torch.no_grad():
            for _ in range(20):
                before = ticks
                pair[0](*ids)
                progress = ticks - before
                if progress >= 10:
                    break
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
    assert progress >= 10


def weight_replacer(role: str) -> Callable[[Any], Callable[[int], None]]:
    def replacer(model: Any) -> Callable[[int], None]:
        dense = part_of(model, role)
        weights = [nn.Parameter(scale * dense.weight.detach()) for scale in (1, -2)]
        return lambda state: setattr(dense, "weight", weights[state])

    return replacer


def layer_replacer(model: Any) -> Callable[[int], None]:
    blocks = part_of(model, "blocks")
    layers = [blocks[1], nn.Identity()]
    if hasattr(model, "transformer") and hasattr(model.transformer, "wte"):
        layers[1].forward = lambda x, *_: (2 * x, x)
    else:
        layers[1].forward = lambda hidden_states, *_: 2 * hidden_states
    return lambda state: blocks.__setitem__(1, layers[state])


def hook_replacer(model: Any) -> Callable[[int], None]:
    handles: list[Any] = []

    def replace(state: int) -> None:
        layer = part_of(model, "feed_forward")
        if state:
            handles.append(layer.register_forward_hook(lambda _, inputs, output: -output))
        elif handles:
            handles.pop().remove()

    return replace


REPLACERS: dict[str, Callable[[Any], Callable[[int], None]]] = {
    "weight": weight_replacer("dense"),
    "weight of the embeddings": weight_replacer("positions"),
    "layer": layer_replacer,
    "hook": hook_replacer,
}


@pytest.mark.parametrize("replaced", REPLACERS)
def test_threads_see_either_value_of_a_replaced_part(
    replaced: str, pair: tuple[Any, Any], ids: tuple[Tensor, ...]
) -> None:
    """Every pass returns the output of the old or the new part; the new one is used soon."""
    model, plain = pair
    replace = REPLACERS[replaced](model)
    replace_in_plain = REPLACERS[replaced](plain)
    expected: list[Tensor] = []
    for state in (0, 1):
        replace_in_plain(state)
        expected.append(scores(plain, *ids))
    assert float((expected[0] - expected[1]).abs().max()) > 1e-2
    seen: SimpleQueue[int] = SimpleQueue()
    done = threading.Event()

    def replace_and_wait() -> None:
        for step in range(60):
            replace(step % 2)
            while seen.get(timeout=60) != step % 2:
                pass

    def call() -> None:
        while not done.is_set():
            output = scores(model, *ids)
            distances = [float((output - one).abs().max()) for one in expected]
            assert min(distances) <= 1e-5, distances
            seen.put(distances.index(min(distances)))

    def work(index: int) -> None:
        try:
            call() if index else replace_and_wait()
        finally:
            done.set()

    run_in_threads(5, work)


def test_parameter_replaced_during_a_pass_is_used_by_the_next(
    class_name: str, pair: tuple[Any, Any], ids: tuple[Tensor, ...]
) -> None:
    model, _ = pair
    expected = scores(model, *ids)
    if hasattr(model, "crit"):
        head, name = model.crit.out_layers[2], "weight"
        new = nn.Parameter(2 * head.weight.detach())
        other, _ = plain_models.make_pair(class_name)
        other.eval().crit.out_layers[2].weight = new
        later = scores(other, *ids)
    elif hasattr(model, "lm_head"):
        head, name = model.lm_head.decoder, "weight"
        new, later = nn.Parameter(2 * head.weight.detach()), 2 * expected
    else:
        head, name = list(model.children())[-1], "bias"
        new, later = nn.Parameter(head.bias.detach() + 1), expected + 1
    inner: list[Tensor] = []

    def replace(*_: Any) -> None:
        if getattr(head, name) is not new:
            setattr(head, name, new)
            inner.append(scores(model, *ids))

    last = model.bert.pooler if hasattr(model, "bert") else part_of(model, "block", 1)
    handle = last.register_forward_hook(replace)
    outer = scores(model, *ids)
    assert_close(inner[0], later)
    assert_close(outer, expected)
    handle.remove()
    assert_close(scores(model, *ids), later)
