"""Checkpoints of every format the library knows: what they are, what they hold, of which family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast, get_args

from torch import Tensor

from .. import _C
from ..file_utils import SAFETENSORS_NAME, WEIGHTS_NAME, StrPath
from .checkpoint import read_state_dict
from .openai_folder import (
    SHAPES_NAME,
    is_openai_folder,
    list_openai_folder,
    read_openai_folder,
)
from .pretrained import resolve_checkpoint
from .published import Family
from .shards import INDEX_SUFFIX, is_index

Format = Literal["TensorFlow", "safetensors", "PyTorch", "NumPy"]

_FILES = tuple(
    name + suffix for name in (SAFETENSORS_NAME, WEIGHTS_NAME) for suffix in ("", INDEX_SUFFIX)
)
# A weight that every model of a family has, and no model of another.
_MARKS: dict[str, Family] = {
    "embeddings.word_embeddings.weight": "bert",
    "tokens_embed.weight": "openai-gpt",
    "wte.weight": "gpt2",
    "word_emb.emb_layers.0.weight": "transfo-xl",
}


@dataclass(frozen=True)
class Source:
    """A checkpoint.

    Attributes:
        format: The program or format that it is of.
        path: The file or folder that it is read from; of TensorFlow what names it.
        folder: Where its vocabulary is looked for.
        config: Its configuration, or the folder in which it is looked for.
        name: What it was found by, for messages.

    Example:
        >>> Source("NumPy", Path("gpt"), Path("gpt"), Path("gpt"), "gpt").is_sharded
        False
    """

    format: Format
    path: Path
    folder: Path
    config: Path
    name: str

    @property
    def is_sharded(self) -> bool:
        """Whether it is an index with shards beside it."""
        return self.path.is_file() and is_index(self.path)


@dataclass(frozen=True)
class Entry:
    """A tensor of a checkpoint; `dtype` has the name of torch, or of TensorFlow.

    Example:
        >>> Entry("weight", "float32", (2, 3)).shape
        (2, 3)
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Weights:
    """A checkpoint in the names and layouts of a family's models.

    Attributes:
        tensors: By the names of the models; of PyTorch's formats by any that `load_weights` knows.
        names: The name in the checkpoint of each, where that is another.
        training_state: What belongs to training, such as moments of Adam, and is left out.
        unknown: What the family has no weight for, and is left out.

    Example:
        >>> Weights({}).unknown
        []
    """

    tensors: dict[str, Tensor]
    names: dict[str, str] = field(default_factory=dict)
    training_state: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@contextmanager
def open_source(name_or_path: StrPath, *, with_vocabulary: bool = False) -> Iterator[Source]:
    """Finds a checkpoint as `resolve_checkpoint` does, and tells of which format it is.

    What is extracted from an archive is there until the context ends.

    Raises:
        OSError: There is none.
    """
    with resolve_checkpoint(name_or_path, with_vocabulary=with_vocabulary) as files:
        path = cast(Path, files.weights)
        found = find_source(path)
        is_path = path == Path(name_or_path)
        shown = str(found.path if is_path else name_or_path)
        yield replace(found, config=files.config, name=shown)


def find_source(path: StrPath) -> Source:
    """Tells of which format a checkpoint is.

    Args:
        path: A file, a folder, or PREFIX of a TensorFlow checkpoint.

    Raises:
        OSError: There is none.
    """
    path = Path(path)

    def source(format: Format, path: Path, folder: Path) -> Source:
        return Source(format, path, folder, folder, str(path))

    if path.is_dir():
        if is_openai_folder(path):
            return source("NumPy", path, path)
        for name in _FILES:
            if (path / name).is_file():
                return find_source(path / name)
        if _C.is_tf_checkpoint(str(path)):
            return source("TensorFlow", path, path)
        raise FileNotFoundError(
            f"`{path}` must hold {SAFETENSORS_NAME}, {WEIGHTS_NAME} (or one of them in shards), a "
            f"TensorFlow checkpoint (NAME.index) or {SHAPES_NAME}, but holds none of them."
        )
    if _C.is_tf_checkpoint(str(path)):
        return source("TensorFlow", path, path.parent)
    if not path.is_file():
        raise FileNotFoundError(f"`{path}` must be a checkpoint, but does not exist.")
    if path.name == SHAPES_NAME:
        return source("NumPy", path.parent, path.parent)
    first = path.name.removesuffix(INDEX_SUFFIX)
    is_safetensors = first.endswith(".safetensors")
    return source("safetensors" if is_safetensors else "PyTorch", path, path.parent)


def list_entries(source: Source) -> list[Entry]:
    """Returns what a checkpoint holds, under the names that it has there.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged.
    """
    if source.format == "TensorFlow":
        return [
            Entry(name, dtype, tuple(shape))
            for name, dtype, shape in _C.list_tf_variables(str(source.path))
        ]
    if source.format == "NumPy":
        shapes = list_openai_folder(source.path)
        return [Entry(name, "float32", tuple(shape)) for name, shape in shapes.items()]
    return [
        Entry(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in read_state_dict(source.path).items()
    ]


def guess_family(source: Source, names: list[str]) -> Family | None:
    """Returns the family that a checkpoint with entries of these names is of."""
    if source.format == "NumPy":
        return "openai-gpt"
    if source.format == "TensorFlow":
        found = _C.tf_family(names)
        return cast(Family, found) if found in get_args(Family) else None
    for name in names:
        for mark, family in _MARKS.items():
            if name == mark or name.endswith("." + mark):
                return family
    return None


def read_weights(source: Source, family: Family) -> Weights:
    """Reads a checkpoint of a family.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, or a TensorFlow checkpoint has no weight of the family.
    """
    if source.format == "NumPy":
        return Weights(read_openai_folder(source.path))
    if source.format != "TensorFlow":
        return Weights(read_state_dict(source.path))
    variables = _C.load_tf_variables(str(source.path))
    tensors, names, training_state, unknown = _C.sort_tf_variables(variables, family)
    if not tensors:
        some = next(iter(variables), None)
        raise ValueError(
            f"`{source.name}` must be a checkpoint of a {family} model, but none of its "
            f"{len(variables)} variables is one of its weights"
            f"{'' if some is None else f': it has `{some}`, ...'}"
        )
    # Strings and others that torch has no tensors of.
    listed = (name for name, _, _ in _C.list_tf_variables(str(source.path)))
    unknown += [name for name in listed if name not in variables]
    return Weights(tensors, dict(zip(tensors, names, strict=True)), training_state, unknown)


def left_out_projections(
    source: Source, family: Family, weights: Weights, state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Returns the projections of a Transformer-XL that TensorFlow leaves out, since they are
    between equal widths and change nothing. `state` is that of the model."""
    if source.format != "TensorFlow":
        return {}
    return _C.left_out_projections(dict(state), weights.tensors, family)
