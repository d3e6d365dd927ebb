"""Dicts that a native tokenizer is made of, or that it only shows."""

from __future__ import annotations

from typing import Any, TypeVar

from .native import Source, notes_changes

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@notes_changes
class Table(Source, dict[_Key, _Value]):
    """A dict that tells the native tokenizers that were made of it when its entries change."""

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
