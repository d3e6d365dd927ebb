"""Functions of 2019 whose code is not written yet: so far `build_tf_to_pytorch_map`.

They can be imported, as scripts do that use one family and import all. Calling one raises
NotImplementedError.
"""

from __future__ import annotations

from typing import Any, NoReturn


def placeholder_function(module: str, name: str) -> Any:
    """Returns a function that raises NotImplementedError when it is called."""

    def placeholder(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"`{module}.{name}` is a name of pytorch-pretrained-bert that this version of ptbert "
            "does not implement yet; PARITY.md lists what it does."
        )

    placeholder.__module__, placeholder.__name__, placeholder.__qualname__ = module, name, name
    placeholder.__doc__ = "Not implemented yet."
    return placeholder


def is_placeholder(value: object) -> bool:
    """Whether a function is one of these."""
    return getattr(value, "__code__", None) is _PLACEHOLDER_CODE


_PLACEHOLDER_CODE = placeholder_function("", "").__code__
