"""Dicts that a native tokenizer is made of, or that it only shows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Method = TypeVar("_Method", bound=Callable[..., Any])


class Twin:
    """The native tokenizer that was made of the tables of Python as they are; None if changed."""

    native: Any = None
    changes = 0  # of the tables


def notes_change(method: _Method) -> _Method:
    """Makes a method of a dict call `_note_change` after it may have changed the entries."""

    @functools.wraps(method)
    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            self._note_change()

    return cast(_Method, changed)


class Table(dict[_Key, _Value]):
    """A dict that notes when it was changed: the native tokenizer is then made anew."""

    changed = False
    twin: Twin | None = None

    __setitem__ = notes_change(dict.__setitem__)
    __delitem__ = notes_change(dict.__delitem__)
    __ior__ = notes_change(dict.__ior__)
    clear = notes_change(dict.clear)
    pop = notes_change(dict.pop)
    popitem = notes_change(dict.popitem)
    setdefault = notes_change(dict.setdefault)
    update = notes_change(dict.update)

    def _note_change(self) -> None:
        self.changed = True
        if self.twin is not None:
            self.twin.changes += 1
            self.twin.native = None

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
