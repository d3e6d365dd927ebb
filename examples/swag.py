"""SWAG: which of four endings goes on with a situation (Zellers et al., arXiv 1808.05326)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import feature_cache
from inputs import Batch, join, model_inputs, read_text, without_limit
from ptbert import BertTokenizer
from ptbert.training import track

ENDINGS = 4
COLUMNS = ("sent1", "sent2", *(f"ending{number}" for number in range(ENDINGS)))
# Tokenized together; few enough for the progress to be seen.
EXAMPLES_AT_ONCE = 1024


@dataclass(frozen=True)
class Example:
    """A line of the file."""

    context: str
    """A sentence."""
    start: str
    """The beginning of the next one, which all endings share."""
    endings: tuple[str, ...]
    label: int
    """The number of the right ending."""


@dataclass(frozen=True)
class Features:
    """An example as the model reads it: one text for each ending, without padding."""

    choices: list[tuple[list[int], list[int]]]
    """Token and segment ids."""
    label: int

    @property
    def input_ids(self) -> list[int]:
        """The longest choice, to which the others are padded."""
        return max((ids for ids, _ in self.choices), key=len)


def read_examples(path: Path) -> list[Example]:
    """Read train.csv or val.csv, whose first line names the columns; an error names the line.

    Raises:
        ValueError: A column is missing, or a label is not the number of an ending.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    for column in (*COLUMNS, "label"):
        if column not in (reader.fieldnames or ()):
            raise ValueError(f"{path}, line 1: there must be a column `{column}`.")
    examples = []
    for row in reader:
        if any(row[column] is None for column in (*COLUMNS, "label")):
            raise ValueError(f"{path}, line {reader.line_num}: there are too few columns.")
        label = row["label"].strip()
        if label not in {str(number) for number in range(ENDINGS)}:
            raise ValueError(
                f"{path}, line {reader.line_num}: the label ({label!r}) must be between 0 and "
                f"{ENDINGS - 1}."
            )
        context, start, *endings = (row[column] for column in COLUMNS)
        examples.append(Example(context, start, tuple(endings), int(label)))
    if not examples:
        raise ValueError(f"{path} holds no examples.")
    return examples


def make_features(
    examples: Sequence[Example], tokenizer: BertTokenizer, max_seq_length: int
) -> list[Features]:
    """`[CLS] context [SEP] start ending [SEP]` for each ending, cut to the length."""
    tokenizer = without_limit(tokenizer)
    cls, sep = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
    features = []
    with track(total=len(examples), desc="Features", unit="example") as bar:
        for begin in range(0, len(examples), EXAMPLES_AT_ONCE):
            part = examples[begin : begin + EXAMPLES_AT_ONCE]
            contexts = tokenizer.encode_batch([example.context for example in part])
            starts = tokenizer.encode_batch([example.start for example in part])
            endings = iter(tokenizer.encode_batch([e for example in part for e in example.endings]))
            for example, context, start in zip(part, contexts, starts, strict=True):
                choices = [
                    join([*context], [*start, *next(endings)], cls, sep, max_seq_length)
                    for _ in range(ENDINGS)
                ]
                features.append(Features(choices, example.label))
            bar.update(len(part))
    return features


def load_features(
    path: Path,
    tokenizer: BertTokenizer,
    bert_model: str,
    max_seq_length: int,
    cache_dir: Path | None = None,
) -> list[Features]:
    """The features of a file, from the cache if it was made from the same things."""
    settings = (max_seq_length, "swag")
    cache = feature_cache.path_for(
        path.stem, bert_model, *settings, data_file=path, folder=cache_dir
    )
    made_from = feature_cache.fingerprint(path, tokenizer, *settings)
    stored = feature_cache.load(cache, made_from)
    if stored is None:
        features = make_features(read_examples(path), tokenizer, max_seq_length)
        choices = [choice for row in features for choice in row.choices]
        arrays = {
            "lengths": np.array([len(ids) for ids, _ in choices]),
            "input_ids": feature_cache.pack([ids for ids, _ in choices]),
            "segment_ids": feature_cache.pack([segments for _, segments in choices]),
            "labels": np.array([row.label for row in features]),
        }
        feature_cache.save(cache, made_from, arrays)
        return features
    ids = feature_cache.unpack(stored["input_ids"], stored["lengths"])
    segments = feature_cache.unpack(stored["segment_ids"], stored["lengths"])
    choices = list(zip(ids, segments, strict=True))
    return [
        Features(choices[number * ENDINGS : (number + 1) * ENDINGS], label)
        for number, label in enumerate(stored["labels"].tolist())
    ]


def collate(rows: list[Features], length: int | None = None) -> Batch:
    """A batch, padded to `length` or to its longest choice: inputs `[batch, endings, seq]`."""
    flat = [choice for row in rows for choice in row.choices]
    batch = model_inputs([ids for ids, _ in flat], [segments for _, segments in flat], length)
    shaped = {name: tensor.view(len(rows), ENDINGS, -1) for name, tensor in batch.items()}
    return shaped | {"labels": torch.tensor([row.label for row in rows])}
