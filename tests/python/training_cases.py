"""Small models and their data for the tests of `ptbert.training`, in one and in two processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ptbert
from examples_support import tiny_bert
from ptbert.training import Batch, Batches, MeanLoss, TrainingLog, TrainingOptions, fit

Row = tuple[list[int], int]

ROWS = 18
"""Not a multiple of the batches below: the last batch of an epoch is smaller."""


def rows() -> list[Row]:
    """Sentences of 4 to 8 tokens and their classes."""
    return [([2, 5, 14 + n % 2, *([28] * (n % 5)), 3], 1 - n % 2) for n in range(ROWS)]


def collate(part: list[Row]) -> Batch:
    """Padded ids, mask and labels."""
    ids = torch.zeros(len(part), 8, dtype=torch.long)
    for index, (tokens, _) in enumerate(part):
        ids[index, : len(tokens)] = torch.tensor(tokens)
    labels = torch.tensor([label for _, label in part])
    return {"input_ids": ids, "mask": (ids != 0).long(), "labels": labels}


def batches(batch_size: int) -> Batches[Row]:
    return Batches(rows(), batch_size, collate, shuffle_seed=7, length_of=lambda row: len(row[0]))


def make_model(dropout: float = 0.0, class_name: str = "BertForSequenceClassification") -> Any:
    """A small model, always with the same weights."""
    torch.manual_seed(3)
    labels = (2,) if class_name == "BertForSequenceClassification" else ()
    return getattr(ptbert, class_name)(tiny_bert(dropout), *labels)


def class_loss(model: Any, batch: Batch) -> Tensor:
    """A mean over the rows."""
    loss: Tensor = model(batch["input_ids"], None, batch["mask"], batch["labels"])
    return loss


def token_loss(model: Any, batch: Batch) -> MeanLoss:
    """A mean over tokens, of which rows have different numbers; the pooler has no gradient."""
    labels = torch.where(batch["input_ids"] > 4, batch["input_ids"], -1)
    loss = model(batch["input_ids"], None, batch["mask"], masked_lm_labels=labels)
    return MeanLoss(loss, int((labels != -1).sum()))


CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "rows": ("BertForSequenceClassification", class_loss, {}),
    "tokens": ("BertForMaskedLM", token_loss, {}),
    "accumulated": ("BertForSequenceClassification", class_loss, {"accumulation_steps": 2}),
    "accumulated_tokens": ("BertForMaskedLM", token_loss, {"accumulation_steps": 2}),
    "clipped": ("BertForSequenceClassification", class_loss, {"max_grad_norm": 0.5}),
    "float16": (
        "BertForSequenceClassification",
        class_loss,
        {"precision": "float16"},
    ),
    "static_scale": (
        "BertForSequenceClassification",
        class_loss,
        {"precision": "float16", "loss_scale": 128.0},
    ),
    "bfloat16": ("BertForSequenceClassification", class_loss, {"precision": "bfloat16"}),
}
"""What several processes must compute as one does: class of the model, loss and options."""


def train(name: str, *, batch_size: int = 8, **options: Any) -> tuple[Any, TrainingLog]:
    """Train a case; the model and the log."""
    class_name, loss, own = CASES[name]
    model = make_model(class_name=class_name)
    given = TrainingOptions(**{"learning_rate": 1e-3, "epochs": 2.0} | own | options)
    return model, fit(model, batches(batch_size), loss, given)


def run_folder(folder: Path) -> list[str]:
    """What a run has written, by name."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
