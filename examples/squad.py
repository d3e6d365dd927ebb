"""SQuAD: the windows of the paragraphs that the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import feature_cache
from inputs import Batch, model_inputs
from ptbert import BertTokenizer
from ptbert.training import track
from squad_examples import NO_WORD, Example, read_examples


@dataclass(frozen=True)
class WindowOptions:
    """How paragraphs are cut into windows."""

    max_seq_length: int = 384
    """Tokens of question and window together."""
    doc_stride: int = 128
    """Tokens from the start of one window to that of the next."""
    max_query_length: int = 64
    """Tokens of a question; the rest is cut off."""


@dataclass(frozen=True)
class Window:
    """`[CLS] question [SEP] part of the paragraph [SEP]`, as the model reads it."""

    example: int
    """Index of the example."""
    input_ids: list[int]
    segment_ids: list[int]
    words: list[int]
    """For each token the index of its word in the paragraph, or `NO_WORD`."""
    has_max_context: list[int]
    """For each token 1 if no other window shows more context around it, else 0."""
    start: int
    """Token where the answer starts; 0 if it is not inside."""
    end: int
    """Token where the answer ends; 0 if it is not inside."""


def window_spans(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """First token and end of each window over `length` tokens."""
    spans = []
    for first in range(0, length, min(size, stride)):
        spans.append((first, min(first + size, length)))
        if first + size >= length:
            break
    return spans


def max_context_window(position: int, spans: Sequence[tuple[int, int]]) -> int:
    """Index of the window with the most context on the poorer side of the token.

    A longer window wins by a hundredth per token, then the first one.
    """

    def score(index: int) -> float:
        first, end = spans[index]
        if not first <= position < end:
            return -1.0
        return min(position - first, end - 1 - position) + 0.01 * (end - first)

    return max(range(len(spans)), key=score)


class WindowMaker:
    """Cuts examples into windows.

    Args:
        tokenizer: Tokenizes questions and paragraphs.
        options: Lengths and stride.
    """

    def __init__(self, tokenizer: BertTokenizer, options: WindowOptions) -> None:
        self._tokenizer = tokenizer
        self._options = options
        # Every question repeats its paragraph, and paragraphs repeat their words.
        self._pieces: dict[str, list[str]] = {}

    def __call__(self, index: int, example: Example) -> list[Window]:
        """The windows of one example, in the order of the paragraph."""
        question = self._tokenizer.tokenize(example.question)[: self._options.max_query_length]
        tokens, words = self._paragraph(example.words)
        answer = self._answer_span(example, tokens, words)
        size = self._options.max_seq_length - len(question) - 3
        spans = window_spans(len(tokens), size, self._options.doc_stride)
        best = [max_context_window(position, spans) for position in range(len(tokens))]
        begin = len(question) + 2
        windows = []
        for number, (first, end) in enumerate(spans):
            text = ["[CLS]", *question, "[SEP]", *tokens[first:end], "[SEP]"]
            inside = answer is not None and first <= answer[0] and answer[1] < end
            shift = begin - first
            windows.append(
                Window(
                    example=index,
                    input_ids=self._tokenizer.convert_tokens_to_ids(text),
                    segment_ids=[0] * begin + [1] * (end - first + 1),
                    words=[NO_WORD] * begin + words[first:end] + [NO_WORD],
                    has_max_context=[
                        *([0] * begin),
                        *(int(best[position] == number) for position in range(first, end)),
                        0,
                    ],
                    start=answer[0] + shift if answer and inside else 0,
                    end=answer[1] + shift if answer and inside else 0,
                )
            )
        return windows

    def _paragraph(self, words: Sequence[str]) -> tuple[list[str], list[int]]:
        """The tokens of all words, and the word of each token."""
        tokens: list[str] = []
        word_of_token: list[int] = []
        for index, word in enumerate(words):
            pieces = self._pieces.get(word)
            if pieces is None:
                pieces = self._pieces[word] = self._tokenizer.tokenize(word)
            tokens += pieces
            word_of_token += [index] * len(pieces)
        return tokens, word_of_token

    def _answer_span(
        self, example: Example, tokens: list[str], words: list[int]
    ) -> tuple[int, int] | None:
        """First and last token of the answer.

        Words are coarser than answers, such as "lemon" in "lemon-flavoured,": if the tokens of the
        answer itself stand among those of its words, they are the span.
        """
        if not example.has_answer:
            return None
        inside = [i for i, word in enumerate(words) if example.start <= word <= example.end]
        if not inside:
            return None
        first, last = inside[0], inside[-1]
        answer = self._tokenizer.tokenize(example.answer)
        for start in range(first, last + 1):
            end = start + len(answer) - 1
            if answer and end <= last and tokens[start : end + 1] == answer:
                return start, end
        return first, last


def make_windows(
    examples: Sequence[Example], tokenizer: BertTokenizer, options: WindowOptions
) -> list[Window]:
    """The windows of all examples."""
    make = WindowMaker(tokenizer, options)
    questions = track(examples, desc="Features", unit="question")
    return [window for index, example in enumerate(questions) for window in make(index, example)]


def load(
    path: Path,
    tokenizer: BertTokenizer,
    bert_model: str,
    options: WindowOptions,
    *,
    training: bool,
    with_negative: bool,
    cache_dir: Path | None = None,
) -> tuple[list[Example], list[Window]]:
    """The examples of a file and their windows, these from the cache if made the same way."""
    examples = read_examples(path, training=training, with_negative=with_negative)
    purpose = "train" if training else "predict"
    settings = (options.max_seq_length, options.doc_stride, options.max_query_length, purpose)
    cache = feature_cache.path_for(
        path.stem, bert_model, *settings, data_file=path, folder=cache_dir
    )
    made_from = feature_cache.fingerprint(path, tokenizer, *settings, with_negative)
    stored = feature_cache.load(cache, made_from)
    if stored is None:
        windows = make_windows(examples, tokenizer, options)
        feature_cache.save(cache, made_from, to_arrays(windows))
    else:
        windows = from_arrays(stored)
    return examples, windows


ROW_FIELDS = ("input_ids", "segment_ids", "words", "has_max_context")
NUMBER_FIELDS = ("example", "start", "end")


def to_arrays(windows: Sequence[Window]) -> dict[str, feature_cache.Array]:
    """The windows as arrays for the cache."""
    arrays = {
        name: feature_cache.pack([getattr(window, name) for window in windows])
        for name in ROW_FIELDS
    }
    for name in NUMBER_FIELDS:
        arrays[name] = np.array([getattr(window, name) for window in windows], dtype=np.int32)
    return arrays | {"lengths": np.array([len(window.input_ids) for window in windows], dtype=int)}


def from_arrays(arrays: dict[str, feature_cache.Array]) -> list[Window]:
    """The windows that `to_arrays` stored."""
    fields: dict[str, list[Any]] = {
        name: feature_cache.unpack(arrays[name], arrays["lengths"]) for name in ROW_FIELDS
    }
    fields |= {name: arrays[name].tolist() for name in NUMBER_FIELDS}
    return [
        Window(**dict(zip(fields, values, strict=True)))
        for values in zip(*fields.values(), strict=True)
    ]


def collate(rows: list[Window], length: int | None = None) -> Batch:
    """A batch of windows with their answers, padded to `length` or to the longest member."""
    batch = model_inputs([row.input_ids for row in rows], [row.segment_ids for row in rows], length)
    return batch | {
        "start_positions": torch.tensor([row.start for row in rows]),
        "end_positions": torch.tensor([row.end for row in rows]),
    }
