"""Checks and results that `encode_batch` of all tokenizers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from torch import Tensor

ReturnTensors = Literal["np", "pt"]


def check_batch(
    texts: Iterable[str],
    num_threads: int,
    return_tensors: ReturnTensors | None,
    text_pairs: Iterable[str] | None = None,
    max_length: int | None = None,
) -> None:
    """Raises TypeError or ValueError if an argument of `encode_batch` is invalid."""
    for name, value in (("texts", texts), ("text_pairs", text_pairs)):
        if isinstance(value, str):
            raise TypeError(f'`{name}` must be an iterable of texts, but is the str "{value}".')
    if not isinstance(num_threads, int):
        raise TypeError(
            f"`num_threads` must be an int, but is of type {type(num_threads).__name__}."
        )
    if num_threads < 0:
        raise ValueError(f"`num_threads` must not be negative, but is {num_threads}.")
    if return_tensors not in (None, "np", "pt"):
        raise ValueError(f'`return_tensors` must be "np", "pt" or None, but is {return_tensors!r}.')
    if max_length is not None and max_length < 0:
        raise ValueError(f"`max_length` must not be negative, but is {max_length}.")
    if return_tensors is None and (text_pairs is not None or max_length is not None):
        raise ValueError(
            "`text_pairs` and `max_length` must come with `return_tensors`, but it is None."
        )


def named(return_tensors: ReturnTensors, **tensors: Tensor) -> dict[str, Any]:
    """Returns tensors by name, as numpy arrays (sharing memory) if `return_tensors` is "np"."""
    return {name: t.numpy() if return_tensors == "np" else t for name, t in tensors.items()}
