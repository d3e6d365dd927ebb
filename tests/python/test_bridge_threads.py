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

import plain_bert
from model_cases import flat_outputs, probe_loss
from ptbert import BertConfig
from support import assert_close, assert_equal, seeded_ids

IDS = seeded_ids("ids", (4, 6), 1, 99)
THREADS = 8


@pytest.fixture
def pair(class_name: str, tiny_config: BertConfig) -> tuple[Any, Any]:
    """A model and its counterpart in plain PyTorch, in evaluation mode."""
    model, plain = plain_bert.make_pair(class_name, tiny_config)
    return model.eval(), plain.eval()


def padded_batch(index: int) -> tuple[Tensor, None, Tensor]:
    """Another batch for every thread."""
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
def test_eight_threads_share_a_model(hooked: bool, pair: tuple[Any, Any]) -> None:
    model, plain = pair
    if hooked:
        model.bert.encoder.layer[0].register_forward_hook(lambda *_: None)
    batches = [padded_batch(index) for index in range(THREADS)]
    expected = [scores(model, *batch) for batch in batches]
    for output, batch in zip(expected, batches, strict=True):
        assert_close(output, scores(plain, *batch))
    assert_threads_get(expected, lambda index: scores(model, *batches[index]))


def test_threads_may_call_different_models(tiny_config: BertConfig) -> None:
    models = [plain_bert.make_pair(name, tiny_config)[0].eval() for name in plain_bert.CLASSES]
    calls = [(models[index % 2], *padded_batch(index)) for index in range(THREADS)]
    expected = [scores(*call) for call in calls]
    assert_threads_get(expected, lambda index: scores(*calls[index]))


def test_first_calls_may_come_at_once(pair: tuple[Any, Any]) -> None:
    model, plain = pair
    outputs = [torch.empty(0)] * THREADS

    def call(index: int) -> None:
        outputs[index] = scores(model, IDS)

    run_in_threads(THREADS, call)
    for output in outputs:
        assert_equal(output, outputs[0])
    assert_close(outputs[0], scores(plain, IDS))


def test_gradients_of_threads_add_up(pair: tuple[Any, Any]) -> None:
    def backward(tree: Any, index: int) -> None:
        probe_loss(flat_outputs(tree(*padded_batch(index)))).backward()

    model, plain = pair
    run_in_threads(THREADS, lambda index: backward(model, index))
    for index in range(THREADS):
        backward(plain, index)
    for name, parameter in plain.named_parameters():
        gradient, expected = model.get_parameter(name).grad, parameter.grad
        assert (gradient is None) == (expected is None), name
        if expected is not None:
            assert_close(gradient, expected, 1e-5 * max(1.0, float(expected.abs().max())))


def test_interpreter_is_free_during_a_pass(pair: tuple[Any, Any]) -> None:
    """With a long switch interval, another thread can run only while C++ releases the GIL."""
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(1e-4)

    ids = seeded_ids("long", (512, 64), 1, 99)
    thread = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(600)
    try:
        thread.start()
        with torch.no_grad():
            for _ in range(20):
                before = ticks
                pair[0](ids)
                progress = ticks - before
                if progress >= 10:
                    break
    finally:
        sys.setswitchinterval(interval)
        done.set()
        thread.join()
    assert progress >= 10


def weight_replacer(path: str) -> Callable[[Any], Callable[[int], None]]:
    def replacer(model: Any) -> Callable[[int], None]:
        dense = model.get_submodule(path)
        weights = [nn.Parameter(scale * dense.weight.detach()) for scale in (1, -2)]
        return lambda state: setattr(dense, "weight", weights[state])

    return replacer


def layer_replacer(model: Any) -> Callable[[int], None]:
    layers = [model.bert.encoder.layer[1], nn.Identity()]
    layers[1].forward = lambda hidden_states, *_: 2 * hidden_states
    return lambda state: model.bert.encoder.layer.__setitem__(1, layers[state])


def hook_replacer(model: Any) -> Callable[[int], None]:
    handles: list[Any] = []

    def replace(state: int) -> None:
        layer = model.bert.encoder.layer[0]
        if state:
            handles.append(layer.register_forward_hook(lambda _, inputs, output: -output))
        elif handles:
            handles.pop().remove()

    return replace


REPLACERS: dict[str, Callable[[Any], Callable[[int], None]]] = {
    "weight": weight_replacer("bert.encoder.layer.0.output.dense"),
    "weight of the embeddings": weight_replacer("bert.embeddings.token_type_embeddings"),
    "layer": layer_replacer,
    "hook": hook_replacer,
}


@pytest.mark.parametrize("replaced", REPLACERS)
def test_threads_see_either_value_of_a_replaced_part(replaced: str, pair: tuple[Any, Any]) -> None:
    """Every pass returns the output of the old or the new part; the new one is used soon."""
    model, plain = pair
    replace = REPLACERS[replaced](model)
    replace_in_plain = REPLACERS[replaced](plain)
    expected: list[Tensor] = []
    for state in (0, 1):
        replace_in_plain(state)
        expected.append(scores(plain, IDS))
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
            output = scores(model, IDS)
            distances = [float((output - one).abs().max()) for one in expected]
            assert min(distances) <= 1e-5, distances
            seen.put(distances.index(min(distances)))

    def work(index: int) -> None:
        try:
            call() if index else replace_and_wait()
        finally:
            done.set()

    run_in_threads(5, work)


def test_parameter_replaced_during_a_pass_is_used_by_the_next(pair: tuple[Any, Any]) -> None:
    model, _ = pair
    _, head = list(model.named_children())[-1]
    expected = scores(model, IDS)
    new = nn.Parameter(head.bias.detach() + 1)
    inner: list[Tensor] = []

    def replace(*_: Any) -> None:
        if head.bias is not new:
            head.bias = new
            inner.append(scores(model, IDS))

    handle = model.bert.pooler.register_forward_hook(replace)
    outer = scores(model, IDS)
    assert_close(inner[0], expected + 1)
    assert_close(outer, expected)
    handle.remove()
    assert_close(scores(model, IDS), expected + 1)
