"""Texts as vectors, for search and comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from .. import _C
from .._training.devices import device_of
from .._training.progress import track
from .corpus import Corpus
from .trunks import hidden_states_of, looking, num_layers_of, trunk_of, width_of

Pooling = Literal["first", "mean", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def embed(
    model: Any,
    tokenizer: Any,
    texts: Iterable[str],
    *,
    pooling: Pooling = "mean",
    normalize: bool = True,
    batch_size: int = 32,
    max_length: int | None = None,
    progress: bool = False,
) -> Tensor:
    """Returns embeddings of texts, [texts, hidden], float32 on the CPU.

    Texts of like lengths share a batch. With the defaults the result is that of
    sentence-transformers for models with mean pooling and normalisation, as all-MiniLM-L6-v2.

    Args:
        model: A BERT, GPT or GPT-2, with or without a head, on any device. It is read in evaluation
            mode.
        tokenizer: Its tokenizer.
        texts: The texts.
        pooling: How the last hidden states of a text's tokens become one vector: their "mean",
            their "max", or the "first" one, BERT's [CLS].
        normalize: Whether each vector is made 1 long; a product of two is then their cosine.
        batch_size: Texts per batch.
        max_length: Tokens per text, including [CLS] and [SEP]; the rest is left out, and a warning
            tells of how many texts. None for as many as the model can read.
        progress: Whether to show a progress bar.

    Raises:
        TypeError: `model` is of another family, `tokenizer` of another kind of model, or `texts` is
            a str.
        ValueError: A text of GPT has no token, or an argument is out of range.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import BertConfig, BertModel, BertTokenizer, embed
        >>> model = BertModel(BertConfig(6, 32, 2, 4, 37))
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "vocab.txt").write_text("[UNK]\\n[CLS]\\n[SEP]\\na\\ncat\\ndog")
        ...     tokenizer = BertTokenizer.from_pretrained(folder)
        >>> vectors = embed(model, tokenizer, ["A cat", "A dog", "cat dog"])
        >>> vectors.shape
        torch.Size([3, 32])
        >>> cosines = vectors @ vectors.T
        >>> bool((cosines.diag() > 0.999).all())
        True
    """
    trunk = trunk_of(model)
    if pooling not in POOLINGS:
        raise ValueError(f'`pooling` must be "first", "mean" or "max", but is {pooling!r}.')
    corpus = Corpus(trunk, tokenizer, texts, batch_size, max_length)
    embeddings = torch.empty(len(corpus), width_of(trunk))
    last = [num_layers_of(trunk)]
    batches = corpus.batches(device_of(trunk))
    if progress:
        count = math.ceil(len(corpus) / batch_size)
        batches = track(batches, total=count, desc="Embeddings", unit="batch")
    with torch.no_grad(), looking(trunk, skip_padding=True):
        for batch in batches:
            (states,) = hidden_states_of(trunk, batch.input_ids, batch.attention_mask, last)
            pooled = _C.pool_tokens(states.float(), batch.attention_mask, pooling)
            embeddings[batch.places] = (_C.to_unit_length(pooled) if normalize else pooled).cpu()
    return embeddings
