"""Byte-pair encoding in plain Python, written from its description: what the C++ is compared to.

Nothing here imports ptbert: the generators of golden values run it beside the reference libraries.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from support import import_or_skip

Pair = tuple[str, str]

GPT2_PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def byte_characters() -> list[str]:
    """The character for each byte: itself if it is visible Latin-1, else one from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in visible]
    return [chr(b if b in visible else 0x100 + others.index(b)) for b in range(256)]


def split_words(text: str) -> list[str]:
    words: list[str] = import_or_skip("regex").findall(GPT2_PATTERN, text)
    return words


def merge_pair(symbols: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    position = 0
    while position < len(symbols):
        if tuple(symbols[position : position + 2]) == pair:
            merged.append("".join(pair))
            position += 2
        else:
            merged.append(symbols[position])
            position += 1
    return merged


def merge(symbols: list[str], ranks: Mapping[Pair, int]) -> list[str]:
    """Merges the pair with the lowest rank at all its positions, until no pair has a rank."""
    while True:
        pairs = [p for p in pairwise(symbols) if p in ranks]
        if not pairs:
            return symbols
        symbols = merge_pair(symbols, min(pairs, key=lambda pair: ranks[pair]))


def gpt2_tokens(text: str, ranks: Mapping[Pair, int]) -> list[str]:
    characters = byte_characters()
    tokens = []
    for word in split_words(text):
        tokens += merge([characters[byte] for byte in word.encode()], ranks)
    return tokens


def learn_merges(words: Iterable[list[str]], count: int) -> list[Pair]:
    """Learns merges: each joins the most frequent pair, the first in order of code points."""
    frequencies = Counter(tuple(word) for word in words)
    merges: list[Pair] = []
    for _ in range(count):
        pairs: Counter[Pair] = Counter()
        for word, frequency in frequencies.items():
            for pair in pairwise(word):
                pairs[pair] += frequency
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        frequencies = Counter(
            {tuple(merge_pair(list(word), best)): n for word, n in frequencies.items()}
        )
    return merges


def write_files(folder: Path, tokens: Iterable[str], merges: Iterable[Pair]) -> None:
    """Writes vocab.json and merges.txt, the ids in the order of the tokens."""
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *map(" ".join, merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")


def tiktoken_encoding(vocabulary: Mapping[str, int], ranks: Mapping[Pair, int]) -> Any:
    """tiktoken's encoding with the tokens of GPT-2's files."""
    byte_of = {character: byte for byte, character in enumerate(byte_characters())}
    tokens = {*byte_of, *map("".join, ranks)}
    return import_or_skip("tiktoken").Encoding(
        "test",
        pat_str=GPT2_PATTERN,
        mergeable_ranks={
            bytes(byte_of[c] for c in token): vocabulary[token] for token in sorted(tokens)
        },
        special_tokens={},
    )
