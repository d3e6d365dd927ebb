"""From text files to windows of tokens for a language model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch

import inputs
from inputs import Batch
from ptbert import GPT2Tokenizer
from ptbert.training import track

END_OF_TEXT = "<|endoftext|>"
IGNORED = -1
# What ends a document, apart from the end of its file and END_OF_TEXT.
SEPARATORS = {"file": None, "blank_line": r"\n[^\S\n]*\n", "line": r"\n"}


def read_documents(paths: Sequence[Path], ends_at: str = "file") -> list[str]:
    """The documents of the files that hold more than white space."""
    separator = re.escape(END_OF_TEXT)
    if (more := SEPARATORS[ends_at]) is not None:
        separator = f"{separator}|{more}"
    documents = (
        document for path in paths for document in re.split(separator, inputs.read_text(path))
    )
    return [stripped for document in documents if (stripped := document.strip())]


def encode(documents: Sequence[str], tokenizer: GPT2Tokenizer) -> list[int]:
    """The tokens of all documents, END_OF_TEXT before each."""
    if END_OF_TEXT not in tokenizer.encoder:
        raise ValueError(f"The vocabulary must have the token {END_OF_TEXT}, but lacks it.")
    between = tokenizer.encoder[END_OF_TEXT]
    ids: list[int] = []
    for document in track(documents, desc="Tokenizing", unit="document"):
        ids.append(between)
        ids += tokenizer.encode(document)
    return ids


def windows(ids: Sequence[int], length: int) -> list[list[int]]:
    """Windows of so many tokens; the last may be shorter.

    A window begins with the last token of the one before, so that each token but the first of all
    is predicted once.
    """
    begins = range(0, len(ids) - 1, length - 1)
    return [list(ids[begin : begin + length]) for begin in begins]


def collate(rows: Sequence[Sequence[int]]) -> Batch:
    """Windows as `input_ids` and `lm_labels`, both `[batch, seq]`."""
    length = max(len(row) for row in rows)
    labels = [[*row, *[IGNORED] * (length - len(row))] for row in rows]
    return {"input_ids": inputs.pad(rows, length), "lm_labels": torch.tensor(labels)}
