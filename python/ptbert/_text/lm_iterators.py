"""Batches of token ids for language models.

Every batch is `(data, target, seq_len)`: ids, the ids one position later, and the number of
positions. Random numbers come from numpy's global generator (`np.random.seed`), in the same order
as in the 2019 library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..file_utils import StrPath

Batch = tuple[Tensor, Tensor, int]

_IGNORED = -1


class _Encoder(Protocol):
    def encode_file(self, path: StrPath, *, add_double_eos: bool) -> Sequence[Tensor]: ...


def _checked(bsz: int, bptt: int, ext_len: int | None) -> tuple[int, int, int]:
    ext_len = 0 if ext_len is None else ext_len
    for name, value, least in (("bsz", bsz, 1), ("bptt", bptt, 1), ("ext_len", ext_len, 0)):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, but is {value}.")
    return bsz, bptt, ext_len


class LMOrderedIterator:
    """Iterates over one long text, split into `bsz` parts that are read in parallel, in order.

    Args:
        data: The ids of the text [tokens]. It is split into `bsz` equal parts; up to `bsz - 1` ids
            at its end are dropped.
        bsz: Number of sequences in a batch.
        bptt: Number of positions in a batch.
        device: The device of batches.
        ext_len: How many positions before the batch `data` includes in addition, if they exist.

    Attributes:
        data: [n_step, bsz].
        n_step: Number of ids in each part.
        n_batch: Number of batches in each part.

    Example:
        >>> data, target, seq_len = next(iter(LMOrderedIterator(torch.arange(8), bsz=2, bptt=3)))
        >>> data.tolist(), target.tolist(), seq_len
        ([[0, 1, 2], [4, 5, 6]], [[1, 2, 3], [5, 6, 7]], 3)
    """

    def __init__(
        self,
        data: Tensor,
        bsz: int,
        bptt: int,
        device: torch.device | str = "cpu",
        ext_len: int | None = None,
    ) -> None:
        self.bsz, self.bptt, self.ext_len = _checked(bsz, bptt, ext_len)
        self.device = device
        self.n_step = len(data) // bsz
        if self.n_step == 0:
            raise ValueError(f"`data` must hold at least `bsz` ({bsz}) ids, but holds {len(data)}.")
        parts = data[: self.n_step * bsz].view(bsz, self.n_step)
        self.data = parts.t().contiguous().to(device)  # [bsz, n_step] -> [n_step, bsz]
        self.n_batch = -(-self.n_step // bptt)

    def get_batch(self, i: int, bptt: int | None = None) -> Batch:
        """Returns the batch that starts at position `i` of every part.

        Returns:
            data: [bsz, seq_len], or up to `ext_len` longer.
            target: [bsz, seq_len].
            seq_len: `bptt`, or fewer at the end of the parts.

        Raises:
            IndexError: There is no position `i`.
        """
        if not 0 <= i < self.n_step:
            raise IndexError(f"`i` must be from 0 to {self.n_step - 1}, but is {i}.")
        seq_len = min(self.bptt if bptt is None else bptt, self.n_step - 1 - i)
        data = self.data[max(0, i - self.ext_len) : i + seq_len]
        target = self.data[i + 1 : i + 1 + seq_len]
        return self._batch_first(data), self._batch_first(target), seq_len

    def _batch_first(self, part: Tensor) -> Tensor:
        # [seq, bsz] -> [bsz, seq], always a copy: with bsz=1 `contiguous` would return a view.
        return part.t().clone(memory_format=torch.contiguous_format).to(self.device)

    def get_fixlen_iter(self, start: int = 0) -> Iterator[Batch]:
        """Yields batches of `bptt` positions; the last one may be shorter."""
        for i in range(start, self.n_step - 1, self.bptt):
            yield self.get_batch(i)

    def get_varlen_iter(
        self, start: int = 0, std: float = 5, min_len: int = 5, max_deviation: int = 3
    ) -> Iterator[Batch]:
        """Yields batches of random lengths.

        Lengths are normally distributed with mean `bptt` (`bptt / 2` with probability 0.05) and
        standard deviation `std`, limited to [min_len, bptt + max_deviation * std].
        """
        if min_len < 1:
            raise ValueError(f"`min_len` must be at least 1, but is {min_len}.")
        max_len = int(self.bptt + max_deviation * std)
        i = start
        while True:
            mean = self.bptt if np.random.random() < 0.95 else self.bptt / 2
            length = min(max_len, max(min_len, int(np.random.normal(mean, std))))
            data, target, seq_len = self.get_batch(i, length)
            yield data, target, seq_len
            i += seq_len
            if i >= self.n_step - 2:
                break

    def __iter__(self) -> Iterator[Batch]:
        return self.get_fixlen_iter()


class LMShuffledIterator:
    """Iterates over independent sentences.

    Each of the `bsz` sequences of a batch is filled with consecutive sentences; one that does not
    fit continues in the next batch. The incomplete batch at the end is dropped.

    Args:
        data: The ids of each sentence [tokens].
        bsz: Number of sequences in a batch.
        bptt: Number of positions in a batch.
        device: The device of batches.
        ext_len: How many positions before the batch `data` includes in addition, if they exist.
        shuffle: Whether sentences come in random order, a new one in each iteration.

    Example:
        >>> sentences = [torch.tensor([1, 2, 3]), torch.tensor([4, 5, 6])]
        >>> for data, target, _ in LMShuffledIterator(sentences, bsz=1, bptt=2):
        ...     print(data.tolist(), target.tolist())
        [[1, 2]] [[2, 3]]
        [[4, 5]] [[5, 6]]
    """

    def __init__(
        self,
        data: Sequence[Tensor],
        bsz: int,
        bptt: int,
        device: torch.device | str = "cpu",
        ext_len: int | None = None,
        shuffle: bool = False,
    ) -> None:
        self.data = data
        self.bsz, self.bptt, self.ext_len = _checked(bsz, bptt, ext_len)
        self.device = device
        self.shuffle = shuffle

    def get_sent_stream(self) -> Iterator[Tensor]:
        """Yields the sentences."""
        size = len(self.data)
        for index in np.random.permutation(size) if self.shuffle else range(size):
            yield self.data[index]

    def stream_iterator(self, sent_stream: Iterable[Tensor]) -> Iterator[Batch]:
        """Yields batches filled with sentences.

        Returns:
            data: [bsz, bptt], or up to `ext_len` longer.
            target: [bsz, bptt].
            seq_len: `bptt`.
        """
        sents = iter(sent_stream)
        streams = [torch.empty(0, dtype=torch.long)] * self.bsz
        before = torch.empty(self.bsz, 0, dtype=torch.long)
        while True:
            data = torch.full((self.bsz, self.bptt), _IGNORED)
            target = torch.full((self.bsz, self.bptt), _IGNORED)
            for row in range(self.bsz):
                filled = 0
                while filled < self.bptt:
                    stream = streams[row]
                    if len(stream) <= 1:
                        sent = next(sents, None)
                        if sent is None:
                            return
                        streams[row] = sent
                        continue
                    end = min(filled + len(stream) - 1, self.bptt)
                    new = end - filled
                    data[row, filled:end] = stream[:new]
                    target[row, filled:end] = stream[1 : new + 1]
                    streams[row] = stream[new:]
                    filled = end
            data = torch.cat([before, data], dim=1)
            yield data.to(self.device, copy=True), target.to(self.device), self.bptt
            before = data[:, max(0, data.shape[1] - self.ext_len) :]

    def __iter__(self) -> Iterator[Batch]:
        return self.stream_iterator(self.get_sent_stream())


class LMMultiFileIterator(LMShuffledIterator):
    """Iterates over the sentences of several files, one file at a time.

    Args:
        paths: The files, one sentence per line.
        vocab: The `TransfoXLTokenizer` that encodes them, with <S> at both ends of a line.
        bsz: Number of sequences in a batch.
        bptt: Number of positions in a batch.
        device: The device of batches.
        ext_len: How many positions before the batch `data` includes in addition, if they exist.
        shuffle: Whether files, and the sentences of each, come in random order. Each iteration
            shuffles the order of the previous one.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import TransfoXLTokenizer
        >>> vocab = TransfoXLTokenizer(special=["<S>"])
        >>> vocab.count_sents([["a", "b"]])
        >>> vocab.build_vocab()
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "text.txt").write_text("a b\\nb a\\n")
        ...     for data, target, _ in LMMultiFileIterator([Path(folder, "text.txt")], vocab, 1, 3):
        ...         print(data.tolist(), target.tolist())
        [[0, 1, 2]] [[1, 2, 0]]
        [[0, 2, 1]] [[2, 1, 0]]
    """

    def __init__(
        self,
        paths: Sequence[StrPath],
        vocab: _Encoder,
        bsz: int,
        bptt: int,
        device: torch.device | str = "cpu",
        ext_len: int | None = None,
        shuffle: bool = False,
    ) -> None:
        super().__init__((), bsz, bptt, device, ext_len, shuffle)
        self.paths = list(paths)
        self.vocab = vocab

    def get_sent_stream(self, path: StrPath) -> Iterator[Tensor]:  # type: ignore[override]
        """Yields the sentences of a file."""
        sents = list(self.vocab.encode_file(path, add_double_eos=True))
        if self.shuffle:
            np.random.shuffle(sents)
        return iter(sents)

    def __iter__(self) -> Iterator[Batch]:
        if self.shuffle:
            np.random.shuffle(self.paths)  # type: ignore[arg-type]
        for path in self.paths:
            yield from self.stream_iterator(self.get_sent_stream(path))
