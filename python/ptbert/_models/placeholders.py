"""Names of 2019 whose code is not written yet.

They can be imported, tested with `isinstance`, derived from and asked for attributes, as scripts do
that use one family and import all. Calling one raises NotImplementedError.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn


def _refuse(name: str) -> NoReturn:
    raise NotImplementedError(
        f"`{name}` is a name of pytorch-pretrained-bert that this version of ptbert does not "
        "implement yet; PARITY.md lists what it does."
    )


class Placeholder:
    """Base of the classes that are not implemented yet."""

    _full_name: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse(self._full_name)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Raises NotImplementedError."""
        _refuse(cls._full_name)

    from_dict = from_json_file = from_pretrained


def placeholder_class(module: str, name: str) -> Any:
    """Returns a class that raises NotImplementedError when it is called."""
    attributes = {
        "__module__": module,
        "__doc__": "Not implemented yet.",
        "_full_name": f"{module}.{name}",
    }
    return type(name, (Placeholder,), attributes)


def placeholder_function(module: str, name: str) -> Any:
    """Returns a function that raises NotImplementedError when it is called."""

    def placeholder(*args: Any, **kwargs: Any) -> NoReturn:
        _refuse(f"{module}.{name}")

    placeholder.__module__, placeholder.__name__, placeholder.__qualname__ = module, name, name
    placeholder.__doc__ = "Not implemented yet."
    return placeholder


def is_placeholder(value: object) -> bool:
    """Whether a class or function is one of these."""
    if isinstance(value, type):
        return issubclass(value, Placeholder)
    return getattr(value, "__code__", None) is _PLACEHOLDER_CODE


_PLACEHOLDER_CODE = placeholder_function("", "").__code__
