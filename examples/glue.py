"""The nine GLUE tasks: how their files are laid out, their features and their metrics."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import feature_cache
from inputs import Batch, join, model_inputs, read_lines, without_limit
from ptbert import BertTokenizer
from ptbert.training import track

logger = logging.getLogger(__name__)

Label = int | float
# Tokenized together; few enough for the progress to be seen.
EXAMPLES_AT_ONCE = 4096


@dataclass(frozen=True)
class Task:
    """One task: columns are counted from 0, and from the end if negative."""

    name: str
    """Name as GLUE writes it."""
    text_a: int
    """Column of the first text."""
    text_b: int | None
    """Column of the second text; `None` for single sentences."""
    label: int
    """Column of the label."""
    columns: int
    """The least number of columns in a line."""
    labels: tuple[str, ...] = ("0", "1")
    """Classes in the order of the model's outputs; empty for a regression."""
    metric: str = "accuracy"
    """Key of `METRICS`."""
    has_header: bool = True
    """Whether the first line names the columns."""
    skips_short_lines: bool = False
    """Whether the published file is known to have broken lines."""
    dev_files: tuple[tuple[str, str], ...] = (("dev.tsv", ""),)
    """Files to evaluate on, each with what is appended to the name of the output folder."""

    @property
    def is_regression(self) -> bool:
        """Whether the label is a number to predict."""
        return not self.labels

    @property
    def num_labels(self) -> int:
        """Number of outputs of the model."""
        return len(self.labels) or 1


ENTAILMENT = ("entailment", "not_entailment")
TASKS = (
    Task("CoLA", 3, None, 1, columns=4, metric="matthews", has_header=False),
    Task("SST-2", 0, None, 1, columns=2),
    Task("MRPC", 3, 4, 0, columns=5, metric="accuracy and F1"),
    Task("STS-B", 7, 8, -1, columns=10, labels=(), metric="correlation"),
    Task("QQP", 3, 4, 5, columns=6, metric="accuracy and F1", skips_short_lines=True),
    Task(
        "MNLI",
        8,
        9,
        -1,
        columns=11,
        labels=("contradiction", "entailment", "neutral"),
        dev_files=(("dev_matched.tsv", ""), ("dev_mismatched.tsv", "-MM")),
    ),
    Task("QNLI", 1, 2, -1, columns=4, labels=ENTAILMENT),
    Task("RTE", 1, 2, -1, columns=4, labels=ENTAILMENT),
    Task("WNLI", 1, 2, -1, columns=4),
)


def find_task(name: str) -> Task:
    """The task of that name, in any case."""
    for task in TASKS:
        if task.name.lower() == name.lower():
            return task
    names = ", ".join(task.name for task in TASKS)
    raise ValueError(f"`--task_name` ({name}) must be one of {names}.")


@dataclass(frozen=True)
class Example:
    """One line of a task's file."""

    text_a: str
    text_b: str | None
    label: Label


def read_examples(task: Task, path: Path) -> list[Example]:
    """Read a file of a task; an error names the line it found wrong.

    Lines without text, of tabs and spaces only, are left out.
    """
    examples = []
    width = 0
    uneven = []
    for number, line in enumerate(read_lines(path), start=1):
        if "\0" in line:
            raise ValueError(
                f"{path}, line {number}: the line must not hold NUL characters; "
                "if the file is UTF-16, convert it to UTF-8."
            )
        if not line.strip():
            continue
        cells = line.split("\t")
        if not width:
            width = len(cells)
            if task.has_header and not is_example(task, cells):
                width = len(line.rstrip("\t ").split("\t"))
                continue
            if task.has_header:
                logger.warning(
                    "%s, line %d: the names of the columns are missing; the line is an example.",
                    path,
                    number,
                )
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if len(cells) < task.columns:
            problem = (
                f"{path}, line {number}: {task.name} needs at least {task.columns} "
                f"tab-separated columns, but there are {len(cells)}."
            )
            if not task.skips_short_lines:
                raise ValueError(problem)
            logger.warning("%s The line is left out.", problem)
            continue
        try:
            label = read_label(task, cells[task.label])
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        text_b = None if task.text_b is None else cells[task.text_b]
        examples.append(Example(cells[task.text_a], text_b, label))
        if len(cells) != width:
            uneven.append(number)
    if uneven:
        logger.warning(
            "%s, line %d, and %d lines in all: there are not as many columns as in the first line "
            "(%d). With a tab inside a text, parts of it are read as other columns.",
            path,
            uneven[0],
            len(uneven),
            width,
        )
    if not examples:
        raise ValueError(f"{path} holds no examples.")
    return examples


def is_example(task: Task, cells: Sequence[str]) -> bool:
    """Whether a line is an example, not the names of the columns."""
    try:
        read_label(task, cells[task.label])
    except (IndexError, ValueError):
        return False
    return len(cells) >= task.columns


def read_label(task: Task, text: str) -> Label:
    """The number of the class, or the value of a regression."""
    text = text.strip()
    if text in task.labels:
        return task.labels.index(text)
    if task.is_regression:
        try:
            # Python reads "3_5" as 35.
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        raise ValueError(f"the label ({text!r}) must be a number.")
    raise ValueError(f"the label ({text!r}) must be one of {', '.join(task.labels)}.")


@dataclass(frozen=True)
class Features:
    """One example as the model reads it, without padding."""

    input_ids: list[int]
    segment_ids: list[int]
    label: Label


def make_features(
    examples: Sequence[Example], tokenizer: BertTokenizer, max_seq_length: int
) -> list[Features]:
    """Tokenize the examples on all processors and cut them to the length."""
    tokenizer = without_limit(tokenizer)
    cls, sep = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
    features = []
    with track(total=len(examples), desc="Features", unit="example") as bar:
        for start in range(0, len(examples), EXAMPLES_AT_ONCE):
            part = examples[start : start + EXAMPLES_AT_ONCE]
            ids_a = tokenizer.encode_batch([example.text_a for example in part])
            ids_b = tokenizer.encode_batch([example.text_b or "" for example in part])
            for example, a, b in zip(part, ids_a, ids_b, strict=True):
                input_ids, segment_ids = join(a, b, cls, sep, max_seq_length)
                features.append(Features(input_ids, segment_ids, example.label))
            bar.update(len(part))
    return features


def load_features(
    task: Task,
    path: Path,
    tokenizer: BertTokenizer,
    bert_model: str,
    max_seq_length: int,
    cache_dir: Path | None = None,
) -> list[Features]:
    """The features of a file, from the cache if it was made from the same things."""
    settings = (max_seq_length, task.name.lower())
    cache = feature_cache.path_for(
        path.stem, bert_model, *settings, data_file=path, folder=cache_dir
    )
    made_from = feature_cache.fingerprint(path, tokenizer, *settings)
    stored = feature_cache.load(cache, made_from)
    if stored is None:
        features = make_features(read_examples(task, path), tokenizer, max_seq_length)
        arrays = {
            "lengths": np.array([len(row.input_ids) for row in features]),
            "input_ids": feature_cache.pack([row.input_ids for row in features]),
            "segment_ids": feature_cache.pack([row.segment_ids for row in features]),
            "labels": np.array([row.label for row in features]),
        }
        feature_cache.save(cache, made_from, arrays)
        return features
    columns = (
        feature_cache.unpack(stored["input_ids"], stored["lengths"]),
        feature_cache.unpack(stored["segment_ids"], stored["lengths"]),
        stored["labels"].tolist(),
    )
    return [Features(*row) for row in zip(*columns, strict=True)]


def collate(rows: list[Features], length: int | None = None) -> Batch:
    """A batch of features with its labels, padded to `length` or to its longest member."""
    batch = model_inputs([row.input_ids for row in rows], [row.segment_ids for row in rows], length)
    return batch | {"labels": torch.tensor([row.label for row in rows])}


def task_loss(task: Task, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the classes, or the mean squared error of a regression."""
    if task.is_regression:
        return torch.nn.functional.mse_loss(logits.view(-1), labels.to(logits.dtype))
    return torch.nn.functional.cross_entropy(logits, labels)


def predictions_of(task: Task, logits: torch.Tensor) -> list[Label]:
    """The most probable classes, or the values of a regression."""
    predicted: list[Label] = (logits.view(-1) if task.is_regression else logits.argmax(1)).tolist()
    return predicted


def accuracy(predicted: Sequence[Label], labels: Sequence[Label]) -> dict[str, float]:
    """Share of right answers."""
    from sklearn.metrics import accuracy_score  # type: ignore[import-untyped]

    return {"acc": float(accuracy_score(labels, predicted))}


def accuracy_and_f1(predicted: Sequence[Label], labels: Sequence[Label]) -> dict[str, float]:
    """Accuracy, F1 of class 1, and their mean."""
    from sklearn.metrics import f1_score

    acc = accuracy(predicted, labels)["acc"]
    f1 = float(f1_score(labels, predicted, zero_division=0))
    return {"acc": acc, "f1": f1, "acc_and_f1": (acc + f1) / 2}


def matthews(predicted: Sequence[Label], labels: Sequence[Label]) -> dict[str, float]:
    """Matthews correlation of the classes; 0 if all are of one class."""
    if len({*predicted, *labels}) < 2:
        return {"mcc": 0.0}
    from sklearn.metrics import matthews_corrcoef

    return {"mcc": float(matthews_corrcoef(labels, predicted))}


def correlation(predicted: Sequence[Label], labels: Sequence[Label]) -> dict[str, float]:
    """Pearson and Spearman correlation of the values, and their mean; nan if undefined."""
    from scipy.stats import pearsonr, spearmanr  # type: ignore[import-untyped]

    for name, values in (("predictions", predicted), ("labels", labels)):
        # Scipy raises an error, warns or returns a number, depending on version and function.
        if len(set(values)) < 2 or not all(map(math.isfinite, values)):
            logger.warning(
                "The correlation is undefined (nan): the %d %s must be finite, and not all equal.",
                len(values),
                name,
            )
            return dict.fromkeys(("pearson", "spearmanr", "corr"), math.nan)
    pearson = float(pearsonr(predicted, labels)[0])
    spearman = float(spearmanr(predicted, labels)[0])
    return {"pearson": pearson, "spearmanr": spearman, "corr": (pearson + spearman) / 2}


# What a model is chosen by.
MAIN_METRIC = {
    "accuracy": "acc",
    "accuracy and F1": "acc_and_f1",
    "matthews": "mcc",
    "correlation": "corr",
}
METRICS = {
    "accuracy": accuracy,
    "accuracy and F1": accuracy_and_f1,
    "matthews": matthews,
    "correlation": correlation,
}


def compute_metrics(
    task: Task, predicted: Sequence[Label], labels: Sequence[Label]
) -> dict[str, float]:
    """The metrics that GLUE reports for the task."""
    return METRICS[task.metric](predicted, labels)
