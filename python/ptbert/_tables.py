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


def _notes_change(method: _Method) -> _Method:
    @functools.wraps(method)
    def changed(self: Table[Any, Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            self.changed = True
            if self.twin is not None:
                self.twin.native = None

    return cast(_Method, changed)


class Table(dict[_Key, _Value]):
    """A dict that notes when it was changed: the native tokenizer is then made anew."""

    changed = False
    twin: Twin | None = None

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
