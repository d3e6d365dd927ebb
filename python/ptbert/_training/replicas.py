"""The loss of a model that several processes or GPUs hold copies, or parts, of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from . import processes
from .batches import Batch
from .devices import device_of, to_device


@dataclass(frozen=True)
class MeanLoss:
    """A loss that is a mean over some items, which need not be as many in every process.

    Example:
        >>> scores, labels = torch.zeros(3, 4), torch.tensor([2, -1, 0])
        >>> mean = torch.nn.functional.cross_entropy(scores, labels, ignore_index=-1)
        >>> MeanLoss(mean, count=int((labels != -1).sum()))
        MeanLoss(value=tensor(1.3863), count=2)
    """

    value: Tensor
    """The mean, a scalar."""
    count: int
    """Number of items, such as labelled tokens."""


BatchLoss = Callable[[Any, Batch], Tensor | MeanLoss | Sequence[MeanLoss]]
"""Computes the loss of a batch: a mean over its rows, or one or more means over other items, which
are added."""


class Replicas:
    """Computes losses and gradients with all processes, or all GPUs of this one.

    Every process, and every GPU, takes its share of the rows of each batch. The gradients are those
    of the loss of the whole batch: means are weighted with their numbers of items.

    Args:
        model: The model; its parameters stay where they are, or are cut if `shard` is given.
        batch_loss: Computes the loss of a batch.
        shard: Each process holds its part only of the parameters (FSDP2), of each member of a
            ModuleList on its own and of the rest. `batch_loss` must then call the model itself.

    Raises:
        ValueError: `shard` is given to one process alone.
    """

    def __init__(self, model: nn.Module, batch_loss: BatchLoss, *, shard: bool = False) -> None:
        self._loss = _Loss(model, batch_loss)
        self._wrapped: nn.Module = self._loss
        self._has_begun = False
        self._is_sharded = shard
        device = device_of(model)
        if shard:
            if processes.count() == 1:
                raise ValueError("`shard` must be used with several processes, but there is one.")
            shard_module(model, device)
        elif processes.count() > 1:
            # Which parameters get gradients may change with the batch.
            self._wrapped = DistributedDataParallel(
                self._loss,
                device_ids=[device.index] if device.type == "cuda" else None,
                find_unused_parameters=True,
            )
        elif device.type == "cuda" and torch.cuda.device_count() > 1:
            self._wrapped = DataParallel(self._loss)

    def backward(
        self, batch: Batch, scale: float = 1.0, *, is_last: bool = True, flag: bool = False
    ) -> tuple[float, bool]:
        """Add the gradients of a batch's loss, times `scale`, to those of the parameters.

        Args:
            batch: The whole batch, on any device, the same in every process.
            scale: Factor of the gradients.
            is_last: Whether the gradients are complete after this batch; only then do the
                processes exchange them.
            flag: Anything that this process wants the others to know.

        Returns:
            The loss of the whole batch, and whether any process has set its flag.
        """
        if processes.rows_of(batch) < processes.count() and not self._has_begun:
            raise ValueError(
                f"A batch must have at least as many rows as there are processes "
                f"({processes.count()}), but has {processes.rows_of(batch)}."
            )
        self._has_begun = True
        mine, has_rows = processes.share(batch)
        with self._synchronized(is_last):
            means, counts = self._wrapped(to_device(mine, self._loss.model))
            # [copies * losses], from all GPUs of this process.
            local = counts.flatten().tolist() if has_rows else [0] * counts.numel()
            kinds = counts.shape[-1]
            values = means.detach().flatten().tolist()
            sums = [v * c if c else 0.0 for v, c in zip(values, local, strict=True)]
            told = processes.total(
                [
                    float(flag),
                    *(sum(part[i::kinds]) for part in (local, sums) for i in range(kinds)),
                ]
            )
            totals = [max(total, 1.0) for total in told[1 : kinds + 1]]
            weights = [
                c * processes.count() / totals[i % kinds] * scale for i, c in enumerate(local)
            ]
            loss = (means.flatten() * means.new_tensor(weights)).sum()
            loss.backward()
        whole = sum(value / total for value, total in zip(told[kinds + 1 :], totals, strict=True))
        return whole, told[0] > 0

    @contextmanager
    def _synchronized(self, is_last: bool) -> Iterator[None]:
        """Within it, gradients are exchanged if this is the last batch of a step."""
        if self._is_sharded:
            cast(Any, self._loss.model).set_requires_gradient_sync(is_last)
        if isinstance(self._wrapped, DistributedDataParallel) and not is_last:
            with self._wrapped.no_sync():
                yield
        else:
            yield


class _Loss(nn.Module):
    """The loss as a module, which a wrapper sees all of, whatever the loss calls in the model."""

    def __init__(self, model: nn.Module, batch_loss: BatchLoss) -> None:
        super().__init__()
        self.model = model
        self.batch_loss = batch_loss

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The means and the numbers of their items, each `[losses]`."""
        loss = self.batch_loss(self.model, batch)
        if isinstance(loss, Tensor):
            loss = MeanLoss(loss, processes.rows_of(batch))
        losses = [loss] if isinstance(loss, MeanLoss) else loss
        means = torch.stack([part.value.float() for part in losses])
        return means, torch.tensor([part.count for part in losses], device=means.device)


def shard_module(module: nn.Module, device: torch.device) -> None:
    """Cut the parameters of a module among all processes, block by block."""
    # Imported here, as it takes long and few need it.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes.count(),))
    for part in module.modules():
        if isinstance(part, nn.ModuleList):
            for block in part:
                if any(True for _ in block.parameters()):
                    fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)


def whole(tensor: Tensor) -> Tensor:
    """A tensor, or all of one of which each process holds a part; every process must call this.

    Example:
        >>> weights = {name: whole(t) for name, t in torch.nn.Linear(2, 1).state_dict().items()}
        >>> weights["weight"].shape
        torch.Size([1, 2])
    """
    return tensor.full_tensor() if _is_part(tensor) else tensor  # type: ignore[attr-defined]


def part_like(tensor: Tensor, other: Tensor) -> Tensor:
    """The part of a whole tensor that this process holds of `other`, if that is cut."""
    if not _is_part(other) or _is_part(tensor):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, other.device_mesh, other.placements)  # type: ignore[attr-defined]


def _is_part(tensor: Tensor) -> bool:
    """Whether it is a DTensor, without importing that class."""
    return hasattr(tensor, "full_tensor")
