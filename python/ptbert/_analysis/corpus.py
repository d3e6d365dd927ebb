"""Texts as token ids, in batches of like lengths."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .trunks import check_tokenizer, is_bert, window_of

logger = logging.getLogger("ptbert.analysis")

# Texts that are lists of Python's ints at once; all of them are arrays.
_ENCODED_AT_ONCE = 4096


@dataclass(frozen=True)
class TextBatch:
    """Some texts of a corpus."""

    places: list[int]
    """Which texts they are."""
    input_ids: Tensor
    """[batch, seq]"""
    attention_mask: Tensor
    """[batch, seq], 1 for a token and 0 for padding."""


class Corpus:
    """The token ids of texts as a model reads them: BERT's with [CLS] and [SEP].

    Longer texts than `max_length` tokens are cut off there, and a warning tells how many were.

    Raises:
        TypeError: `texts` is a str, or `tokenizer` is of another kind of model.
        ValueError: A text has no token, or a number is out of range.
    """

    def __init__(
        self,
        trunk: Any,
        tokenizer: Any,
        texts: Iterable[str],
        batch_size: int,
        max_length: int | None = None,
    ) -> None:
        check_tokenizer(trunk, tokenizer)
        if batch_size < 1:
            raise ValueError(f"`batch_size` ({batch_size}) must be at least 1.")
        if isinstance(texts, str):
            raise TypeError(f'`texts` must be an iterable of texts, but is the str "{texts}".')
        window = window_of(trunk)
        specials = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"]) if is_bert(trunk) else []
        least = len(specials) + 1
        if max_length is None:
            max_length = window
        if not least <= max_length <= window:
            raise ValueError(
                f"`max_length` ({max_length}) must be between {least} and {window}, the length "
                "that the model can read."
            )
        room = max_length - len(specials)
        rows: list[Any] = []
        cut = 0
        encode_batch = without_limit(tokenizer).encode_batch
        everything = list(texts)
        for start in range(0, len(everything), _ENCODED_AT_ONCE):
            for ids in encode_batch(everything[start : start + _ENCODED_AT_ONCE]):
                cut += len(ids) > room
                kept = [specials[0], *ids[:room], specials[1]] if specials else ids[:room]
                if not kept:
                    raise ValueError(
                        f"`texts` must hold at least one token each, but text {len(rows)} has none."
                    )
                rows.append(np.array(kept, dtype=np.int32))
        if cut:
            logger.warning(
                "%d of %d texts have more than %d tokens and were cut off there.",
                *(cut, len(rows), max_length),
            )
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)
        self._rows = rows
        self._batch_size = batch_size

    def __len__(self) -> int:
        return len(self._rows)

    def batches(self, device: torch.device) -> Iterator[TextBatch]:
        """The longest texts first, so that what needs too much memory fails at once."""
        order = np.argsort(-self.lengths, kind="stable")
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            ids = np.zeros((len(places), self.lengths[places[0]]), dtype=np.int64)
            for row, place in zip(ids, places, strict=True):
                row[: self.lengths[place]] = self._rows[place]
            mask = np.arange(ids.shape[1]) < self.lengths[places, None]
            yield TextBatch(
                places.tolist(),
                torch.from_numpy(ids).to(device),
                torch.from_numpy(mask.astype(np.int64)).to(device),
            )


def without_limit(tokenizer: Any) -> Any:
    """A copy that does not warn of long texts, for callers that cut or refuse them."""
    tokenizer = copy.copy(tokenizer)
    tokenizer.max_len = sys.maxsize
    return tokenizer
