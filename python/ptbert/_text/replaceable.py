"""Notices when methods and functions that tokenizers call are replaced, on a class or in a module.

Client code replaces single steps (`BasicTokenizer._run_strip_accents = f`, or a function of
`ptbert.tokenization` by `unittest.mock`). Tokenizers do all steps in C++, so they must know. A
replacement notifies them like any other change (`native.py`), which costs their calls nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from .native import HasNativeMethods, Source

_Function = Callable[[str], Any]


class Code(Source):
    """The methods of watched classes and functions of watched modules, as one source."""


CODE = Code()

# So that subclasses may also be abstract, or implement a protocol.
if TYPE_CHECKING:
    from abc import ABCMeta as _MetaclassOfProtocol
else:
    _MetaclassOfProtocol = type(Protocol)


class WatchedClass(_MetaclassOfProtocol):
    """The class of classes that notify tokenizers when one of their methods is replaced."""

    def __setattr__(cls, name: str, value: Any) -> None:  # noqa: N805
        super().__setattr__(name, value)
        if name in getattr(cls, "_attributes", ()):
            CODE._note_change()

    def __delattr__(cls, name: str) -> None:  # noqa: N805
        super().__delattr__(name)
        if name in getattr(cls, "_attributes", ()):
            CODE._note_change()


class HasReplaceableSteps(HasNativeMethods, metaclass=WatchedClass):
    """A tokenizer whose native object is not used while a method is replaced."""

    __slots__ = ("__dict__",)

    _saved: ClassVar[tuple[str, ...]]  # names of the attributes to pickle

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **{name: getattr(self, name) for name in self._saved}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def _sources(self) -> list[Source]:
        return [CODE]

    def _tells_changes(self) -> bool:
        # A mixin may get another step unnoticed.
        own = set(type(self).__mro__).difference(HasReplaceableSteps.__mro__)
        return all(isinstance(cls, WatchedClass) for cls in own) and super()._tells_changes()


class Functions:
    """Functions of a module, looked up when they are called, since clients may replace them."""

    def __init__(self, *originals: _Function) -> None:
        self._originals = {function.__name__: function for function in originals}
        self._module: ModuleType | None = None

    def watch(self, module: ModuleType) -> None:
        """From now on, the functions are the module's, and it notifies tokenizers of others."""
        self._module, names = module, frozenset(self._originals)

        class WatchedModule(ModuleType):
            def __setattr__(self, name: str, value: Any) -> None:
                super().__setattr__(name, value)
                if name in names:
                    CODE._note_change()

            def __delattr__(self, name: str) -> None:
                super().__delattr__(name)
                if name in names:
                    CODE._note_change()

        module.__class__ = WatchedModule
        CODE._note_change()

    def __getattr__(self, name: str) -> _Function:
        function: _Function = getattr(self._module, name)
        return function

    def are_replaced(self, *names: str) -> bool:
        """Whether the module has another function for one of the names; for any, without names."""
        return any(
            getattr(self._module, name, None) is not self._originals[name]
            for name in names or self._originals
        )
