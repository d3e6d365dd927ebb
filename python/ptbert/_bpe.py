"""What the tokenizers of GPT and GPT-2 share: tables, special tokens, ids and files."""

from __future__ import annotations

import itertools
import logging
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

from ._tables import ReadOnlyTable, Table, Twin
from .pretrained import Family, max_len_map, resolve_bpe_files

VOCAB_NAME = "vocab.json"
MERGES_NAME = "merges.txt"
SPECIAL_TOKENS_NAME = "special_tokens.txt"

_NO_LIMIT = int(1e12)

_Self = TypeVar("_Self", bound="BpeTokenizer")


def get_pairs(word: Iterable[str]) -> set[tuple[str, str]]:
    """Returns the pairs of neighbours in a word, a sequence of at least one symbol."""
    symbols = list(word)
    if not symbols:
        raise IndexError("`word` must have at least one symbol, but is empty.")
    return set(itertools.pairwise(symbols))


class BpeTokenizer:
    """Base of `GPT2Tokenizer` and `OpenAIGPTTokenizer`.

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
        # Without special tokens; the native tokenizer of `_twin` also knows those.
        self._plain = self._native_class(os.fspath(vocab_file), os.fspath(merges_file))
        self._twin = Twin()
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
        shown: dict[str, Any] = {
            "encoder": self.encoder,
            "bpe_ranks": self.bpe_ranks,
            **self._tables,
        }
        state = {k: v for k, v in self.__dict__.items() if k not in ("_plain", "_twin")}
        return {**state, "_tables": {name: dict(table) for name, table in shown.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        tables = state.pop("_tables")
        self.__dict__.update(state)
        self._twin = Twin()
        self._tables = {}
        for name, entries in tables.items():
            self._table(name, lambda entries=entries: entries)  # type: ignore[misc]
        self._plain = self._native_class.from_tables(self.encoder, self.bpe_ranks)

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
            self._tables[name].twin = self._twin
        return self._tables[name]

    def _replace_table(self, name: str, entries: Mapping[Any, Any]) -> None:
        if name == "encoder":
            _ = self.decoder  # which stays as it is
        if name in self._tables:
            self._tables[name].twin = None
        self._tables[name] = table = Table[Any, Any](entries)
        table.twin, table.changed = self._twin, True
        self._twin.native = None

    def _current(self) -> Any:
        """Returns the native tokenizer of the tables as they are now."""
        native = self._twin.native
        return self._renew() if native is None else native

    def _renew(self) -> Any:
        made_of = [self._tables[n] for n in ("encoder", "bpe_ranks") if n in self._tables]
        if any(table.changed for table in made_of):
            _ = self.decoder  # of the vocabulary as it was
            self._plain = self._native_class.from_tables(self.encoder, self.bpe_ranks)
            for table in made_of:
                table.changed = False
        native = self._plain
        if self.special_tokens or self.special_tokens_decoder:
            native = native.with_special_tables(self.special_tokens, self.special_tokens_decoder)
        self._twin.native = native
        return native

    def _is_plain(self) -> bool:
        """Whether nobody has put another function in the place of a method."""
        return _methods(type(self)) == _ORIGINAL_METHODS and _METHOD_NAMES.isdisjoint(self.__dict__)

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
        if self._is_plain():
            return self._tokenize(text)
        return [token for word in self._words(text) for token in self.bpe(word).split(" ")]

    def _words(self, text: str) -> list[str]:
        raise NotImplementedError

    def _tokenize(self, text: str) -> list[str]:
        return self._current().tokenize(text)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of the tokens of `text`; logs a warning when they are too many."""
        if self._is_plain():
            return self._checked(self._encode(text))
        return self.convert_tokens_to_ids(self.tokenize(text))

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
        if self._is_plain():
            return [self._checked(ids) for ids in self._encode_batch(texts, num_threads)]
        return [self.encode(text) for text in texts]

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
    def convert_tokens_to_ids(self, tokens: str) -> int: ...  # type: ignore[overload-overlap]
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
        if "decoder" not in self._tables and self._is_plain():
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


# What `tokenize`, `encode` and `decode` are made of: C++ does it while these are in place.
_METHOD_NAMES = frozenset(
    ("bpe", "convert_ids_to_tokens", "convert_tokens_to_ids", "encode", "tokenize")
)
_methods = operator.attrgetter(*sorted(_METHOD_NAMES))
_ORIGINAL_METHODS = _methods(BpeTokenizer)
