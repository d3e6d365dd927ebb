"""A page that shows the attention of a model on a text, and which of its tokens are alike."""

from __future__ import annotations

import base64
import html
import json
import zlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from .._training.devices import device_of
from ..tokenization_gpt2 import GPT2Tokenizer
from .corpus import without_limit
from .trunks import (
    attentions_of,
    check_tokenizer,
    is_bert,
    looking,
    trunk_of,
    window_of,
)

# The page grows with the square of this.
MOST_TOKENS = 512
_TEMPLATE = "page"


@dataclass(frozen=True)
class _Tokens:
    """A text as the model reads it."""

    ids: list[int]
    segments: list[int]
    """0 for tokens of the first text, 1 for those of the second."""
    names: list[str]
    """As people read them."""


def attention_page(
    model: Any, tokenizer: Any, text_a: str, text_b: str | None = None, title: str = ""
) -> str:
    """Returns an HTML page that shows how a model attends from token to token.

    The page has all of its script and data inside and needs no network. Attention weights in it
    differ by at most 0.004 from those of the model (8 bits of their square root), the cosines of
    hidden states by 0.00002 (16 bits).

    Args:
        model: A BERT, GPT or GPT-2, with or without a head. It is read in evaluation mode.
        tokenizer: Its tokenizer.
        text_a: A text.
        text_b: A second text: for BERT the other one of a pair, for the others what follows.
        title: What the page says the model is; its class by default.

    Raises:
        TypeError: `model` is of another family, or `tokenizer` of another kind of model.
        ValueError: There are no tokens, or more than the model can read or the page can show.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import BertConfig, BertModel, BertTokenizer
        >>> from ptbert.analysis import attention_page
        >>> model = BertModel(BertConfig(6, 32, 2, 4, 37))
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "vocab.txt").write_text("[UNK]\\n[CLS]\\n[SEP]\\na\\ncat\\ndog")
        ...     tokenizer = BertTokenizer.from_pretrained(folder)
        ...     page = Path(folder, "page.html")
        ...     page.write_text(attention_page(model, tokenizer, "A cat", "dog")) > 10000
        True
    """
    trunk = trunk_of(model)
    tokens = _read(trunk, tokenizer, text_a, text_b)
    ids = torch.tensor([tokens.ids], device=device_of(trunk))
    types = torch.tensor([tokens.segments], device=ids.device)
    with torch.no_grad(), looking(trunk, "output_attentions"):
        attentions, states = attentions_of(trunk, ids, types)
    data = {
        "title": title or type(model).__name__,
        "texts": [text_a] if text_b is None else [text_a, text_b],
        "tokens": tokens.names,
        "segments": tokens.segments,
        "causal": not is_bert(trunk),
        "attentions": [_pack_weights(layer[0]) for layer in attentions],
        "heads": [layer.size(1) for layer in attentions],
        "cosines": [_pack_cosines(layer[0]) for layer in states],
    }
    return _fill(data)


def _read(trunk: Any, tokenizer: Any, text_a: str, text_b: str | None) -> _Tokens:
    check_tokenizer(trunk, tokenizer)
    tokenizer = without_limit(tokenizer)  # the length is checked below
    if is_bert(trunk):
        inputs = tokenizer.encode_pair(text_a, text_b)
        ids, segments = inputs["input_ids"], inputs["token_type_ids"]
        names = tokenizer.convert_ids_to_tokens(ids)
        empty = len(ids) <= 2
    else:
        space = " " if isinstance(tokenizer, GPT2Tokenizer) else ""
        parts = [tokenizer.encode(text_a)]
        parts += [] if text_b is None else [tokenizer.encode(space + text_b)]
        ids = [index for part in parts for index in part]
        segments = [number for number, part in enumerate(parts) for _ in part]
        names = [_readable(tokenizer, token) for token in tokenizer.convert_ids_to_tokens(ids)]
        empty = not ids
    if empty:
        raise ValueError(f'`text_a` must hold at least one token, but is "{text_a}".')
    both = "`text_a`" if text_b is None else "`text_a` and `text_b` together"
    for most, why in (
        (window_of(trunk), "the length that the model can read"),
        (MOST_TOKENS, "to fit a page"),
    ):
        if len(ids) > most:
            raise ValueError(
                f"{both} must have at most {most} tokens, {why}, but there are {len(ids)}."
            )
    return _Tokens(ids, segments, names)


def _readable(tokenizer: Any, token: str) -> str:
    """A piece of GPT's with "…" if its word goes on; one of GPT-2's with "·" for a space, and bytes
    that are no character by themselves as \\x.."""
    if not isinstance(tokenizer, GPT2Tokenizer):
        return token.removesuffix("</w>") if token.endswith("</w>") else f"{token}…"
    known = tokenizer.byte_decoder
    utf8 = b"".join(bytes([known[char]]) if char in known else char.encode() for char in token)
    return utf8.decode("utf-8", "backslashreplace").replace(" ", "·").replace("\n", "↵")


def _pack_weights(weights: Tensor) -> str:
    """[heads, query, key] -> 8 bits each: of the square root, as most weights are small."""
    levels = (weights.float().sqrt() * 255).round().to(torch.uint8)
    return _compress(levels)


def _pack_cosines(states: Tensor) -> str:
    """[seq, hidden] -> the cosine of each token with those before it, 16 bits each."""
    unit = torch.nn.functional.normalize(states.double(), dim=-1)
    below = torch.tril_indices(len(unit), len(unit), -1, device=unit.device)
    cosines = (unit @ unit.T)[below[0], below[1]]
    return _compress((cosines * 32767).round().clamp(-32767, 32767).to(torch.int16))


def _compress(levels: Tensor) -> str:
    values = levels.cpu().numpy()
    # Browsers read numbers of two bytes as little-endian ones.
    content = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def _fill(data: dict[str, Any]) -> str:
    folder = resources.files(__package__) / _TEMPLATE
    parts = {name: (folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")}
    # "<" would let a text end the script that holds it.
    parts["data"] = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    parts["title"] = html.escape(data["title"])
    page = (folder / "page.html").read_text(encoding="utf-8")
    for name, content in parts.items():
        before, _, after = page.partition("{{" + name + "}}")
        page = before + content + after
    return page
