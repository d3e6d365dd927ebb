"""The tables of GPT's and GPT-2's tokenizers, in C++ and in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .native import HasNativeMethods, Made
from .tables import ReadOnlyTable, Table


class BpeTables(HasNativeMethods):
    """The vocabulary, merges and special tokens of a tokenizer.

    The native tokenizer holds all tables. Their Python dicts are made at first access; after a
    change of one, the next call makes a new native tokenizer.
    """

    _attributes = frozenset(("_tables",))
    _native_class: ClassVar[Any]

    def __init__(self, vocab_file: str, merges_file: str) -> None:
        # Has `encoder` and `bpe_ranks` only; special tokens are added to a copy.
        self._plain = self._native_class(vocab_file, merges_file)
        self._tables: dict[str, Table[Any, Any]] = {}

    def __len__(self) -> int:
        count = len(self.encoder) if "encoder" in self._tables else self._plain.num_tokens()
        return count + len(self.special_tokens)

    def __getstate__(self) -> dict[str, Any]:
        self._current()  # makes `decoder` if needed, from the vocabulary before a change
        saved: dict[str, Any] = {
            "encoder": self.encoder,
            "bpe_ranks": self.bpe_ranks,
            **self._tables,
        }
        state = {k: v for k, v in self.__dict__.items() if k != "_plain"}
        return {**state, "_tables": {name: dict(table) for name, table in saved.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        tables = state.pop("_tables")
        self.__dict__.update(state)
        self._plain = self._native_class.from_tables(tables["encoder"], tables["bpe_ranks"])
        self._tables = {name: self._new_table(entries) for name, entries in tables.items()}

    @property
    def encoder(self) -> dict[str, int]:
        """Token to id, as in vocab.json. Changes take effect at the next call; assigning copies."""
        return self._table("encoder", lambda: self._plain.encoder_items())

    @encoder.setter
    def encoder(self, table: Mapping[str, int]) -> None:
        self._replace_table("encoder", table)

    @property
    def decoder(self) -> dict[int, str]:
        """Id to token. Changes take effect at the next call."""
        return self._table("decoder", lambda: ((i, t) for t, i in self._plain.encoder_items()))

    @decoder.setter
    def decoder(self, table: Mapping[int, str]) -> None:
        self._replace_table("decoder", table)

    @property
    def bpe_ranks(self) -> dict[tuple[str, str], int]:
        """Pair of symbols to rank, lowest merged first. Changes take effect at the next call."""
        return self._table("bpe_ranks", lambda: self._plain.merges())

    @bpe_ranks.setter
    def bpe_ranks(self, table: Mapping[tuple[str, str], int]) -> None:
        self._replace_table("bpe_ranks", table)

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special token to id. Changes take effect at the next call."""
        return self._table("special_tokens", dict)

    @special_tokens.setter
    def special_tokens(self, table: Mapping[str, int]) -> None:
        self._replace_table("special_tokens", table)

    @property
    def special_tokens_decoder(self) -> dict[int, str]:
        """Id to special token. Changes take effect at the next call."""
        return self._table("special_tokens_decoder", dict)

    @special_tokens_decoder.setter
    def special_tokens_decoder(self, table: Mapping[int, str]) -> None:
        self._replace_table("special_tokens_decoder", table)

    @property
    def cache(self) -> dict[str, str]:
        """Empty and read-only: words are cached in C++, in memory of a fixed size."""
        return ReadOnlyTable()

    def _table(self, name: str, items: Callable[[], Any]) -> Table[Any, Any]:
        if name not in self._tables:
            return self._tables.setdefault(name, self._new_table(items()))
        return self._tables[name]

    def _new_table(self, entries: Any) -> Table[Any, Any]:
        """Makes a table of entries that `_plain` already has."""
        table: Table[Any, Any] = Table(entries)
        table._made.native = self._plain
        table._dependents[id(self)] = self
        return table

    def _replace_table(self, name: str, entries: Mapping[Any, Any]) -> None:
        if entries is self._tables.get(name):  # after `|=`, which has noted the change
            return
        if name == "encoder":
            _ = self.decoder  # made from the old `encoder`, as it does not follow changes
        self._tables[name] = table = self._new_table(entries)
        table._note_change()

    def _current(self) -> Any:
        """Returns the native tokenizer for the present tables."""
        return self._native()[0]

    def _current_plain(self) -> Any:
        plain = self._plain
        if any(made.native is not plain for made in self._made_of("encoder", "bpe_ranks")):
            # `decoder` is made from the old `_plain`, as it does not follow changes.
            _ = self.encoder, self.bpe_ranks, self.decoder
            made_of_entries = self._made_of("encoder", "bpe_ranks")
            self._plain = plain = self._native_class.from_tables(self.encoder, self.bpe_ranks)
            for made in made_of_entries:
                made.native = plain
        return plain

    def _made_of(self, *names: str) -> list[Made]:
        """Returns the `Made` of tables; a change replaces it."""
        return [self._tables[name]._made for name in names if name in self._tables]

    def _state(self) -> tuple[Any, ...]:
        special = self._made_of("special_tokens", "special_tokens_decoder")
        return self._current_plain(), special

    def _new_native(self, *state: Any) -> Any:
        plain, special = state[0], (self.special_tokens, self.special_tokens_decoder)
        return plain.with_special_tables(*special) if any(special) else plain
