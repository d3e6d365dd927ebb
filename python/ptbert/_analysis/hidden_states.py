"""Hidden states of a corpus, layer by layer, in a file."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from .. import _C
from .._training.devices import device_of
from .._training.progress import track
from ..file_utils import StrPath
from .corpus import Corpus
from .embeddings import POOLINGS, Pooling
from .trunks import hidden_states_of, looking, num_layers_of, trunk_of, width_of

LAST_FOUR = (-4, -3, -2, -1)


@dataclass(frozen=True)
class HiddenStates:
    """What `hidden_states` has written.

    Example:
        >>> tokens = np.zeros((5, 1, 32), "float16")  # of two texts, without pooling
        >>> file = HiddenStates(tokens, layers=[2], offsets=np.array([0, 3, 5]))
        >>> second = file.states[file.offsets[1] : file.offsets[2]]
        >>> second.shape  # tokens, layers, hidden
        (2, 1, 32)
    """

    states: Any
    """The file, mapped into memory: [texts, layers, hidden], or without pooling [tokens of all
    texts, layers, hidden]."""
    layers: list[int]
    """The numbers of the layers, from 0 for the embeddings on."""
    offsets: Any
    """[texts + 1]: text i has the tokens from `offsets[i]` to `offsets[i + 1]`; None if pooled."""


def hidden_states(
    model: Any,
    tokenizer: Any,
    texts: Iterable[str],
    path: StrPath,
    *,
    layers: Sequence[int] | Literal["all", "last_four"] = (-1,),
    pooling: Pooling | None = "mean",
    dtype: Literal["float16", "float32"] = "float16",
    batch_size: int = 32,
    max_length: int | None = None,
) -> HiddenStates:
    """Writes hidden states of texts to a .npy file, to train probes on.

    The file grows as batches are computed and is never in memory as a whole. It gets its name when
    it is complete.

    Args:
        model: A BERT, GPT or GPT-2, with or without a head, on any device. It is read in evaluation
            mode.
        tokenizer: Its tokenizer.
        texts: The texts. BERT reads [CLS] text [SEP].
        path: The file, whose name ends with .npy. Without pooling, a second one beside it ends with
            .offsets.npy and tells where each text starts.
        layers: Numbers of layers: 0 is the embeddings, 1 the first layer, -1 the last one. "all",
            or "last_four", which one after the other (`states.reshape(len(states), -1)`) are the
            features that the paper of BERT found best.
        pooling: How the tokens of a text become one vector: "first", "mean" or "max"; None keeps
            all tokens.
        dtype: How numbers are stored.
        batch_size: Texts per batch; texts of like lengths share one.
        max_length: Tokens per text, including [CLS] and [SEP]; the rest is left out, and a warning
            tells of how many texts. None for as many as the model can read.

    Raises:
        FileNotFoundError: The folder of `path` does not exist.
        TypeError: `model` is of another family, `tokenizer` of another kind of model, `texts` is a
            str, or `layers` are no ints.
        ValueError: A layer does not exist, there is no text, a number is too large for float16, or
            another argument is out of range.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import BertConfig, BertModel, BertTokenizer
        >>> from ptbert.analysis import hidden_states
        >>> model = BertModel(BertConfig(6, 32, 2, 4, 37))
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "vocab.txt").write_text("[UNK]\\n[CLS]\\n[SEP]\\na\\ncat\\ndog")
        ...     tokenizer = BertTokenizer.from_pretrained(folder)
        ...     path = Path(folder, "features.npy")
        ...     file = hidden_states(model, tokenizer, ["A cat", "dog"], path, layers="all")
        ...     file.states.shape  # texts, layers with the embeddings, hidden
        (2, 3, 32)
    """
    trunk = trunk_of(model)
    target = Path(path)
    _check(target, pooling, dtype)
    numbers = _numbers(layers, num_layers_of(trunk))
    corpus = Corpus(trunk, tokenizer, texts, batch_size, max_length)
    if not len(corpus):
        raise ValueError("`texts` must hold at least one text, but is empty.")
    offsets = np.concatenate([[0], np.cumsum(corpus.lengths)])
    rows = len(corpus) if pooling else int(offsets[-1])
    part = target.with_name(target.name + ".part")
    shape = (rows, len(numbers), width_of(trunk))
    try:
        file = np.lib.format.open_memmap(part, "w+", np.dtype(dtype), shape)
        with (
            torch.no_grad(),
            looking(trunk, skip_padding=True),
            track(total=len(corpus), desc="Hidden states", unit="text") as bar,
        ):
            for batch in corpus.batches(device_of(trunk)):
                states = hidden_states_of(trunk, batch.input_ids, batch.attention_mask, numbers)
                if pooling:
                    pooled = [
                        _C.pool_tokens(s.float(), batch.attention_mask, pooling) for s in states
                    ]
                    # layers of [batch, hidden] -> [batch, layers, hidden]
                    file[batch.places] = _stored(torch.stack(pooled, 1), dtype)
                else:
                    # layers of [batch, seq, hidden] -> [batch, seq, layers, hidden]
                    values = _stored(torch.stack(states, 2), dtype)
                    for place, row in zip(batch.places, values, strict=True):
                        first, end = offsets[place], offsets[place + 1]
                        file[first:end] = row[: end - first]
                bar.update(len(batch.places))
        file.flush()
        del file
        if not pooling:
            np.save(target.with_suffix(".offsets.npy"), offsets)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return HiddenStates(np.load(target, mmap_mode="r"), numbers, None if pooling else offsets)


def _check(target: Path, pooling: str | None, dtype: str) -> None:
    if target.suffix != ".npy":
        raise ValueError(f"`path` must end with .npy, but is {target}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"`path`: there is no folder {target.parent}.")
    if pooling not in (None, *POOLINGS):
        raise ValueError(f'`pooling` must be "first", "mean", "max" or None, but is {pooling!r}.')
    if dtype not in ("float16", "float32"):
        raise ValueError(f'`dtype` must be "float16" or "float32", but is {dtype!r}.')


def _numbers(layers: Sequence[int] | str, last: int) -> list[int]:
    """The layers counted from 0."""
    if isinstance(layers, str):
        if layers not in ("all", "last_four"):
            raise ValueError(
                f'`layers` must be a list of numbers, "all" or "last_four", but is {layers!r}.'
            )
        layers = range(last + 1) if layers == "all" else LAST_FOUR
    try:
        numbers = [operator.index(layer) for layer in layers]
    except TypeError:
        raise TypeError(
            f'`layers` must be a list of numbers, "all" or "last_four", but is {layers!r}.'
        ) from None
    if not numbers:
        raise ValueError("`layers` must hold at least one number, but is empty.")
    for layer in numbers:
        if not -last - 1 <= layer <= last:
            raise ValueError(f"`layers` ({layer}) must be between {-last - 1} and {last}.")
    return [layer % (last + 1) for layer in numbers]


def _stored(values: torch.Tensor, dtype: str) -> Any:
    numbers = values.cpu().to(getattr(torch, dtype)).numpy()
    if dtype == "float16" and not np.isfinite(numbers).all():
        raise ValueError(
            '`dtype` must be "float32" for this model, but is "float16": its hidden states have '
            "numbers above 65504."
        )
    return numbers
