"""What each of two processes does for test_distributed.py; a module that they can import."""

from __future__ import annotations

import copy
import gc
import traceback
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import plain_models
from plain_models import loss_of, part_of, put
from support import assert_close, seeded_ids

PROCESSES = 2
ROWS = 4
Batch = dict[str, Tensor]


def make_pair(class_name: str, changed: bool = False, **fields: Any) -> tuple[Any, Any]:
    """A model and its counterpart in plain PyTorch without dropout, the same in every process."""
    pair = plain_models.make_pair(class_name, **fields)
    for tree in pair:
        tree.eval()
        if changed:
            change(tree)
    return pair


def change(tree: Any) -> None:
    """Replaces a part and adds a hook."""
    torch.manual_seed(0)
    inner = part_of(tree, "inner", 1).bias.numel()
    parts = nn.Linear(inner, 8), nn.Tanh(), nn.Linear(8, 32)
    put(tree, "dense", nn.Sequential(*parts), 1)
    part_of(tree, "feed_forward").register_forward_hook(double)


def double(_: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return 2 * output


def whole_batch(class_name: str) -> Batch:
    """Padded rows and their labels, as many in every part of the batch."""
    if class_name == plain_models.TRANSFO_XL:
        (ids,) = plain_models.ids(class_name, ROWS, 6)
        return {"input_ids": ids, "target": ids.roll(1, 0)}
    if "GPT" in class_name:
        named = ("input_ids", "mc_token_ids")
        batch = dict(zip(named, plain_models.ids(class_name, ROWS, 6), strict=False))
        batch["lm_labels"] = batch["input_ids"]
        if "mc_token_ids" in batch:
            batch["mc_labels"] = torch.tensor([0, 1, 1, 0])
        return batch
    ids = seeded_ids("ids", (ROWS, 6), 1, 99)
    mask = (torch.arange(6) < torch.tensor([[6], [3], [5], [4]])).long()
    if class_name == "BertForQuestionAnswering":
        labels = {"start_positions": torch.tensor([1, 2, 0, 1])}
        labels["end_positions"] = torch.tensor([2, 2, 3, 1])
    else:
        labels = {"labels": torch.tensor([0, 1, 2, 0])}
    return {"input_ids": ids, "attention_mask": mask, **labels}


def part(batch: Batch, count: int = PROCESSES, index: int | None = None) -> Batch:
    """One of `count` equal parts of a batch: that of this process by default."""
    index = dist.get_rank() if index is None else index
    return {name: tensor.chunk(count)[index] for name, tensor in batch.items()}


def gradients(model: nn.Module) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_gradients(model: nn.Module, expected: dict[str, Tensor | None]) -> None:
    """Compares gradients; zeros and None are equal."""
    actual = gradients(model)
    assert list(actual) == list(expected)
    for name, gradient in actual.items():
        wanted = expected[name]
        if wanted is None:
            assert gradient is None or not gradient.any(), name
        else:
            assert gradient is not None, name
            assert_close(gradient, wanted, 1e-5 * max(1.0, float(wanted.abs().max())))


def compare_gradients(class_name: str, changed: bool, **options: Any) -> None:
    """Compares DistributedDataParallel with plain PyTorch on the whole batch."""
    model, plain = make_pair(class_name, changed)
    loss_of(plain(**whole_batch(class_name))).backward()
    wrapped = DistributedDataParallel(model, **options)
    for _ in range(2):
        model.zero_grad()
        loss_of(wrapped(**part(whole_batch(class_name)))).backward()
        assert_gradients(model, gradients(plain))


def compare_accumulated(class_name: str, **options: Any) -> None:
    """As `compare_gradients`, for two steps of which only the second is synchronised."""
    model, plain = make_pair(class_name)
    loss_of(plain(**whole_batch(class_name))).backward()
    wrapped = DistributedDataParallel(model, **options)
    for index in range(2):
        with wrapped.no_sync() if index == 0 else nullcontext():
            (loss_of(wrapped(**part(part(whole_batch(class_name)), 2, index))) / 2).backward()
    assert_gradients(model, gradients(plain))


def train(model: nn.Module, batch: Batch) -> Iterable[Tensor]:
    """The parameters after three steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model(**batch)).backward()
        optimizer.step()
    return model.parameters()


def compare_parameters(class_name: str, changed: bool) -> None:
    """Compares training under FSDP2 and DistributedDataParallel with one plain process."""
    # Blocks that FSDP2 shards one by one must not share parameters.
    own = {"untie_r": True} if class_name == plain_models.TRANSFO_XL else {}
    model, plain = make_pair(class_name, changed, **own)
    sharded = copy.deepcopy(model)
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for layer in part_of(sharded, "blocks"):
        fully_shard(layer, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    whole = whole_batch(class_name)
    expected = train(plain, whole)
    replicated = train(DistributedDataParallel(model, find_unused_parameters=True), part(whole))
    shards: Iterable[Any] = train(sharded, part(whole))
    for wanted, copied, shard in zip(expected, replicated, shards, strict=True):
        assert_close(copied, wanted, 1e-4)
        assert_close(shard.full_tensor(), wanted, 1e-4)


OPTIONS: dict[str, dict[str, Any]] = {
    "no_options": {},
    "find_unused_parameters": {"find_unused_parameters": True},
    "static_graph": {"static_graph": True},
}
CHECKS: dict[str, Callable[[], None]] = {}
for name in plain_models.CLASSES:
    for label, options in OPTIONS.items():
        # By default all parameters must get gradients; an unused pooler would not.
        if name not in plain_models.WITH_UNUSED_PARTS or options:
            CHECKS[f"{name}-{label}"] = partial(compare_gradients, name, False, **options)
    has_unused = name in plain_models.WITH_UNUSED_PARTS
    unused = OPTIONS["find_unused_parameters" if has_unused else "no_options"]
    CHECKS[f"{name}-changed"] = partial(compare_gradients, name, True, **unused)
    CHECKS[f"{name}-no_sync"] = partial(compare_accumulated, name, **unused)
    CHECKS[f"{name}-sharded"] = partial(compare_parameters, name, False)
    CHECKS[f"{name}-changed_and_sharded"] = partial(compare_parameters, name, True)


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
    # Connections end together, after everything that uses them: a process that still has some when
    # the other has left may be aborted by gloo.
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()


def step(model: nn.Module, batch: Batch) -> list[Any]:
    """The loss and the gradients, as lists, which pass through a pipe."""
    loss = loss_of(model(**batch))
    loss.backward()
    return [loss.item(), *(g if g is None else g.tolist() for g in gradients(model).values())]


def serve(models: list[tuple[nn.Module, Batch]], connection: Connection) -> None:
    """Send back the results of models from another process."""
    connection.send([step(model, batch) for model, batch in models])
