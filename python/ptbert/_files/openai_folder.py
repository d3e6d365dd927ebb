"""OpenAI's published weights of GPT: a folder of NumPy files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..file_utils import StrPath
from .json_files import read_json

SHAPES_NAME = "params_shapes.json"

# The arrays in their order, by the names of the models; those of a block for each block.
_EMBEDDINGS = ("transformer.positions_embed.weight", "transformer.tokens_embed.weight")
_BLOCK = (
    *("attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias"),
    *("ln_1.weight", "ln_1.bias"),
    *("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
    *("ln_2.weight", "ln_2.bias"),
)


def is_openai_folder(path: StrPath) -> bool:
    """Whether a folder holds weights as OpenAI published those of GPT."""
    return (Path(path) / SHAPES_NAME).is_file()


def list_openai_folder(folder: StrPath) -> dict[str, list[int]]:
    """Returns {name in the models: shape in the files}.

    Raises:
        OSError: The list of shapes is missing.
        ValueError: It is damaged, or not that of a GPT.
    """
    path = Path(folder) / SHAPES_NAME
    shapes = read_json(path)
    if not isinstance(shapes, list) or not all(map(_is_shape, shapes)):
        raise ValueError(f"`{path}` must hold a list of shapes, but does not.")
    blocks, rest = divmod(len(shapes) - len(_EMBEDDINGS), len(_BLOCK))
    if rest or blocks < 1:
        raise ValueError(
            f"`{path}` must hold the shapes of {len(_EMBEDDINGS)} embeddings and {len(_BLOCK)} for "
            f"each block, but holds {len(shapes)}."
        )
    names = [*_EMBEDDINGS, *(f"transformer.h.{i}.{name}" for i in range(blocks) for name in _BLOCK)]
    return dict(zip(names, shapes, strict=True))


def read_openai_folder(folder: StrPath) -> dict[str, Tensor]:
    """Reads params_0.npy and so on, which are one long row of numbers, cut by the shapes.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, or the numbers are not as many as the shapes need.
    """
    shapes = list_openai_folder(folder)
    parts = list(_parts(Path(folder)))
    needed = sum(math.prod(shape) for shape in shapes.values())
    present = sum(part.size for part in parts)
    if present != needed:
        raise ValueError(
            f"`{folder}` must hold {needed} numbers, as its {SHAPES_NAME} says, but its "
            f"{len(parts)} files params_*.npy hold {present}. Download the folder again."
        )
    numbers = _Row(parts)
    return {
        # [1, in, out], the kernel of a convolution of width 1 -> [in, out]
        name: torch.from_numpy(numbers.take(math.prod(shape))).reshape(
            shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
        )
        for name, shape in shapes.items()
    }


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and all(type(extent) is int and extent >= 0 for extent in value)


def _parts(folder: Path) -> Iterator[np.ndarray]:
    number = 0
    while (path := folder / f"params_{number}.npy").is_file():
        try:
            part = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(
                f"`{path}` must be a file of NumPy, but is truncated or of another format "
                f"({error}). Download it again."
            ) from error
        if part.dtype.kind != "f":
            raise ValueError(f"`{path}` must hold floating-point numbers, but holds {part.dtype}.")
        yield part.reshape(-1)
        number += 1
    if not number:
        raise FileNotFoundError(f"`{folder}` must hold params_0.npy, but does not.")


class _Row:
    """Several arrays as one, read from its start."""

    def __init__(self, parts: list[np.ndarray]) -> None:
        self._parts = parts
        self._position = 0

    def take(self, count: int) -> np.ndarray:
        """Returns a copy of the next numbers, which must be there."""
        taken = np.empty(count, self._parts[0].dtype)
        done = 0
        while done < count:
            part = self._parts[0][self._position : self._position + count - done]
            taken[done : done + part.size] = part
            done += part.size
            self._position += part.size
            if self._position == self._parts[0].size and len(self._parts) > 1:
                del self._parts[0]
                self._position = 0
        return taken
