"""Reads and writes dicts of plain data in torch.save's format, without running code in pickles."""

from __future__ import annotations

import errno
import logging
import os
import re
import uuid
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import _C
from ..file_utils import StrPath

logger = logging.getLogger(__name__)

# How errors of torch.load name a forbidden function or class in a pickle.
_FOREIGN = re.compile(r"GLOBAL (\S+)|but got <class '([\w.]+)'>")
_PLAIN = (type(None), bool, int, float, str, list, tuple, dict, OrderedDict, Counter, Tensor)

# What `weights_only` must allow in addition, for arrays of ints. numpy 2 moved `_reconstruct`; a
# file has the name that it had in the numpy that wrote the file.
_reconstruct: Any = np.empty(0).__reduce__()[0]
_ALLOWED: list[Any] = [
    (_reconstruct, "numpy.core.multiarray._reconstruct"),
    (_reconstruct, "numpy._core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    type(np.dtype(np.int32)),
    type(np.dtype(np.int64)),
    Counter,
    OrderedDict,
]


def load_plain(path: Path, content: str, file_type: str, remedy: str, mmap: bool = False) -> object:
    """Returns the content of a file by `torch.save`, if it is plain data; runs no code in pickles.

    Args:
        path: The file, in any format that `torch.save` has had.
        content: Words for the message: what the file must hold.
        file_type: Words for the message: what the file must be.
        remedy: Words for the message: what to save instead of a Python object.
        mmap: Whether to memory-map tensors.

    Raises:
        ValueError: The file is damaged, or holds anything but plain data.
    """
    options: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    try:
        if mmap and _is_utf8(path):
            return torch.load(path, mmap=True, **options)
        with path.open("rb") as file:
            return torch.load(file, **options)
    except MemoryError:
        raise
    except Exception as error:  # A damaged pickle may raise anything: see Python's pickle module.
        if foreign := _FOREIGN.search(str(error)):
            raise ValueError(
                f"`{path}` must hold {content}, but contains the Python object "
                f"`{foreign[1] or foreign[2]}`, and unpickling that could run any code. In an "
                "environment where you trust the file, load it with torch.load(path, "
                f"weights_only=False) and save {remedy} with torch.save."
            ) from error
        if _is_of_another_cause(error):
            raise
        raise ValueError(
            f"`{path}` must be {file_type}, but is truncated or of another format "
            f"({type(error).__name__}). Download or save it again."
        ) from error


def _is_utf8(path: Path) -> bool:
    """Whether torch can map a file of this name into memory."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_of_another_cause(error: Exception) -> bool:
    """Whether the file could not be read for a reason that is not in it."""
    if isinstance(error, OSError):
        return error.errno != errno.EINVAL  # of mapping or seeking in a truncated file
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


# How files of `torch.save` before 1.6 begin, with a pickled number; today's are zip archives.
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"


def read_attributes(path: StrPath) -> dict[str, Any]:
    """Reads a dict of plain data and tensors, in any format that `torch.save` has had, or a dict of
    plain data by `pickle.dump`, without the Python objects in it.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is damaged, or holds anything but such a dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`{path}` must be an existing file, but does not exist.")
    with path.open("rb") as file:
        beginning = file.read(len(_LEGACY))
    if beginning.startswith(b"\x80") and not _LEGACY.startswith(beginning):
        return _read_pickle(path)
    with torch.serialization.safe_globals(_ALLOWED):
        attributes = load_plain(
            path,
            "a dict of plain data and tensors",
            "a file written by torch.save",
            "the `__dict__` of the object",
        )
    if not isinstance(attributes, dict) or not all(isinstance(key, str) for key in attributes):
        raise ValueError(
            f"`{path}` must hold a dict of attributes, but holds {type(attributes).__name__} "
            "or keys that are no str."
        )
    return attributes


def _read_pickle(path: Path) -> dict[str, Any]:
    attributes, left_out = _C.read_pickled_attributes(path)
    if left_out:
        logger.warning(
            "Of %s these attributes are left out, which are no plain data: %s",
            path,
            ", ".join(left_out),
        )
    return {name: _ordered(name, value) for name, value in attributes.items()}


def _ordered(name: str, value: Any) -> Any:
    """Gives a dict the type that tokenizers have for it."""
    if not isinstance(value, dict):
        return value
    return Counter(value) if name == "counter" else OrderedDict(value)


def write_attributes(path: StrPath, attributes: Mapping[str, Any]) -> None:
    """Writes a file for `read_attributes`, in the legacy format that torch of 2019 can read, too.

    The file gets its name only when it is complete.

    Raises:
        TypeError: An attribute is neither plain data nor a tensor.
    """
    plain = {name: _plain(name, value) for name, value in attributes.items()}
    path = Path(path)
    incomplete = path.with_name(f"{uuid.uuid4().hex}.incomplete")
    try:
        torch.save(plain, incomplete, _use_new_zipfile_serialization=False)
        incomplete.replace(path)
    finally:
        incomplete.unlink(missing_ok=True)


def _plain(name: str, value: object) -> object:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if type(value) not in _PLAIN:
        raise TypeError(
            f"`{name}` must be plain data or a tensor to be saved, but is of type "
            f"{type(value).__name__}."
        )
    return value
