"""Symbols and their ids in Transformer-XL's tokenizer."""

from __future__ import annotations

import logging
import os
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .. import _C
from ..file_utils import StrPath
from .arguments import fault_of_tokens, id_list

logger = logging.getLogger(__name__)


class SymbolVocabulary:
    """The half of `TransfoXLTokenizer` that numbers symbols and looks them up."""

    counter: Counter[str]
    idx2sym: list[str]
    sym2idx: OrderedDict[str, int]
    special: Sequence[str]
    min_freq: float
    max_size: int | None
    vocab_file: StrPath | None

    _methods: ClassVar[dict[str, Any]] = {}

    @classmethod
    def note_methods(cls) -> None:
        """Records the methods whose work C++ does; later ones are replacements (`_replaces`)."""
        cls._methods = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("__")}

    def __getattr__(self, name: str) -> Any:
        if name in ("idx2sym", "sym2idx"):
            raise AttributeError(
                f"`{name}` must be made by `build_vocab` or loaded by `from_pretrained` before it "
                "is used."
            )
        raise AttributeError(f"`{type(self).__name__}` has no attribute `{name}`.")

    def __len__(self) -> int:
        return len(self.idx2sym)

    def build_vocab(self) -> None:
        """Replaces the vocabulary.

        Symbols of `special` come first, then those of `counter` by decreasing frequency (ties in
        order of appearance). With a `vocab_file` it is the first word of each line instead.

        Raises:
            FileNotFoundError: There is no `vocab_file`.
            ValueError: `vocab_file` has a blank line, or neither <unk> nor <UNK>.
        """
        if self.vocab_file:
            self._build_from_file(self.vocab_file)
            logger.info("vocabulary of %d symbols from %s", len(self), self.vocab_file)
            return
        self.idx2sym, self.sym2idx = [], OrderedDict()
        for symbol in self.special:
            self.add_special(symbol)
        for symbol, count in self.counter.most_common(self.max_size):
            if count < self.min_freq:
                break
            self.add_symbol(symbol)
        logger.info(
            "vocabulary of %d symbols, of %d counted ones with min_freq=%s, max_size=%s",
            len(self),
            len(self.counter),
            self.min_freq,
            self.max_size,
        )

    def _build_from_file(self, vocab_file: StrPath) -> None:
        self.idx2sym, self.sym2idx = [], OrderedDict()
        for symbol in _C.read_first_words(os.fspath(vocab_file)):
            self.add_symbol(symbol)
        for unknown in ("<UNK>", "<unk>"):
            if unknown in self.sym2idx:
                self.unk_idx = self.sym2idx[unknown]
                return
        raise ValueError(
            f"`vocab_file` must hold <unk> or <UNK>, but {os.fspath(vocab_file)} holds neither."
        )

    def add_special(self, sym: str) -> None:
        """Adds a symbol, and sets its id as an attribute: `eos_idx` for "<eos>"."""
        if sym not in self.sym2idx:
            self.add_symbol(sym)
            setattr(self, f"{sym.strip('<>')}_idx", self.sym2idx[sym])

    def add_symbol(self, sym: str) -> None:
        """Adds a symbol with the next id, unless it is in the vocabulary."""
        if sym not in self.sym2idx:
            self.sym2idx[sym] = len(self.idx2sym)
            self.idx2sym.append(sym)

    def get_sym(self, idx: int) -> str:
        """Returns the symbol of an id.

        Raises:
            IndexError: The id is not in the vocabulary.
        """
        symbols = self.idx2sym
        if not 0 <= idx < len(symbols):
            raise IndexError(
                f"`idx` must be in the vocabulary of {len(symbols)} symbols, but is {int(idx)}."
            )
        return symbols[idx]

    def get_idx(self, sym: str) -> int:
        """Returns the id of a symbol; if unknown, `unk_idx` or else the id of <unk> or <UNK>.

        Raises:
            ValueError: The symbol is unknown, and there is no id for unknown symbols.
        """
        sym2idx = self.sym2idx
        if sym in sym2idx:
            return sym2idx[sym]
        if "unk_idx" in self.__dict__:
            return self.unk_idx
        for unknown in ("<unk>", "<UNK>"):
            if unknown in sym2idx:
                return sym2idx[unknown]
        raise ValueError(
            f"`sym` must be in the vocabulary of {len(self)} symbols, which has no <unk>, but "
            f'"{sym}" is not.'
        )

    def convert_tokens_to_ids(self, symbols: Iterable[str]) -> list[int]:
        """Returns the ids of symbols; errors as in `get_idx`.

        Args:
            symbols: A list of symbols. Of a str, its characters are the symbols, as in 2019.

        Raises:
            TypeError: `symbols` is not a list of symbols.
        """
        if self._replaces("get_idx"):
            return [self.get_idx(symbol) for symbol in symbols]
        ids = self.sym2idx
        try:
            return [ids[symbol] if symbol in ids else self.get_idx(symbol) for symbol in symbols]
        except TypeError as error:
            raise fault_of_tokens(symbols, "symbols") or error from None

    def convert_ids_to_tokens(self, indices: Iterable[int]) -> list[str]:
        """Returns the symbols of ids, a list, a tensor or an array; errors as in `get_sym`.

        Raises:
            TypeError: `indices` is a single id or a batch.
        """
        ids = indices if type(indices) is list else id_list(indices, "indices")
        if self._replaces("get_sym"):
            return [self.get_sym(index) for index in id_list(ids, "indices")]
        symbols, size = self.idx2sym, len(self.idx2sym)
        try:
            return [symbols[i] if 0 <= i < size else self.get_sym(i) for i in ids]
        except (RuntimeError, TypeError, ValueError):  # of comparing rows, too
            id_list(ids, "indices")  # raises if they are no ids
            raise

    def convert_to_tensor(self, symbols: Iterable[str]) -> Tensor:
        """Returns the ids of symbols as an int64 tensor [tokens]; errors as in `get_idx`."""
        return torch.tensor(self.convert_tokens_to_ids(symbols), dtype=torch.long)

    def decode(self, indices: Iterable[int], exclude: Collection[int] | None = None) -> str:
        """Returns the symbols of ids, joined by spaces.

        Args:
            indices: The ids of one text: a list, a tensor or an array.
            exclude: Ids to leave out.

        Raises:
            TypeError: `indices` is a single id or a batch.
        """
        if exclude is not None:
            excluded = id_list(exclude, "exclude")
            indices = [index for index in id_list(indices, "indices") if index not in excluded]
        return " ".join(self.convert_ids_to_tokens(indices))

    def _replaces(self, *names: str) -> bool:
        """Whether a method was replaced, so that C++ must not do its work."""
        return any(
            name in self.__dict__ or getattr(type(self), name) is not self._methods[name]
            for name in names
        )
