"""Named entities: sentences in columns, their features, and labels back from scores."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import feature_cache
from inputs import Batch, model_inputs, read_lines, without_limit
from ptbert import BertTokenizer
from ptbert.training import track

logger = logging.getLogger(__name__)

IGNORED = -100
DOCUMENT_START = "-DOCSTART-"
# Not str.split(): a word may hold a no-break space.
_COLUMNS = re.compile(r"[^ \t]+")
# Tokenized together; few enough for the progress to be seen.
SENTENCES_AT_ONCE = 1024


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence and their labels, or none in a file without."""

    words: list[str]
    labels: list[str] | None


@dataclass(frozen=True)
class Features:
    """Words of a sentence as the model reads them, without padding."""

    input_ids: list[int]
    firsts: list[int]
    """The place of the first piece of each word."""
    labels: list[int]
    """The number of each word's label; IGNORED where there is none."""
    sentence: int
    """The number of the sentence, of which long ones are in several parts."""


def read_sentences(path: Path, allowed: Sequence[str] | None = None) -> list[Sentence]:
    """Read a file with a word and, in the last column, its label in each line, separated by white
    space; an empty line ends a sentence, and lines that begin with -DOCSTART- are passed over.

    Args:
        path: The file.
        allowed: The labels that may be in it; `None` for any.

    Raises:
        ValueError: A label is not allowed, some lines have labels and others have not, or there is
            no sentence.
    """
    sentences: list[Sentence] = []
    rows: list[list[str]] = []
    is_labelled: bool | None = None
    for number, line in enumerate([*read_lines(path), ""], start=1):
        columns = _COLUMNS.findall(line)
        if columns and columns[0] != DOCUMENT_START:
            if is_labelled is None:
                is_labelled = len(columns) > 1
            if (len(columns) > 1) != is_labelled:
                has, first = ("no label", "has one") if is_labelled else ("a label", "has none")
                raise ValueError(f"{path}, line {number}: there is {has}, but the first {first}.")
            if is_labelled and allowed is not None and columns[-1] not in allowed:
                raise ValueError(
                    f"{path}, line {number}: the label ({columns[-1]!r}) must be one of "
                    f"{', '.join(allowed)}."
                )
            rows.append([columns[0], columns[-1]])
        elif rows:
            labels = [label for _, label in rows] if is_labelled else None
            sentences.append(Sentence([word for word, _ in rows], labels))
            rows = []
    if not sentences:
        raise ValueError(f"{path} holds no sentences.")
    return sentences


def labels_of(sentences: Iterable[Sentence]) -> list[str]:
    """All labels that occur, "O" first."""
    found = {label for sentence in sentences for label in sentence.labels or ()}
    return sorted(found, key=lambda label: (label != "O", label))


def read_labels(path: Path) -> list[str]:
    """A label in each line.

    Raises:
        ValueError: There are fewer than two, or one is there twice.
    """
    labels = [line.strip() for line in read_lines(path) if line.strip()]
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(f"{path} must have at least two labels, all different, but has {labels}.")
    return labels


def make_features(
    sentences: Sequence[Sentence],
    labels: Sequence[str],
    tokenizer: BertTokenizer,
    max_seq_length: int,
) -> list[Features]:
    """Cut words into pieces, and sentences that are too long into parts; nothing is left out but
    pieces of a word that would fill a text alone."""
    tokenizer = without_limit(tokenizer)
    cls, sep, unk = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", "[UNK]"])
    number_of = {label: number for number, label in enumerate(labels)}
    room = max_seq_length - 2
    features: list[Features] = []
    cut_words = 0
    with track(total=len(sentences), desc="Features", unit="sentence") as bar:
        for begin in range(0, len(sentences), SENTENCES_AT_ONCE):
            part = sentences[begin : begin + SENTENCES_AT_ONCE]
            pieces = iter(tokenizer.encode_batch([word for s in part for word in s.words]))
            for index, sentence in enumerate(part, start=begin):
                row = Features([cls], [], [], index)
                for word in range(len(sentence.words)):
                    ids = next(pieces) or [unk]  # a word of characters that are dropped
                    cut_words += len(ids) > room
                    ids = ids[:room]
                    if len(row.input_ids) - 1 + len(ids) > room:
                        features.append(row)
                        row = Features([cls], [], [], index)
                    label = IGNORED if sentence.labels is None else number_of[sentence.labels[word]]
                    row.firsts.append(len(row.input_ids))
                    row.labels.append(label)
                    row.input_ids.extend(ids)
                features.append(row)
            bar.update(len(part))
    for row in features:
        row.input_ids.append(sep)
    report(len(features) - len(sentences), cut_words, max_seq_length)
    return features


def report(parts: int, cut_words: int, max_seq_length: int) -> None:
    """Say what was cut."""
    if parts:
        logger.info(
            "Sentences of more than %d tokens were cut into parts, of which there are %d more.",
            *(max_seq_length, parts),
        )
    if cut_words:
        logger.warning(
            "%d words have more pieces than %d tokens hold; their last pieces are left out.",
            *(cut_words, max_seq_length),
        )


def load_features(
    path: Path,
    sentences: Sequence[Sentence],
    labels: Sequence[str],
    tokenizer: BertTokenizer,
    bert_model: str,
    max_seq_length: int,
    cache_dir: Path | None = None,
) -> list[Features]:
    """The features of the sentences of a file, from the cache if made from the same things."""
    settings = (max_seq_length, "ner")
    cache = feature_cache.path_for(
        path.stem, bert_model, *settings, data_file=path, folder=cache_dir
    )
    made_from = feature_cache.fingerprint(path, tokenizer, *settings, *labels)
    stored = feature_cache.load(cache, made_from)
    if stored is not None:
        return from_arrays(stored)
    features = make_features(sentences, labels, tokenizer, max_seq_length)
    feature_cache.save(cache, made_from, to_arrays(features))
    return features


def to_arrays(features: Sequence[Features]) -> dict[str, feature_cache.Array]:
    """The features as arrays for the cache."""
    return {
        "lengths": np.array([len(row.input_ids) for row in features]),
        "input_ids": feature_cache.pack([row.input_ids for row in features]),
        "words": np.array([len(row.firsts) for row in features]),
        "firsts": feature_cache.pack([row.firsts for row in features]),
        "labels": feature_cache.pack([row.labels for row in features]),
        "sentences": np.array([row.sentence for row in features]),
    }


def from_arrays(arrays: Mapping[str, feature_cache.Array]) -> list[Features]:
    """The features that `to_arrays` stored."""
    columns = (
        feature_cache.unpack(arrays["input_ids"], arrays["lengths"]),
        feature_cache.unpack(arrays["firsts"], arrays["words"]),
        feature_cache.unpack(arrays["labels"], arrays["words"]),
        arrays["sentences"].tolist(),
    )
    return [Features(*row) for row in zip(*columns, strict=True)]


def collate(rows: list[Features], length: int | None = None) -> Batch:
    """A batch, padded to `length` or to its longest member; `labels` `[rows, seq]` are at the first
    pieces of words, `is_first` marks these."""
    segments = [[0] * len(row.input_ids) for row in rows]
    batch = model_inputs([row.input_ids for row in rows], segments, length)
    labels = torch.full_like(batch["input_ids"], IGNORED)
    is_first = torch.zeros_like(labels)
    for number, row in enumerate(rows):
        labels[number, row.firsts] = torch.tensor(row.labels)
        is_first[number, row.firsts] = 1
    return batch | {"labels": labels, "is_first": is_first}


def to_sentences(
    features: Sequence[Features], predicted: Sequence[Sequence[int]], labels: Sequence[str]
) -> list[list[str]]:
    """The labels of the words of each sentence, whose parts are put together."""
    sentences: list[list[str]] = []
    for row, numbers in zip(features, predicted, strict=True):
        if row.sentence == len(sentences):
            sentences.append([])
        sentences[-1] += [labels[number] for number in numbers]
    return sentences


def check_seqeval() -> None:
    """Refuse to evaluate where the package that scores entities is missing."""
    try:
        import seqeval  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: F401
    except ImportError:
        raise ImportError("Scores of entities need seqeval: pip install seqeval.") from None


def score(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 of whole entities, as CoNLL-2003 counts them, and the share of words
    with the right label."""
    from seqeval import metrics  # type: ignore[import-not-found, import-untyped, unused-ignore]

    pair = list(map(list, truth)), list(map(list, predicted))
    return {
        "accuracy": float(metrics.accuracy_score(*pair)),
        "precision": float(metrics.precision_score(*pair, zero_division=0)),
        "recall": float(metrics.recall_score(*pair, zero_division=0)),
        "f1": float(metrics.f1_score(*pair, zero_division=0)),
    }


def write_predictions(
    path: Path, sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]]
) -> None:
    """Write word, label if there is one, and predicted label in columns."""
    lines = []
    for sentence, found in zip(sentences, predicted, strict=True):
        given = [[label] for label in sentence.labels] if sentence.labels else [[]] * len(found)
        columns = zip(sentence.words, given, found, strict=True)
        lines += [" ".join([word, *label, guess]) for word, label, guess in columns]
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")
