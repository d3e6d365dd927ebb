"""Writes checkpoints and the folders they are in, so that no half file is ever seen."""

from __future__ import annotations

import json
import shutil
import struct
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

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


def write_pytorch_bin(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a file that `torch.load` of 2019 reads, too."""
    torch.save(dict(tensors), path, _use_new_zipfile_serialization=False)


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
