"""A vocabulary file as a dict of tokens, and as the tokenizers look tokens up in it."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

from .. import _C
from .tables import notes_change


class Vocabulary(OrderedDict[str, int]):
    """The tokens of a model and their ids, in the order of the vocabulary file.

    An ordinary `OrderedDict` to its user. The tokenizers look tokens up in a native copy, which
    every change of the entries discards.

    Example:
        >>> vocab = Vocabulary({"[PAD]": 0, "[unused0]": 1})
        >>> vocab["hello"] = vocab.pop("[unused0]")
        >>> vocab["hello"]
        1
    """

    _native_copy: _C.Vocabulary | None = None

    __setitem__ = notes_change(OrderedDict.__setitem__)
    __delitem__ = notes_change(OrderedDict.__delitem__)
    __ior__ = notes_change(OrderedDict.__ior__)
    clear = notes_change(OrderedDict.clear)
    pop = notes_change(OrderedDict.pop)
    popitem = notes_change(OrderedDict.popitem)
    setdefault = notes_change(OrderedDict.setdefault)
    update = notes_change(OrderedDict.update)

    def _note_change(self) -> None:
        self._native_copy = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self.items()),)

    def native(self) -> _C.Vocabulary:
        """Returns the native copy of the entries."""
        native = self._native_copy
        if native is None:
            native = self._native_copy = _C.Vocabulary(self)
        return native

    def made_of(self) -> list[tuple[Any, str]]:
        """Returns the attributes on which `native` depends, as `_C.Guarded` takes them."""
        return [(self, "_native_copy")]


class LoadedVocabulary:
    """A vocabulary as its file has it, whose dict is made when someone first asks for it."""

    def __init__(self, loaded: _C.Vocabulary) -> None:
        self._loaded = loaded
        self._vocab: Vocabulary | None = None

    @property
    def vocab(self) -> Vocabulary:
        if self._vocab is None:
            self._vocab = Vocabulary(self._loaded.items())
            self._vocab._native_copy = self._loaded
        return self._vocab

    def native(self) -> _C.Vocabulary:
        """Returns the native form of the entries as they are now."""
        return self._loaded if self._vocab is None else self._vocab.native()

    def made_of(self) -> list[tuple[Any, str]]:
        """Returns the attributes on which `native` depends, as `_C.Guarded` takes them."""
        return [(self, "_vocab"), *([] if self._vocab is None else self._vocab.made_of())]

    def ids_to_tokens(self) -> OrderedDict[int, str]:
        """Returns the tokens of the file by their ids."""
        return OrderedDict((index, token) for token, index in self._loaded.items())

    def __len__(self) -> int:
        return len(self.native())

    def __reduce__(self) -> tuple[Any, ...]:
        return _with_vocab, (self.vocab,)


def _with_vocab(vocab: Vocabulary) -> LoadedVocabulary:
    loaded = LoadedVocabulary(vocab.native())
    loaded._vocab = vocab
    return loaded


def load_vocab(vocab_file: str | os.PathLike[str]) -> Vocabulary:
    """Reads a vocabulary file: one token a line, the number of the line being the token's id.

    Args:
        vocab_file: Path of a UTF-8 text file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty or not UTF-8.
    """
    return LoadedVocabulary(_C.Vocabulary.load(os.fspath(vocab_file))).vocab
