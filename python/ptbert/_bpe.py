"""What the tokenizers of GPT and GPT-2 share: tables, special tokens, ids and files."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast, overload

from . import _C
from .pretrained import Family, max_len_map, resolve_bpe_files

VOCAB_NAME = "vocab.json"
MERGES_NAME = "merges.txt"
SPECIAL_TOKENS_NAME = "special_tokens.txt"

_NO_LIMIT = int(1e12)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Method = TypeVar("_Method", bound=Callable[..., Any])
_Self = TypeVar("_Self", bound="BpeTokenizer")


def get_pairs(word: Iterable[str]) -> set[tuple[str, str]]:
    """Returns the pairs of neighbours in a word, a sequence of at least one symbol."""
    symbols = list(word)
    if not symbols:
        raise IndexError("`word` must have at least one symbol, but is empty.")
    return set(zip(symbols, symbols[1:], strict=False))


def _notes_change(method: _Method) -> _Method:
    @functools.wraps(method)
    def changed(self: Table[Any, Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            self.changed = True

    return cast(_Method, changed)


class Table(dict[_Key, _Value]):
    """A dict that notes when it was changed: the native tokenizer is then made anew."""

    changed = False

    __setitem__ = _notes_change(dict.__setitem__)
    __delitem__ = _notes_change(dict.__delitem__)
    __ior__ = _notes_change(dict.__ior__)
    clear = _notes_change(dict.clear)
    pop = _notes_change(dict.pop)
    popitem = _notes_change(dict.popitem)
    setdefault = _notes_change(dict.setdefault)
    update = _notes_change(dict.update)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class ReadOnlyTable(dict[_Key, _Value]):
    """A dict whose changes would be without effect, and raise TypeError instead."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "a table that the tokenizer only shows must not be changed; change `encoder` or "
            "`bpe_ranks` instead."
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class BpeTokenizer(Generic[_Value]):
    """Base of `GPT2Tokenizer` and `OpenAIGPTTokenizer`, the type parameter being the native class.

    The native tokenizer holds all tables. Those of Python are made when they are first read; when
    one was changed, the next call makes the native tokenizer anew.
    """

    _native_class: ClassVar[Any]
    _family: ClassVar[Family]
    _logger: ClassVar[logging.Logger]

    max_len: int

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        merges_file: str | os.PathLike[str],
        special_tokens: Iterable[str] | None,
        max_len: int | None,
    ) -> None:
        self.max_len = max_len if max_len is not None else _NO_LIMIT
        # Without special tokens; `_native` also knows those.
        self._plain = self._native_class(os.fspath(vocab_file), os.fspath(merges_file))
        self._native: Any = None
        self._tables: dict[str, Table[Any, Any]] = {}
        self.set_special_tokens(special_tokens)

    @classmethod
    def from_pretrained(
        cls: type[_Self],
        pretrained_model_name_or_path: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str] | None = None,
        *inputs: Any,
        **kwargs: Any,
    ) -> _Self:
        """Loads the tokenizer of a pretrained or saved model.

        Args:
            pretrained_model_name_or_path: A shortcut name (see `PRETRAINED_VOCAB_ARCHIVE_MAP`),
                which limits `max_len`; or a directory with vocab.json, merges.txt and, if there
                are special tokens, special_tokens.txt; or a Hub id.
            cache_dir: Where downloaded files are kept.
            inputs: Further arguments of the class, by position.
            kwargs: Further arguments of the class, by name. `special_tokens` replaces those of the
                directory.

        Raises:
            OSError: A file was not found; the message says where it was looked for.
        """
        name = pretrained_model_name_or_path
        vocab_file, merges_file, special_tokens_file = resolve_bpe_files(
            name, cache_dir, cls._family
        )
        limit = max_len_map(cls._family).get(name) if isinstance(name, str) else None
        if limit is not None:
            given = kwargs.get("max_len")
            kwargs["max_len"] = limit if given is None else min(given, limit)
        if special_tokens_file is not None and "special_tokens" not in kwargs:
            text = special_tokens_file.read_text(encoding="utf-8")
            kwargs["special_tokens"] = text.split("\n")[:-1]
        return cls(vocab_file, merges_file, *inputs, **kwargs)

    def __len__(self) -> int:
        count = len(self.encoder) if "encoder" in self._tables else self._plain.num_tokens()
        return count + len(self.special_tokens)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(vocab_size={len(self)}, max_len={self.max_len}, "
            f"special_tokens={list(self.special_tokens)})"
        )

    def __getstate__(self) -> dict[str, Any]:
        tables = {"encoder": self.encoder, "bpe_ranks": self.bpe_ranks, **self._tables}
        state = {k: v for k, v in self.__dict__.items() if k not in ("_plain", "_native")}
        return {**state, "_tables": tables}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._plain = self._native_class.from_tables(self.encoder, self.bpe_ranks)
        self._native = None

    @property
    def encoder(self) -> dict[str, int]:
        """Token to id, as in vocab.json. Changes count from the next call on."""
        return self._table("encoder", lambda: self._plain.encoder_items())

    @encoder.setter
    def encoder(self, table: Mapping[str, int]) -> None:
        self._replace_table("encoder", table)

    @property
    def decoder(self) -> dict[int, str]:
        """Id to token. Changes count from the next call on."""
        return self._table("decoder", lambda: ((i, t) for t, i in self._plain.encoder_items()))

    @decoder.setter
    def decoder(self, table: Mapping[int, str]) -> None:
        self._replace_table("decoder", table)

    @property
    def bpe_ranks(self) -> dict[tuple[str, str], int]:
        """Pair of symbols to rank; the lowest rank is merged first. Changes count."""
        return self._table("bpe_ranks", lambda: self._plain.merges())

    @bpe_ranks.setter
    def bpe_ranks(self, table: Mapping[tuple[str, str], int]) -> None:
        self._replace_table("bpe_ranks", table)

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special token to id. Changes count from the next call on."""
        return self._table("special_tokens", dict)

    @special_tokens.setter
    def special_tokens(self, table: Mapping[str, int]) -> None:
        self._replace_table("special_tokens", table)

    @property
    def special_tokens_decoder(self) -> dict[int, str]:
        """Id to special token. Changes count from the next call on."""
        return self._table("special_tokens_decoder", dict)

    @special_tokens_decoder.setter
    def special_tokens_decoder(self, table: Mapping[int, str]) -> None:
        self._replace_table("special_tokens_decoder", table)

    @property
    def cache(self) -> dict[str, str]:
        """Empty and read-only: words are kept in C++, in memory of a fixed size."""
        return ReadOnlyTable()

    def _table(self, name: str, items: Callable[[], Any]) -> Table[Any, Any]:
        if name not in self._tables:
            self._tables[name] = Table(items())
        return self._tables[name]

    def _replace_table(self, name: str, entries: Mapping[Any, Any]) -> None:
        if name == "encoder":
            _ = self.decoder  # which stays as it is
        self._tables[name] = table = Table[Any, Any](entries)
        table.changed = True

    def _current(self) -> Any:
        """Returns the native tokenizer of the tables as they are now."""
        tables = self._tables
        vocabulary = [tables[n] for n in ("encoder", "bpe_ranks") if n in tables]
        special = [tables[n] for n in ("special_tokens", "special_tokens_decoder") if n in tables]
        if any(table.changed for table in vocabulary):
            _ = self.decoder
            self._plain = self._native_class.from_tables(self.encoder, self.bpe_ranks)
            self._native = None
        if self._native is None or any(table.changed for table in special):
            self._native = self._prepare(
                self._plain.with_special_tables(self.special_tokens, self.special_tokens_decoder)
                if any(special)
                else self._plain
            )
        for table in vocabulary + special:
            table.changed = False
        return self._native

    def _prepare(self, native: Any) -> Any:
        return native

    def _replaces(self, *names: str) -> bool:
        """Whether the user has put something else in the place of one of these methods."""
        original = next(c for c in type(self).__mro__ if c.__module__.startswith("ptbert."))
        return any(
            name in self.__dict__ or getattr(type(self), name) is not getattr(original, name)
            for name in names
        )

    def set_special_tokens(self, special_tokens: Iterable[str] | None) -> None:
        """Makes these the special tokens, whose ids follow those of the vocabulary.

        They are not searched for inside text.
        """
        tokens = list(special_tokens or ())
        count = len(self) - len(self.special_tokens)
        self.special_tokens = {token: count + i for i, token in enumerate(tokens)}
        self.special_tokens_decoder = {i: token for token, i in self.special_tokens.items()}

    def bpe(self, token: str) -> str:
        """Returns the symbols that byte-pair encoding makes of one word, joined by spaces."""
        return " ".join(self._current().bpe(token))

    def tokenize(self, text: str) -> list[str]:
        """Returns the tokens of `text`."""
        if self._replaces("bpe"):
            return [token for word in self._words(text) for token in self.bpe(word).split(" ")]
        return self._tokenize(text)

    def _words(self, text: str) -> list[str]:
        raise NotImplementedError

    def _tokenize(self, text: str) -> list[str]:
        return self._current().tokenize(text)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of the tokens of `text`; logs a warning when they are too many."""
        if self._replaces("tokenize", "bpe", "convert_tokens_to_ids"):
            return self.convert_tokens_to_ids(self.tokenize(text))
        return self._checked(self._encode(text))

    def _encode(self, text: str) -> list[int]:
        return self._current().encode(text)

    def encode_batch(self, texts: Iterable[str], num_threads: int = 0) -> list[list[int]]:
        """Returns `encode` of each text, computed by several threads.

        Args:
            texts: Any number of texts.
            num_threads: How many threads; 0 for as many as the machine runs at once.
        """
        if isinstance(texts, str):
            raise TypeError(f'`texts` must be an iterable of texts, but is the str "{texts}".')
        if num_threads < 0:
            raise ValueError(f"`num_threads` must not be negative, but is {num_threads}.")
        if self._replaces("encode", "tokenize", "bpe", "convert_tokens_to_ids"):
            return [self.encode(text) for text in texts]
        return [self._checked(ids) for ids in self._encode_batch(texts, num_threads)]

    def _encode_batch(self, texts: Iterable[str], num_threads: int) -> list[list[int]]:
        return self._current().encode_batch(texts, num_threads)

    def _checked(self, ids: list[int]) -> list[int]:
        if len(ids) > self.max_len:
            self._logger.warning(
                "`tokens` should hold at most %d tokens (`max_len`), but holds %d: cut or split "
                "the text, a model of this size cannot take it.",
                self.max_len,
                len(ids),
            )
        return ids

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int]:
        """Returns the ids of `tokens`, or the id of one; 0 for a token that is not known.

        Logs a warning when they are more than `max_len`.
        """
        if isinstance(tokens, str):
            return self._current().token_id(tokens)
        return self._checked(self._current().tokens_to_ids(tokens))

    def convert_ids_to_tokens(
        self, ids: Iterable[int], skip_special_tokens: bool = False
    ) -> list[str]:
        """Returns the tokens of `ids`, without the special ones if asked for.

        Raises:
            KeyError: An id is neither in the vocabulary nor special.
        """
        if "decoder" not in self._tables:
            return self._current().ids_to_tokens(ids, skip_special_tokens)
        special, tokens = self.special_tokens_decoder, []
        for index in ids:
            if index not in special:
                tokens.append(self._token(index))
            elif not skip_special_tokens:
                tokens.append(special[index])
        return tokens

    def _token(self, index: int) -> str:
        try:
            return self.decoder[index]
        except KeyError:
            raise KeyError(
                f"`ids` must be in the vocabulary of {len(self)} tokens, but {index} is not."
            ) from None

    def _decode(self, ids: Iterable[int], skip: bool, clean_up: bool, errors: str) -> str:
        native = self._current()
        if "decoder" not in self._tables and not self._replaces("convert_ids_to_tokens"):
            return native.decode(ids, skip, clean_up, errors)
        joined = "".join(self.convert_ids_to_tokens(ids, skip_special_tokens=skip))
        return native.text_of(joined, clean_up, errors)

    def save_vocabulary(self, vocab_path: str | os.PathLike[str]) -> tuple[str, str, str]:
        """Writes vocab.json, merges.txt and special_tokens.txt to a directory.

        Returns:
            The paths of the three files; `from_pretrained` takes the directory.

        Raises:
            NotADirectoryError: `vocab_path` is no directory.
        """
        folder = Path(vocab_path)
        if not folder.is_dir():
            raise NotADirectoryError(
                f"`vocab_path` must be an existing directory, but is {folder}."
            )
        native = self._current()
        self._warn_about_gaps(folder / MERGES_NAME, [rank for _, rank in native.merges()], 0)
        self._warn_about_gaps(
            folder / SPECIAL_TOKENS_NAME,
            sorted(self.special_tokens.values()),
            len(self) - len(self.special_tokens),
        )
        native.save_vocabulary(folder)
        return tuple(str(folder / n) for n in (VOCAB_NAME, MERGES_NAME, SPECIAL_TOKENS_NAME))  # type: ignore[return-value]

    def _warn_about_gaps(self, file: Path, numbers: list[int], first: int) -> None:
        if numbers != list(range(first, first + len(numbers))):
            self._logger.warning(
                "The numbers of the lines of %s should be %d, %d, ... without a gap, but are not: "
                "what is loaded from it will have other numbers than now.",
                file,
                first,
                first + 1,
            )
