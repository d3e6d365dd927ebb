"""Examples of BERT's pre-training task as rows of a table on the disk, and the loss of a batch."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from inputs import Batch
from pretraining_instances import IGNORED, Instance
from ptbert import BertForPreTraining
from ptbert.training import MeanLoss

Array = npt.NDArray[Any]

SHARD_NAME = "shard-{:05d}.npy"


def row_type(max_seq_len: int, max_predictions: int) -> np.dtype[Any]:
    """A row: an example, padded with zeros."""
    return np.dtype(
        [
            ("length", np.int16),
            ("second", np.int16),
            ("is_random_next", np.int8),
            ("predictions", np.int16),
            ("ids", np.int32, (max_seq_len,)),
            ("positions", np.int16, (max_predictions,)),
            ("labels", np.int32, (max_predictions,)),
        ]
    )


def to_row(instance: Instance, dtype: np.dtype[Any]) -> Any:
    """An example as a row."""
    row = np.zeros((), dtype)
    count = len(instance.positions)
    row["length"], row["second"] = len(instance.ids), instance.second
    row["is_random_next"], row["predictions"] = instance.is_random_next, count
    row["ids"][: len(instance.ids)] = instance.ids
    row["positions"][:count], row["labels"][:count] = instance.positions, instance.labels
    return row


def write_rows(path: Path, rows: Iterable[Any], dtype: np.dtype[Any], count: int) -> int:
    """Write at most `count` rows as a .npy file, which numpy maps into memory; how many they are.

    Nothing is written if there are none.
    """
    taken = 0
    table: Array | None = None
    unfinished = path.with_suffix(".unfinished")
    for row in rows:
        if table is None:
            table = np.lib.format.open_memmap(unfinished, "w+", dtype, (count,))
        table[taken] = row
        taken += 1
        if taken == count:
            break
    if table is None:
        return 0
    if taken < count:
        np.save(unfinished.with_suffix(".kept.npy"), table[:taken])
        unfinished.with_suffix(".kept.npy").replace(unfinished)
    else:
        table.flush()  # type: ignore[attr-defined]
    unfinished.replace(path)
    return taken


def open_shards(folders: Sequence[Path]) -> list[Array]:
    """The tables in the folders, in the order of their names, mapped into memory.

    Raises:
        FileNotFoundError: A folder has none.
        ValueError: Their rows are of different lengths.
    """
    tables = []
    for folder in folders:
        paths = sorted(folder.glob("shard-*.npy"))
        if not paths:
            raise FileNotFoundError(f"There is no file shard-*.npy in {folder}.")
        tables += [np.load(path, mmap_mode="r") for path in paths]
        for path, table in zip(paths, tables[-len(paths) :], strict=True):
            if table.dtype != tables[0].dtype:
                raise ValueError(
                    f"All rows must have {tables[0]['ids'].shape[1]} tokens, but those of {path} "
                    f"have {table['ids'].shape[1]}."
                )
    return tables


class RowBatches:
    """Batches of rows in a seeded order: the tables one after the other, in a new order in every
    epoch, and the rows of each.

    Args:
        tables: Arrays of `row_type`.
        batch_size: Rows per batch; the last batch of an epoch may be smaller.
        seed: Seed of the order.
        epochs_apart: Whether each epoch has the table of its number only, again and again if there
            are more epochs.
    """

    def __init__(
        self, tables: Sequence[Array], batch_size: int, seed: int, *, epochs_apart: bool = False
    ) -> None:
        self._tables = tables
        self._batch_size = batch_size
        self._seed = seed
        self._epochs_apart = epochs_apart

    def __len__(self) -> int:
        """Batches per epoch; where epochs differ, those of the shortest."""
        sizes = [len(table) for table in self._tables]
        rows = min(sizes) if self._epochs_apart else sum(sizes)
        return -(-rows // self._batch_size)

    def of_epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from its batch number `first` on."""
        order = self._order(epoch)
        ends = np.cumsum([len(self._tables[table]) for table in order]).tolist()
        rows_of = functools.lru_cache(maxsize=2)(functools.partial(self._rows_of, epoch))
        for begin in range(first * self._batch_size, ends[-1], self._batch_size):
            parts = []
            for table, end in zip(order, ends, strict=True):
                start = end - len(self._tables[table])
                if start < begin + self._batch_size and begin < end:
                    some = slice(max(begin - start, 0), begin + self._batch_size - start)
                    parts.append(self._tables[table][rows_of(table)[some]])
            yield to_batch(np.concatenate(parts))

    def _rows_of(self, epoch: int, table: int) -> Array:
        """The order of a table's rows."""
        draw = np.random.default_rng([self._seed, epoch, table])
        return draw.permutation(len(self._tables[table]))

    def _order(self, epoch: int) -> list[int]:
        if self._epochs_apart:
            return [epoch % len(self._tables)]
        draw = np.random.default_rng([self._seed, epoch])
        order: list[int] = draw.permutation(len(self._tables)).tolist()
        return order


def to_batch(rows: Array) -> Batch:
    """A batch, padded to its longest row: inputs `[rows, seq]`, `lm_labels` with -1 where nothing
    is to be restored, and `is_random_next` `[rows]`."""
    longest = int(rows["length"].max())
    places = np.arange(longest)
    lengths, second = rows["length"][:, None], rows["second"][:, None]
    labels = np.full((len(rows), longest), IGNORED, np.int64)
    wanted = np.arange(rows["positions"].shape[1]) < rows["predictions"][:, None]
    row_numbers = np.nonzero(wanted)[0]
    labels[row_numbers, rows["positions"][wanted]] = rows["labels"][wanted]
    arrays = {
        "input_ids": rows["ids"][:, :longest].astype(np.int64),
        "token_type_ids": ((places >= second) & (places < lengths)).astype(np.int64),
        "attention_mask": (places < lengths).astype(np.int64),
        "lm_labels": labels,
        "is_random_next": rows["is_random_next"].astype(np.int64),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def scores(model: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The scores of the tokens to restore `[tokens, vocab]`, of what follows `[rows, 2]`, and the
    tokens `[tokens]`. No scores are computed where nothing is to be restored."""
    sequence, pooled = model.bert(
        batch["input_ids"],
        batch["token_type_ids"],
        batch["attention_mask"],
        output_all_encoded_layers=False,
    )
    is_wanted = batch["lm_labels"] != IGNORED
    token_scores, next_scores = model.cls(sequence[is_wanted], pooled)
    return token_scores, next_scores, batch["lm_labels"][is_wanted]


def batch_loss(
    model: BertForPreTraining, batch: Batch, *, shard: bool = False
) -> MeanLoss | list[MeanLoss]:
    """The sum of both losses.

    Args:
        model: The model.
        batch: A batch of `to_batch`.
        shard: The model is in parts, and must be called as a whole; the losses of the processes
            are then weighted with their rows.
    """
    if not shard:
        token_scores, next_scores, labels = scores(model, batch)
        return [
            MeanLoss(cross_entropy(token_scores, labels), len(labels)),
            MeanLoss(cross_entropy(next_scores, batch["is_random_next"]), len(next_scores)),
        ]
    return MeanLoss(whole_loss(model, batch), len(batch["input_ids"]))


def whole_loss(model: Any, batch: Batch) -> Tensor:
    """The sum of both losses as the model gives it, in this library and in that of 2019."""
    loss: Tensor = model(
        batch["input_ids"],
        batch["token_type_ids"],
        batch["attention_mask"],
        masked_lm_labels=batch["lm_labels"],
        next_sentence_label=batch["is_random_next"],
    )
    return loss
