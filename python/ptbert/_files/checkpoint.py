"""Reads checkpoint files as state dicts, without running code in pickles."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import _C
from ..file_utils import StrPath
from .plain_files import load_plain
from .shards import is_index, read_index

logger = logging.getLogger(__name__)

_ZIP_MAGIC = b"PK\x03\x04"
# Under which of its keys training code keeps the state dict.
_WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: StrPath) -> dict[str, Tensor]:
    """Reads the tensors of a .safetensors file, of a PyTorch checkpoint (zip or legacy format), or
    of the shards that an .index.json names.

    Tensors are on the CPU, and memory-mapped if the format allows it.

    Raises:
        FileNotFoundError: The file, or a shard, does not exist.
        ValueError: A file is damaged, holds no tensors, or lacks one that the index says it holds.
    """
    path = Path(path)
    return _read_shards(path) if is_index(path) else _read_file(path)


def _read_shards(index: Path) -> dict[str, Tensor]:
    shard_of = read_index(index)
    state: dict[str, Tensor] = {}
    for shard in sorted(set(shard_of.values())):
        path = index.with_name(shard)
        tensors = _read_file(path)
        for name, named in shard_of.items():
            if named == shard and name not in tensors:
                raise ValueError(
                    f"`{path}` must hold `{name}`, as `{index.name}` says, but does not. Download "
                    "or save both again."
                )
        # What the index does not name, as another name of a tied weight, is kept, too.
        state |= {n: tensor for n, tensor in tensors.items() if shard_of.get(n, shard) == shard}
    return state


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"`{path}` must be a checkpoint file, but does not exist.")
    if path.suffix == ".safetensors":
        return _C.load_safetensors(str(path))
    return state_dict_of(_load_pickle(path), f"`{path}`")


def _load_pickle(path: Path) -> object:
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    return load_plain(
        path, "a dict of tensors", "a PyTorch checkpoint", "its model.state_dict()", mmap=is_zip
    )


def state_dict_of(checkpoint: object, source: str) -> dict[str, Tensor]:
    """Returns the state dict that a checkpoint is, or that it holds among what was saved with it.

    Entries that are not tensors are left out, and named in a warning.

    Raises:
        ValueError: There is no tensor; `source` names the checkpoint in the message.
    """
    if isinstance(checkpoint, Mapping):
        inner = [checkpoint[name] for name in _WRAPPERS if name in checkpoint]
        for candidate in [value for value in inner if isinstance(value, Mapping)] + [checkpoint]:
            tensors = {
                name: value
                for name, value in candidate.items()
                if isinstance(name, str) and isinstance(value, Tensor)
            }
            if tensors:
                _warn_of_others(checkpoint, candidate, tensors, source)
                return tensors
    raise ValueError(
        f"{source} must hold a dict of tensors, but holds {_description(checkpoint)}. Save "
        "model.state_dict() on its own with torch.save."
    )


def _warn_of_others(
    checkpoint: Mapping[Any, Any],
    chosen: Mapping[Any, Any],
    tensors: Mapping[str, Tensor],
    source: str,
) -> None:
    others = [str(name) for name in chosen if name not in tensors]
    if chosen is not checkpoint:
        others += [str(name) for name, value in checkpoint.items() if value is not chosen]
    if others:
        logger.warning(
            "%s holds more than weights; left out: %s", source, ", ".join(sorted(others))
        )


def _description(checkpoint: object) -> str:
    if not isinstance(checkpoint, Mapping):
        return f"one {type(checkpoint).__name__}"
    if not checkpoint:
        return "no entry"
    name, value = next(iter(checkpoint.items()))
    return f"none: its entry {name!r} is of type {type(value).__name__}"
