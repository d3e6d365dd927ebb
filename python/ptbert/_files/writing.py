"""Writes checkpoints and the folders they are in, so that no half file is ever seen."""

from __future__ import annotations

import json
import re
import shutil
import struct
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ..file_utils import SAFETENSORS_NAME, WEIGHTS_NAME
from .shards import INDEX_SUFFIX

# By torch's names; those of the format (huggingface/safetensors).
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


_WEIGHTS_FILE = re.compile(
    r"(model|pytorch_model)(-\d{5}-of-\d{5})?\.(safetensors|bin)(\.index\.json)?"
)


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to write files to, which get their places in `folder` when the context
    ends without an error; after one nothing is left behind. `folder` is made if need be."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    incomplete = folder.with_name(f"{uuid.uuid4().hex}.incomplete")
    incomplete.mkdir()
    try:
        yield incomplete
        if not folder.exists():
            incomplete.rename(folder)
            return
        for path in incomplete.iterdir():
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yields the path of a file to write, which becomes `path` when the context ends without an
    error; after one nothing is left behind."""
    incomplete = path.with_name(f"{uuid.uuid4().hex}.incomplete")
    try:
        yield incomplete
        incomplete.replace(path)
    finally:
        incomplete.unlink(missing_ok=True)


def without_tied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leaves out all but the first of the names that a weight has, and the causal masks of GPT and
    GPT-2, which every model makes on its own."""
    seen: set[tuple[int, torch.Size, tuple[int, ...]]] = set()
    kept = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride())
        is_tied = place in seen and tensor.numel() > 0
        if not is_tied and not name.endswith(".attn.bias"):
            kept[name] = tensor
        seen.add(place)
    return kept


def write_pytorch_bin(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a file that `torch.load` of 2019 reads, too."""
    torch.save(dict(tensors), path, _use_new_zipfile_serialization=False)


def write_weights(
    folder: Path, tensors: Mapping[str, Tensor], *, safe: bool, max_bytes: int
) -> None:
    """Writes model.safetensors, or else pytorch_model.bin; above a size in shards with an index.

    A weight is never cut, so a shard may be larger than `max_bytes`.
    """
    name, write = (
        (SAFETENSORS_NAME, write_safetensors) if safe else (WEIGHTS_NAME, write_pytorch_bin)
    )
    shards: list[dict[str, Tensor]] = [{}]
    bytes_of_last = total = 0
    for key, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and bytes_of_last + size > max_bytes:
            shards.append({})
            bytes_of_last = 0
        shards[-1][key] = tensor
        bytes_of_last += size
        total += size
    if len(shards) == 1:
        write(folder / name, shards[0])
        return
    stem, suffix = name.rsplit(".", 1)
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = f"{stem}-{number:05d}-of-{len(shards):05d}.{suffix}"
        write(folder / file, shard)
        weight_map.update(dict.fromkeys(shard, file))
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    (folder / (name + INDEX_SUFFIX)).write_text(text, encoding="utf-8")


def remove_other_weights(folder: Path, written: Collection[str]) -> None:
    """Deletes weights of an earlier save, which might be loaded instead of those just written."""
    for path in folder.iterdir():
        if _WEIGHTS_FILE.fullmatch(path.name) and path.name not in written:
            path.unlink()


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a .safetensors file, one tensor after the other.

    Raises:
        ValueError: The format has no such dtype.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers asks for it
    position = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise ValueError(
                f"`{name}` must be of a dtype that safetensors has, but is of {tensor.dtype}."
            )
        end = position + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            flat.view(torch.uint8).numpy().tofile(file)
