"""Vocabulary files, as a dict for users and as a C++ object for tokenizers."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from .. import _C
from .native import Source, notes_changes


@notes_changes
class Vocabulary(Source, OrderedDict[str, int]):
    """The tokens of a model and their ids, in the order of the vocabulary file.

    An ordinary `OrderedDict` to its user. Tokenizers look tokens up in a C++ copy, which is
    discarded when entries change.

    Example:
        >>> vocab = Vocabulary({"[PAD]": 0, "[unused0]": 1})
        >>> vocab["hello"] = vocab.pop("[unused0]")
        >>> vocab["hello"]
        1
    """

    def __init__(
        self, entries: Mapping[str, int] | Iterable[tuple[str, int]] = (), /, **more: int
    ) -> None:
        # Bypasses __setitem__ of this class: noting a change for each entry would dominate.
        cls: Any = type(self)
        own = cls.__setitem__ is not Vocabulary.__setitem__
        add = cls.__setitem__ if own else OrderedDict.__setitem__
        for token, index in dict(entries, **more).items():
            add(self, token, index)
        self._note_change()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self.items()),)

    def native(self) -> _C.Vocabulary:
        """Returns the C++ copy."""
        made = self._made
        if made.native is None:
            made.native = _C.Vocabulary(self)
        native: _C.Vocabulary = made.native
        return native


class LoadedVocabulary(Source):
    """A vocabulary read from a file, whose dict is made at first access."""

    _vocab: Vocabulary | None = None

    def __init__(self, loaded: _C.Vocabulary) -> None:
        self._loaded = loaded

    @property
    def vocab(self) -> Vocabulary:
        if self._vocab is None:
            vocab = Vocabulary(self._loaded.items())
            vocab._made.native = self._loaded
            vocab._dependents = self._dependents  # from now on it is the dict that changes
            vocab = self.__dict__.setdefault("_vocab", vocab)  # another thread may have set it
            return vocab
        return self._vocab

    def native(self) -> _C.Vocabulary:
        """Returns the present entries as a C++ object."""
        return self._loaded if self._vocab is None else self._vocab.native()

    def ids_to_tokens(self) -> OrderedDict[int, str]:
        """Returns the tokens of the file by their ids."""
        return OrderedDict((index, token) for token, index in self._loaded.items())

    def __len__(self) -> int:
        return len(self.native())

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_dict, (self.vocab,)


def _of_dict(vocab: Vocabulary) -> LoadedVocabulary:
    loaded = LoadedVocabulary(vocab.native())
    loaded._vocab, loaded._dependents = vocab, vocab._dependents
    return loaded


def load_vocab(vocab_file: str | os.PathLike[str]) -> Vocabulary:
    """Reads a vocabulary file: one token per line, whose id is the line's number from 0.

    Args:
        vocab_file: Path of a UTF-8 text file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty or not UTF-8.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "vocab.txt").write_text("[UNK]\\nhello\\n")
        ...     load_vocab(Path(folder, "vocab.txt"))["hello"]
        1
    """
    return LoadedVocabulary(_C.Vocabulary.load(os.fspath(vocab_file))).vocab
