"""Dicts that native tokenizers are made from, or whose changes would have no effect."""

from __future__ import annotations

from typing import Any, TypeVar

from .native import Source, notes_changes

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@notes_changes
class Table(Source, dict[_Key, _Value]):
    """A dict that notifies the native tokenizers that were made from it of changes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class ReadOnlyTable(dict[_Key, _Value]):
    """A dict that raises TypeError on changes, since they would have no effect."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "a table that the tokenizer only shows must not be changed; change `encoder` or "
            "`bpe_ranks` instead."
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)
