"""From lines of text to the inputs of a BERT model."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

import torch

from ptbert import BertTokenizer
from ptbert.training import Batch as Batch

Token = TypeVar("Token")


class Encoded(Protocol):
    """An example as the model reads it."""

    @property
    def input_ids(self) -> Sequence[int]: ...


def length_of(example: Encoded) -> int:
    """Number of tokens, without padding."""
    return len(example.input_ids)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, all line ends as LF; an error names a line that is not UTF-8.

    A byte order mark at the start is left out. CR and CR LF end lines as well, as in Python.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        number = before.count(b"\n") + 1
        raise not_utf8(path, number, error) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def not_utf8(path: Path, number: int, error: UnicodeDecodeError) -> ValueError:
    """What is wrong with a line, which has this number."""
    return ValueError(
        f"{path}, line {number}: the text must be UTF-8, but has the byte "
        f"0x{error.object[error.start]:02x}; convert the file to UTF-8."
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without their ends."""
    # Not splitlines: it also splits at separators that occur inside a text, such as U+2028.
    lines = read_text(path).split("\n")
    return lines if lines[-1] else lines[:-1]


def stream_lines(file: BinaryIO, path: Path) -> Iterator[tuple[str, int]]:
    """The lines of an open UTF-8 file one by one, without white space at their ends, and their
    sizes in bytes; an error names a line that is not UTF-8."""
    for number, line in enumerate(file, start=1):
        try:
            decoded = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise not_utf8(path, number, error) from None
        yield decoded.strip(), len(line)


def without_limit(tokenizer: BertTokenizer) -> BertTokenizer:
    """A copy that does not warn of long texts, for callers that cut them."""
    tokenizer = copy.copy(tokenizer)
    tokenizer.max_len = sys.maxsize
    return tokenizer


def truncate_pair(tokens_a: list[Token], tokens_b: list[Token], limit: int) -> None:
    """Shorten the longer of the two, the second if they are equal, until both fit."""
    while len(tokens_a) + len(tokens_b) > limit:
        (tokens_a if len(tokens_a) > len(tokens_b) else tokens_b).pop()


def join(
    tokens_a: list[Token], tokens_b: list[Token], cls: Token, sep: Token, max_seq_length: int
) -> tuple[list[Token], list[int]]:
    """`[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, of tokens or of their ids, and segment ids."""
    if not tokens_b:
        tokens = [cls, *tokens_a[: max_seq_length - 2], sep]
        return tokens, [0] * len(tokens)
    truncate_pair(tokens_a, tokens_b, max_seq_length - 3)
    tokens = [cls, *tokens_a, sep, *tokens_b, sep]
    return tokens, [0] * (len(tokens_a) + 2) + [1] * (len(tokens_b) + 1)


def encode(
    tokenizer: BertTokenizer, text_a: str, text_b: str | None, max_seq_length: int
) -> tuple[list[str], list[int]]:
    """The tokens of one or two texts as `join` puts them together, and their segment ids."""
    tokens_a = tokenizer.tokenize(text_a)
    tokens_b = tokenizer.tokenize(text_b) if text_b else []
    return join(tokens_a, tokens_b, "[CLS]", "[SEP]", max_seq_length)


def pad(rows: Sequence[Sequence[int]], length: int) -> torch.Tensor:
    """Rows of ids as one tensor `[batch, length]`, filled with 0 on the right."""
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows], dtype=torch.long)


def model_inputs(
    input_ids: Sequence[Sequence[int]], segment_ids: Sequence[Sequence[int]], length: int | None
) -> Batch:
    """The three inputs of a BERT model, each `[batch, seq]`.

    Args:
        input_ids: Token ids of each example.
        segment_ids: 0 for the first text and 1 for the second, of the same lengths.
        length: The length to pad to; `None` pads to the longest example of the batch.
    """
    length = length or max(len(row) for row in input_ids)
    return {
        "input_ids": pad(input_ids, length),
        "token_type_ids": pad(segment_ids, length),
        "attention_mask": pad([[1] * len(row) for row in input_ids], length),
    }
