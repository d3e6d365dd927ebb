"""Base of the configurations of all families: JSON files, and conversion to C++."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .._files.json_files import read_json
from .messages import with_article

_Self = TypeVar("_Self", bound="Config")

_EXPECTED = {bool: "a bool", float: "a number", int: "an int", list: "a list", str: "a str"}


class Config:
    """Base of the configurations; each attribute has the name of its key in config.json.

    A family's class lists in `_fields` the attributes that C++ needs, with their types. Other keys
    of a file become attributes too and are written back. `_complete` changes what a file or
    dictionary gives before the attributes are set, to fill in what it lacks.
    """

    _cpp_type: ClassVar[Any]
    _size: ClassVar[str] = "vocab_size"  # the attribute that the first argument sets, if an int
    _fields: ClassVar[dict[str, type]]
    _options: ClassVar[Sequence[str]] = ()  # other attributes that C++ looks at if they are there
    _activation: ClassVar[str | None] = None  # the name of a field that may also be a function
    _activations: ClassVar[Mapping[str, Any]] = {}  # functions by the names it may have

    @staticmethod
    def _complete(given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fills in what a file or dictionary lacks and what follows from the rest of it."""
        return given

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Lets mypy accept keys that are not arguments."""

    def __init__(self, vocab_size_or_config_json_file: int | str | os.PathLike[str]) -> None:
        """Sets the size of the vocabulary, or all attributes that are in a JSON file."""
        source = vocab_size_or_config_json_file
        if not isinstance(source, (int, str, os.PathLike)) or isinstance(source, bool):
            raise ValueError(
                "`vocab_size_or_config_json_file` must be a vocabulary size (int) or the path of a "
                f"JSON file (str or Path), but is {with_article(source)}."
            )
        if isinstance(source, int):
            setattr(self, self._size, source)
        else:
            given = _read_json(Path(source))
            vars(self).update({self._size: -1, **self._complete(given)})

    @classmethod
    def from_dict(cls: type[_Self], json_object: dict[str, Any]) -> _Self:
        """Makes a configuration from a dictionary of its attributes."""
        config = cls(-1)
        vars(config).update(cls._complete(json_object))
        return config

    @classmethod
    def from_json_file(cls: type[_Self], json_file: str | os.PathLike[str]) -> _Self:
        """Makes a configuration from a JSON file of its attributes.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file does not hold a JSON object.
        """
        return cls.from_dict(_read_json(Path(json_file)))

    def to_dict(self) -> dict[str, Any]:
        """Returns a copy of all attributes."""
        return copy.deepcopy(vars(self))

    def to_json_string(self) -> str:
        """Returns all attributes as JSON: sorted keys, two-space indent, final newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Writes `to_json_string()` to a file."""
        Path(json_file_path).write_text(self.to_json_string(), encoding="utf-8")

    def __repr__(self) -> str:
        return self.to_json_string()


def cpp_config(config: Config) -> Any:
    """Returns the configuration as a C++ object.

    Raises:
        TypeError: An attribute has a value of the wrong type.
        ValueError: A number is not finite.
    """
    fields = {name: getattr(config, name) for name in config._fields}
    for name, expected in config._fields.items():
        if name == config._activation:
            _check_activation(name, fields[name])
        else:
            check_field(name, fields[name], expected)
    if config._activation is not None:
        function = fields[config._activation]
        if callable(function) or function in config._activations:
            # C++ gets the function later, as an attribute of the module; any valid name will do.
            fields[config._activation] = "gelu"
    options = {name: vars(config)[name] for name in config._options if name in vars(config)}
    return config._cpp_type.from_json(json.dumps({**options, **fields}))


def complete_context(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Adds `n_ctx`, which today's files of GPT and GPT-2 lack, and to OpenAI's hparams.json what
    is called `n_vocab` and `n_ctx` there."""
    if "n_vocab" in given and "n_ctx" in given:
        return {"vocab_size": given["n_vocab"], "n_positions": given["n_ctx"], **given}
    if "n_ctx" in given or "n_positions" not in given:
        return given
    return {**given, "n_ctx": given["n_positions"]}


def _check_activation(name: str, value: object) -> None:
    if not isinstance(value, str) and not callable(value):
        raise TypeError(
            f'`{name}` must be "gelu", "relu", "swish" or a callable, but is {with_article(value)}.'
        )


def check_field(name: str, value: object, expected: type) -> None:
    """Checks the type of a number, flag, text or list.

    Raises:
        TypeError: It is of another type.
        ValueError: It is not finite.
    """
    accepted = (int, float) if expected is float else (expected,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
        raise TypeError(f"`{name}` must be {_EXPECTED[expected]}, but is {with_article(value)}.")
    if isinstance(value, float) and not math.isfinite(value):  # which JSON does not have
        raise ValueError(f"`{name}` must be finite, but is {value}.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"`{path}` must be a config file, but does not exist.") from None
    if not isinstance(content, dict):
        raise ValueError(f"`{path}` must hold a JSON object, but holds {with_article(content)}.")
    return content
