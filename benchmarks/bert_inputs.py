"""What the libraries of bert.py are given: the same weights and the same batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from bert_peers import Batch
from bert_rows import Row

import ptbert

LIMIT = 128  # tokens of a pair of sentences


def write_model(folder: Path, fields: dict[str, Any]) -> None:
    """Random weights in the format that all libraries load."""
    folder.mkdir()
    model = ptbert.BertForPreTraining(ptbert.BertConfig(**fields))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # as if trained: an exporter would merge equal ones
                parameter.add_(torch.randn_like(parameter) * 0.02)
    hidden = fields["hidden_size"]
    head = {"classifier.weight": torch.randn(2, hidden), "classifier.bias": torch.randn(2)}
    weights = model.state_dict() | {name: value * 0.1 for name, value in head.items()}
    torch.save(dict(weights), folder / "pytorch_model.bin")
    config = json.loads(model.config.to_json_string()) | {"model_type": "bert"}
    for name in ("config.json", "bert_config.json"):
        (folder / name).write_text(json.dumps(config))


def full_batch(task: str, sentences: int, tokens: int) -> Batch:
    """Random tokens, without padding."""
    shape = (sentences, tokens)
    batch = {
        "input_ids": torch.randint(1000, 30522, shape),
        "token_type_ids": (torch.arange(tokens) >= tokens // 2).long().repeat(sentences, 1),
        "labels": torch.randint(2, (sentences,)),
    }
    if task == "pretrain":
        masked = torch.rand(shape) < 0.15
        batch["masked_lm_labels"] = batch["input_ids"].where(masked, -1)
        batch["masked_lm_labels_100"] = batch["input_ids"].where(masked, -100)
    return batch


def mrpc_batches(data: Path, file: str, count: int) -> list[Batch]:
    """The first pairs of a file, 32 in a batch, each batch as long as its longest."""
    tokenizer = ptbert.BertTokenizer(str(data / "vocab" / "bert-base-uncased-vocab.txt"))
    path = data / "glue" / "MRPC" / f"{file}.tsv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    batches = []
    for start in range(0, min(32 * count, len(rows)), 32):
        part = rows[start : start + 32]
        batch: Batch = tokenizer.encode_batch(
            [row[3] for row in part],
            text_pairs=[row[4] for row in part],
            return_tensors="pt",
            max_length=LIMIT,
        )
        batches.append(batch | {"labels": torch.tensor([int(row[0]) for row in part])})
    return batches


def make_batches(row: Row, data: Path, count: int) -> list[Batch]:
    """What a row is timed on: one random batch, or the first `count` of MRPC."""
    if "x" in row.data:
        sentences, tokens = map(int, row.data.split("x"))
        return [full_batch(row.task, sentences, tokens)]
    return mrpc_batches(data, row.data, count)


def count_tokens(batches: list[Batch]) -> int:
    """Tokens that are no padding."""
    masks = [batch.get("attention_mask", torch.ones_like(batch["input_ids"])) for batch in batches]
    return sum(int(mask.sum()) for mask in masks)
