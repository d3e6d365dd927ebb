"""Reads checkpoint files as state dicts, without running code in pickles."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from .. import _C
from ..file_utils import StrPath
from .plain_files import load_plain

_ZIP_MAGIC = b"PK\x03\x04"


def read_state_dict(path: StrPath) -> dict[str, Tensor]:
    """Reads the tensors of a .safetensors file or of a PyTorch checkpoint (zip or legacy format).

    Tensors are on the CPU, and memory-mapped if the format allows it.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is damaged, or is not a checkpoint with only a dict of tensors.
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
    return load_plain(
        path, "a dict of tensors", "a PyTorch checkpoint", "its model.state_dict()", mmap=is_zip
    )


def _checked_state_dict(path: Path, checkpoint: object) -> dict[str, Tensor]:
    remedy = "Save model.state_dict() on its own with torch.save."
    if not isinstance(checkpoint, dict):
        found = type(checkpoint).__name__
        raise ValueError(f"`{path}` must hold a dict of tensors, but holds one {found}. {remedy}")
    for key, value in checkpoint.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            found = type(value).__name__
            raise ValueError(
                f"`{path}` must hold a dict of tensors, but its entry {key!r} is of type {found}. "
                f"{remedy}"
            )
    return dict(checkpoint)
