"""Checkpoint files to state dicts, without running what a pickle may contain."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from . import _C
from .file_utils import StrPath

_ZIP_MAGIC = b"PK\x03\x04"
_FOREIGN_GLOBAL = re.compile(r"Unsupported global: GLOBAL (\S+)")


def read_state_dict(path: StrPath) -> dict[str, Tensor]:
    """Reads the tensors of a .safetensors file or of a PyTorch checkpoint (zip or legacy format).

    Tensors arrive on the CPU and are memory-mapped where the format allows it.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is no checkpoint, is damaged, or holds more than a dict of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`{path}` must be a checkpoint file, but does not exist.")
    if path.suffix == ".safetensors":
        return _C.load_safetensors(str(path))
    return _checked_state_dict(path, _load_pickle(path))


def _load_pickle(path: Path) -> object:
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    try:
        checkpoint: object = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except OSError:
        raise
    except Exception as error:  # A damaged pickle may raise anything: see Python's pickle module.
        if foreign := _FOREIGN_GLOBAL.search(str(error)):
            raise ValueError(
                f"`{path}` must hold a dict of tensors, but contains the Python object "
                f"`{foreign[1]}`, and unpickling that could run any code. In an environment where "
                "you trust the file, load it with torch.load(path, weights_only=False) and save "
                "its model.state_dict() with torch.save."
            ) from error
        raise ValueError(
            f"`{path}` must be a PyTorch checkpoint, but is truncated or of another format "
            f"({type(error).__name__}). Download or save it again."
        ) from error
    return checkpoint


def _checked_state_dict(path: Path, checkpoint: object) -> dict[str, Tensor]:
    remedy = "Save model.state_dict() on its own with torch.save."
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise ValueError(f"`{path}` must hold a dict of tensors, but holds one {kind}. {remedy}")
    for key, value in checkpoint.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise ValueError(
                f"`{path}` must hold a dict of tensors, but its entry {key!r} is of type {kind}. "
                f"{remedy}"
            )
    return dict(checkpoint)
