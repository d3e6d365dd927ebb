"""How a tokenizer keeps its native object, which does the work in C++, until something changes.

It is made when it is first needed. What it was made from (tables, attributes, other tokenizers)
tells when it changes; the native object is then dropped, and the next call makes another. So a
call does not compare anything, except the methods of its class: a class could tell only by a
metaclass, and Python allows no second one, such as that of `typing.Protocol`, beside it.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

_Class = TypeVar("_Class", bound="type[Any]")
_Self = TypeVar("_Self", bound="Source")


class Made:
    """Holds the native object that was made of something, for as long as that does not change.

    A change puts an empty `Made` in the place of this one. A thread that was just making a native
    object then leaves it here, where nobody looks any more.
    """

    __slots__ = ("latest", "native")

    def __init__(self, latest: tuple[Any, Any] | None = None) -> None:
        self.native: Any = None  # where it must be made
        self.latest = latest  # what was made last, even before a change: its state and itself


class _SignatureOfInit:
    """What `inspect.signature` and `help` show; Python 3.10 would show that of `__new__`."""

    def __get__(self, instance: Any, cls: Any) -> inspect.Signature:
        return inspect.signature(functools.partial(cls.__init__, instance))


class Source:
    """Something that native objects are made from. When it changes, it tells its dependents."""

    __slots__ = ()
    __signature__ = _SignatureOfInit()
    _made: Made
    _dependents: WeakValueDictionary[int, Source]  # by `id`: they may have another `__eq__`

    def __new__(cls: type[_Self], *args: Any, **kwargs: Any) -> _Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_made", Made())
        object.__setattr__(self, "_dependents", WeakValueDictionary())
        return self

    def _note_change(self) -> None:
        """Drops what was made of this, here and in its dependents."""
        object.__setattr__(self, "_made", Made(self._made.latest))
        for reference in self._dependents.valuerefs():
            dependent = reference()
            if dependent is not None:
                dependent._note_change()

    def _tells_changes(self) -> bool:
        """Whether no change can go unnoticed. Otherwise nothing that depends on this is kept."""
        return True


def notes_changes(cls: _Class) -> _Class:
    """Makes the methods of a dict call `_note_change` after they may have changed entries."""
    special = ("__delitem__", "__ior__", "__setitem__")
    for name in (*special, "clear", "pop", "popitem", "setdefault", "update"):
        setattr(cls, name, _noting(getattr(cls, name)))
    return cls


def _noting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def changed(self: Source, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            self._note_change()

    return changed


class HasNative(Source):
    """A tokenizer with a native one, made of attributes that may be changed at any time."""

    __slots__ = ("__weakref__", "_dependents", "_made")
    _attributes: ClassVar[frozenset[str]]  # what the native object depends on

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in self._attributes or name in ("__class__", "__dict__"):
            self._note_change()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in self._attributes:
            self._note_change()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return super().__reduce_ex__(max(protocol, 2))  # which goes through `__new__`

    def _sources(self) -> list[Source]:
        """Returns the attributes whose own changes count, too."""
        return []

    def _state(self) -> tuple[Any, ...]:
        """Returns what the native object is made of; while it is equal, so is that."""
        raise NotImplementedError

    def _new_native(self, *state: Any) -> Any:
        raise NotImplementedError

    def _native(self) -> Any:
        """Returns the native object of everything as it is now."""
        return self._made.native or self._make_native()

    def _make_native(self) -> Any:
        made = self._made  # fetched first: after a change from here on it is not that of `self`
        keep = self._tells_changes()
        if keep:
            for source in self._sources():
                source._dependents[id(self)] = self
        state, latest = self._state(), made.latest
        if latest is None or latest[0] != state:
            made.latest = latest = (state, self._new_native(*state))
        if keep and self._tells_changes():  # still: before they had dependents, sources told nobody
            made.native = latest[1]
        return latest[1]

    def _tells_changes(self) -> bool:
        cls = type(self)
        return (
            all(source._tells_changes() for source in self._sources())
            and cls.__setattr__ is HasNative.__setattr__
            and cls.__delattr__ is HasNative.__delattr__
            and not any(_is_property(getattr(cls, name, None)) for name in self._attributes)
        )


def _is_property(value: Any) -> bool:
    """Whether a class computes an attribute of its instances, from what we cannot know."""
    return inspect.isdatadescriptor(value) and not inspect.ismemberdescriptor(value)


class HasNativeMethods(HasNative):
    """A tokenizer whose native object does what its methods do, unless someone replaces them.

    `_native` gives a pair: the native object, and once more for what the methods do; that is None
    where they do something else.
    """

    __slots__ = ()
    _method_names: ClassVar[frozenset[str]]
    _methods_of: ClassVar[Any]  # a function of a class
    _original_methods: ClassVar[tuple[Any, ...]]

    def _native_methods(self) -> Any:
        """Returns the second of the pair, or None where the class has other methods."""
        cls = type(self)
        if cls._methods_of(cls) != cls._original_methods:
            return None
        return (self._made.native or self._make_native())[1]

    def _replaces_methods(self) -> bool:
        cls = type(self)
        return cls._methods_of(cls) != cls._original_methods or self._has_own_methods()

    def _has_own_methods(self) -> bool:
        """Whether a method was replaced in this one object, which is a part of `_state`."""
        return not self._method_names.isdisjoint(self.__dict__)


def native_methods(*names: str) -> Callable[[_Class], _Class]:
    """Names the methods whose work the native object does, as the class has them now."""

    def note(cls: _Class) -> _Class:
        cls._method_names = frozenset(names)
        cls._attributes |= cls._method_names
        cls._methods_of = operator.attrgetter(*names)
        cls._original_methods = cls._methods_of(cls)
        return cls

    return note
