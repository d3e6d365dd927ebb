"""The cache of a tokenizer's native object: the C++ object that does the work of its methods.

The native object is made at the first call. The sources that it was made from (tables, attributes,
other tokenizers) notify the tokenizer of changes; it then drops the native object, and the next
call makes another. A call therefore compares nothing except the methods of its class: to notice a
change of a class would need a metaclass, which would conflict with others such as that of
`typing.Protocol`.
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
    """Holds the native object made from a source; valid until the source changes.

    A change replaces this holder by an empty one. If another thread is making a native object
    meanwhile, it stores it in the old holder, where nobody reads it any more.
    """

    __slots__ = ("latest", "native")

    def __init__(self, latest: tuple[Any, Any] | None = None) -> None:
        self.native: Any = None  # None: must be made
        self.latest = latest  # (state, native object) made last, possibly before the change


class _SignatureOfInit:
    """Makes `inspect.signature` and `help` use `__init__`; Python 3.10 would use `__new__`."""

    def __get__(self, instance: Any, cls: Any) -> inspect.Signature:
        return inspect.signature(functools.partial(cls.__init__, instance))


class Source:
    """Something that native objects are made from. It notifies its dependents of changes."""

    __slots__ = ()
    __signature__ = _SignatureOfInit()
    _made: Made
    _dependents: WeakValueDictionary[int, Source]  # by `id`, since they may define `__eq__`

    def __new__(cls: type[_Self], *args: Any, **kwargs: Any) -> _Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_made", Made())
        object.__setattr__(self, "_dependents", WeakValueDictionary())
        return self

    def _note_change(self) -> None:
        """Drops the native objects made from this source, here and in its dependents."""
        object.__setattr__(self, "_made", Made(self._made.latest))
        for reference in self._dependents.valuerefs():
            dependent = reference()
            if dependent is not None:
                dependent._note_change()

    def _tells_changes(self) -> bool:
        """Whether every change is noticed. If not, native objects made from this are not cached."""
        return True


def notes_changes(cls: _Class) -> _Class:
    """Makes the mutating methods of a dict call `_note_change`."""
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
    """A tokenizer whose native object is made from attributes that may change at any time."""

    __slots__ = ("__weakref__", "_dependents", "_made")
    _attributes: ClassVar[frozenset[str]]  # names of those attributes

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in self._attributes or name in ("__class__", "__dict__"):
            self._note_change()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in self._attributes:
            self._note_change()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return super().__reduce_ex__(max(protocol, 2))  # from 2 on, unpickling calls `__new__`

    def _sources(self) -> list[Source]:
        """Returns the attributes that are sources themselves."""
        return []

    def _state(self) -> tuple[Any, ...]:
        """Returns the arguments of `_new_native`; equal ones give an equal native object."""
        raise NotImplementedError

    def _new_native(self, *state: Any) -> Any:
        raise NotImplementedError

    def _native(self) -> Any:
        """Returns the native object for the present state."""
        return self._made.native or self._make_native()

    def _make_native(self) -> Any:
        made = self._made  # read first: any later change replaces `self._made`
        keep = self._tells_changes()
        if keep:
            for source in self._sources():
                source._dependents[id(self)] = self
        state, latest = self._state(), made.latest
        if latest is None or latest[0] != state:
            made.latest = latest = (state, self._new_native(*state))
        # Checked again: a change before this object became a dependent was not notified.
        if keep and self._tells_changes():
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
    """Whether a class attribute is a property, whose value may change without `__setattr__`."""
    return inspect.isdatadescriptor(value) and not inspect.ismemberdescriptor(value)


class HasNativeMethods(HasNative):
    """A tokenizer whose native object does the work of its methods, unless they are replaced.

    `_native` returns a pair: the native object, and the one to use in place of the tokenizer's
    methods, which is None if a method was replaced.
    """

    __slots__ = ()
    _method_names: ClassVar[frozenset[str]]
    _methods_of: ClassVar[Any]  # function: class -> tuple of its methods
    _original_methods: ClassVar[tuple[Any, ...]]

    def _native_methods(self) -> Any:
        """Returns the second of the pair, or None if the class overrides a method."""
        cls = type(self)
        if cls._methods_of(cls) != cls._original_methods:
            return None
        return (self._made.native or self._make_native())[1]

    def _replaces_methods(self) -> bool:
        cls = type(self)
        return cls._methods_of(cls) != cls._original_methods or self._has_own_methods()

    def _has_own_methods(self) -> bool:
        """Whether a method was replaced in this instance only; `_state` must include this."""
        return not self._method_names.isdisjoint(self.__dict__)


def native_methods(*names: str) -> Callable[[_Class], _Class]:
    """Declares the methods whose work the native object does; later changes are replacements."""

    def note(cls: _Class) -> _Class:
        cls._method_names = frozenset(names)
        cls._attributes |= cls._method_names
        cls._methods_of = operator.attrgetter(*names)
        cls._original_methods = cls._methods_of(cls)
        return cls

    return note
