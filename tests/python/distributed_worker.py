"""What each of two processes does for test_distributed.py; a module that they can import."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import ptbert
from support import TINY_CONFIG, assert_close, seed_weights, seeded_ids

PROCESSES = 2
ROWS = 4
Batch = dict[str, Tensor]
CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS[function.__name__] = function
    return function


def make_model(class_name: str) -> Any:
    """A model of seeded weights without dropout, the same in every process."""
    config = ptbert.BertConfig.from_dict(TINY_CONFIG)
    model = getattr(ptbert, class_name)(config)
    seed_weights(model)
    return model.eval()


def whole_batch(class_name: str) -> Batch:
    """Padded rows and their labels."""
    ids = seeded_ids("ids", (ROWS, 6), 1, 99)
    mask = (torch.arange(6) < torch.tensor([[6], [3], [5], [4]])).long()
    if class_name == "BertForQuestionAnswering":
        labels = {"start_positions": torch.tensor([1, 2, 0, 1])}
        labels["end_positions"] = torch.tensor([2, 2, 3, 1])
    else:
        labels = {"labels": torch.tensor([0, 1, 1, 0])}
    return {"input_ids": ids, "attention_mask": mask, **labels}


def part(batch: Batch, count: int = PROCESSES, index: int | None = None) -> Batch:
    """One of `count` equal parts of a batch: that of this process by default."""
    index = dist.get_rank() if index is None else index
    return {name: tensor.chunk(count)[index] for name, tensor in batch.items()}


def gradients(model: nn.Module) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def expected_gradients(class_name: str) -> dict[str, Tensor | None]:
    """Those of one process that sees the whole batch."""
    model = make_model(class_name)
    model(**whole_batch(class_name)).backward()
    return gradients(model)


def assert_gradients(model: nn.Module, expected: dict[str, Tensor | None]) -> None:
    for name, gradient in gradients(model).items():
        wanted = expected[name]
        if wanted is None:
            assert gradient is None or not gradient.any(), name
        else:
            assert gradient is not None, name
            assert_close(gradient, wanted, 1e-5 * max(1.0, float(wanted.abs().max())))


def compare_with_one_process(class_name: str, **options: Any) -> None:
    model = make_model(class_name)
    wrapped = DistributedDataParallel(model, **options)
    expected = expected_gradients(class_name)
    for _ in range(2):
        model.zero_grad()
        wrapped(**part(whole_batch(class_name))).backward()
        assert_gradients(model, expected)


@check
def gradients_are_those_of_one_process() -> None:
    compare_with_one_process("BertForSequenceClassification")


@check
def unused_parameters_are_found() -> None:
    compare_with_one_process("BertForQuestionAnswering", find_unused_parameters=True)


@check
def static_graph() -> None:
    compare_with_one_process("BertForQuestionAnswering", static_graph=True)


@check
def accumulation_without_synchronising() -> None:
    class_name = "BertForSequenceClassification"
    model = make_model(class_name)
    wrapped = DistributedDataParallel(model)
    mine = part(whole_batch(class_name))
    with wrapped.no_sync():
        (wrapped(**part(mine, 2, 0)) / 2).backward()
    (wrapped(**part(mine, 2, 1)) / 2).backward()
    assert_gradients(model, expected_gradients(class_name))


@check
def hooks_and_replaced_parts_are_synchronised() -> None:
    class_name = "BertForSequenceClassification"
    single, model = make_model(class_name), make_model(class_name)
    for tree in (single, model):
        torch.manual_seed(0)
        tree.classifier = nn.Sequential(nn.Linear(32, 8), nn.Tanh(), nn.Linear(8, 2))
        tree.bert.encoder.layer[0].register_forward_hook(lambda _, inputs, output: 2 * output)
    single(**whole_batch(class_name)).backward()
    wrapped = DistributedDataParallel(model)
    wrapped(**part(whole_batch(class_name))).backward()
    assert_gradients(model, gradients(single))


@check
def fully_sharded_step_is_that_of_one_process() -> None:
    class_name = "BertForSequenceClassification"
    single = make_model(class_name)
    sharded = copy.deepcopy(single)
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for layer in sharded.bert.encoder.layer:
        fully_shard(layer, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    for model, batch in (
        (single, whole_batch(class_name)),
        (sharded, part(whole_batch(class_name))),
    ):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(**batch).backward()
            optimizer.step()
    for value, wanted in zip(
        sharded.state_dict().values(), single.state_dict().values(), strict=True
    ):
        assert_close(value.full_tensor(), wanted, 1e-4)


def run(rank: int, folder: str) -> None:
    """Run every check and write what went wrong, or nothing, to a file of its name."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=60),
    )
    for name, function in CHECKS.items():
        try:
            function()
            problem = ""
        except Exception:
            problem = traceback.format_exc()
        Path(folder, f"{name}.{rank}").write_text(problem, encoding="utf-8")
    dist.destroy_process_group()


def call(model: nn.Module, ids: Tensor, connection: Connection) -> None:
    """Send back what a model from another process gives."""
    with torch.no_grad():
        connection.send(model(ids).tolist())
