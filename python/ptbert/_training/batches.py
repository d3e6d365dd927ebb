"""Batches of examples, in an order that any pass can begin anywhere in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

Batch = dict[str, Tensor]
Row = TypeVar("Row")

# Rows are sorted by length among so many batches.
MOST_BATCHES_PER_BUCKET = 16


class BatchSource(Protocol):
    """What `fit` trains on: `Batches`, or a class of yours.

    Example:
        >>> class Numbers:
        ...     def __len__(self):
        ...         return 3
        ...
        ...     def of_epoch(self, epoch, first=0):
        ...         return ({"x": torch.tensor([[number]])} for number in range(first, 3))
        >>> [batch["x"].item() for batch in Numbers().of_epoch(0, first=1)]
        [1, 2]
    """

    def __len__(self) -> int:
        """Batches per epoch."""
        ...

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, from its batch number `first` on; the same in
        every call and every process."""
        ...


class Batches(Generic[Row]):
    """Batches of rows, in order or in a new seeded order in every epoch.

    Args:
        rows: The examples' features.
        batch_size: Rows per batch; the last batch may be smaller.
        collate: Makes one batch of tensors `[rows, ...]` from some rows.
        shuffle_seed: Seed of the order; `None` keeps the order of `rows`.
        length_of: Length of a row. When shuffling, rows of like lengths then share a batch, which
            saves padding; which of them do, and the order of the batches, is drawn in every epoch.

    Raises:
        ValueError: `batch_size` is less than 1.

    Example:
        >>> batches = Batches([3, 1, 2], 2, lambda rows: {"x": torch.tensor(rows)})
        >>> [batch["x"].tolist() for batch in batches]
        [[3, 1], [2]]
    """

    def __init__(
        self,
        rows: Sequence[Row],
        batch_size: int,
        collate: Callable[[list[Row]], Batch],
        shuffle_seed: int | None = None,
        length_of: Callable[[Row], int] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"`batch_size` ({batch_size}) must be at least 1.")
        self._rows = rows
        self._batch_size = batch_size
        self._collate = collate
        self._shuffle_seed = shuffle_seed
        self._length_of = length_of
        # A generator of its own: what else draws random numbers must not change the order.
        self._generator = torch.Generator()
        self._drawn: list[list[int]] = []
        self._epochs_drawn = 0

    def __len__(self) -> int:
        return math.ceil(len(self._rows) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the next epoch; of the first one again if the order is kept."""
        return self.of_epoch(self._epochs_drawn)

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, from its batch number `first` on."""
        for batch in self._order(epoch)[first:]:
            yield self._collate([self._rows[index] for index in batch])

    def _order(self, epoch: int) -> list[list[int]]:
        """The rows of each batch of an epoch. Each draws on from the one before."""
        if self._shuffle_seed is None:
            return split(list(range(len(self._rows))), self._batch_size)
        if self._epochs_drawn == 0 or epoch + 1 < self._epochs_drawn:
            self._generator.manual_seed(self._shuffle_seed)
            self._epochs_drawn = 0
        while self._epochs_drawn <= epoch:
            self._drawn = self._shuffled()
            self._epochs_drawn += 1
        return self._drawn

    def _shuffled(self) -> list[list[int]]:
        order = torch.randperm(len(self._rows), generator=self._generator).tolist()
        if self._length_of is None:
            return split(order, self._batch_size)
        lengths = [self._length_of(row) for row in self._rows]
        full = len(order) // self._batch_size * self._batch_size
        # In few rows as well, several buckets: each is sorted, and would else be alike every time.
        batches_per_bucket = max(1, min(MOST_BATCHES_PER_BUCKET, len(self) // 8))
        batches = [
            batch
            for bucket in split(order[:full], self._batch_size * batches_per_bucket)
            for batch in split(sorted(bucket, key=lengths.__getitem__), self._batch_size)
        ]
        drawn = torch.randperm(len(batches), generator=self._generator).tolist()
        return [*(batches[i] for i in drawn), *split(order[full:], self._batch_size)]


def split(items: list[int], size: int) -> list[list[int]]:
    """Lists of `size` items each; the last may be shorter."""
    return [items[begin : begin + size] for begin in range(0, len(items), size)]
