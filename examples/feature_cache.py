"""Features kept in .npz files, which load without unpickling and say what they were made from."""

from __future__ import annotations

import hashlib
import itertools
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptbert import BertTokenizer

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
FINGERPRINT = "fingerprint"
# To be raised when the same settings begin to mean other features.
FORMAT = 2


def fingerprint(data_file: Path, tokenizer: BertTokenizer, *settings: object) -> str:
    """A hash of everything that the features depend on: data, vocabulary, casing and settings."""
    data = hashlib.sha256(data_file.read_bytes()).hexdigest()
    vocabulary = hashlib.sha256("\n".join(tokenizer.vocab).encode()).hexdigest()
    lower = tokenizer.basic_tokenizer.do_lower_case
    return hashlib.sha256(repr((FORMAT, data, vocabulary, lower, *settings)).encode()).hexdigest()


def path_for(
    kind: str, bert_model: str, *settings: object, data_file: Path, folder: Path | None
) -> Path:
    """The file that holds the features of a data file for one model and some settings."""
    model_name = Path(bert_model).name or "model"
    parts = ["cached", kind, model_name, *(str(setting) for setting in settings)]
    return (folder or data_file.parent) / ("_".join(parts) + ".npz")


def load(path: Path, expected: str) -> dict[str, Array] | None:
    """The arrays in the file, or `None` if there are none made from the same things."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("The cached features in %s cannot be read (%s): made again.", path, error)
        return None
    found = arrays.pop(FINGERPRINT, None)
    if found is None or str(found) != expected:
        logger.warning("The cached features in %s are out of date: made again.", path)
        return None
    logger.info("Features read from %s.", path)
    return arrays


def save(path: Path, made_from: str, arrays: Mapping[str, Array]) -> None:
    """Write the arrays; a folder that cannot be written to only costs the cache."""
    unfinished = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            contents: dict[str, Any] = {FINGERPRINT: np.array(made_from), **arrays}
            np.savez(file, **contents)
        unfinished.replace(path)
    except OSError as error:
        logger.warning("The features were not cached in %s: %s.", path, error)


def pack(rows: Sequence[Sequence[int]]) -> Array:
    """Rows of different lengths one behind the other."""
    return np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32)


def unpack(values: Array, lengths: Array) -> list[list[int]]:
    """The rows that `pack` joined."""
    ends = np.cumsum(lengths)
    return [values[end - length : end].tolist() for end, length in zip(ends, lengths, strict=True)]
