"""A long text as segments that follow one another, for models with memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from inputs import Batch


class Segments:
    """The text in columns that are read side by side, segment after segment.

    Args:
        ids: The tokens, `[tokens]`.
        columns: Number of columns; the text is cut into so many equal pieces, one for each.
        tgt_len: Tokens of a segment; the last one may be shorter.
        parts: Batches that a segment is cut into, of some columns each.

    Raises:
        ValueError: The text is too short for two tokens in every column.
    """

    def __init__(self, ids: Tensor, columns: int, tgt_len: int, parts: int = 1) -> None:
        length = len(ids) // columns
        if length < 2:
            raise ValueError(
                f"The text must have two tokens for each of the {columns} rows of a batch, but has "
                f"{len(ids)} tokens."
            )
        self._columns = ids[: columns * length].view(columns, length)
        self._starts = range(0, length - 1, tgt_len)
        self._tgt_len = tgt_len
        self._parts = parts

    def __len__(self) -> int:
        return len(self._starts) * self._parts

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches, in the order of the text, from number `first` on.

        Each has `input_ids` and `target`, the tokens that follow, `[rows, tgt_len]`; and of each
        row the number of the segment and of the part, `[rows]`.
        """
        for number in range(first, len(self)):
            segment, part = divmod(number, self._parts)
            rows = self._columns.chunk(self._parts)[part]
            start = self._starts[segment]
            ids = rows[:, start : start + self._tgt_len + 1]
            yield {
                "input_ids": ids[:, :-1],
                "target": ids[:, 1:],
                "segment": torch.full((len(rows),), segment),
                "part": torch.full((len(rows),), part),
            }


class Memory:
    """The memory that a model has of the segments before, for each part of the columns and each
    device."""

    def __init__(self) -> None:
        self._mems: dict[tuple[int, str], list[Tensor] | None] = {}

    def before(self, batch: Batch) -> list[Tensor] | None:
        """What to give the model with a batch; nothing at the beginning of the text."""
        if int(batch["segment"][0]) == 0:
            return None
        mems = self._mems[self._place(batch)]
        return mems and [tensor.to(batch["part"].device) for tensor in mems]

    def after(self, batch: Batch, mems: list[Tensor] | None) -> None:
        """Keep what the model has returned for a batch."""
        self._mems[self._place(batch)] = mems

    @staticmethod
    def _place(batch: Batch) -> tuple[int, str]:
        return int(batch["part"][0]), str(batch["part"].device)

    def state_dict(self) -> dict[tuple[int, str], Any]:
        """The memories."""
        return dict(self._mems)

    def load_state_dict(self, state: dict[tuple[int, str], Any]) -> None:
        """Take over the result of `state_dict`."""
        self._mems = dict(state)
