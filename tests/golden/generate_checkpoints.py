"""Writes the folder checkpoints, files by torch.save for the C++ reader, and checkpoints.json, what
they hold. README.md in this folder says how to run it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytorch_pretrained_bert
import torch
from pytorch_pretrained_bert import BertConfig, BertForSequenceClassification, BertTokenizer
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parent
TARGET = FOLDER / "checkpoints"
sys.path.insert(0, str(FOLDER.parent / "python"))

import support  # noqa: E402

REFERENCE = "0.6.2"
VOCABULARY = FOLDER.parent / "data" / "vocab.txt"
CLASSIFIER_FIELDS = support.TINY_CONFIG | {
    "vocab_size": 140,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 24,
}
TEXTS = ("The boats sailed quietly.", "The Sea is quick!")


class Various(nn.Module):
    """One tensor of every kind that a state dict may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(4, 3)
        self.decoder = nn.Linear(3, 4, bias=False)
        self.decoder.weight = self.embeddings.weight
        with torch.no_grad():
            self.embeddings.weight.copy_(torch.arange(12.0).reshape(4, 3) / 8)
        self.rows = nn.Parameter(self.embeddings.weight.detach()[1:3])
        self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
        self.half_precision = nn.Parameter(torch.tensor([0.5, -2.0]).half())
        self.brain_float = nn.Parameter(torch.tensor([1.5, -0.25]).bfloat16())
        self.double_precision = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
        self.register_buffer("position_ids", torch.arange(5).unsqueeze(0))
        self.register_buffer("large", torch.tensor([2**40, -(2**40)]))
        self.register_buffer("small", torch.tensor([-7, 300], dtype=torch.int32))
        self.register_buffer("smaller", torch.tensor([-7, 300], dtype=torch.int16))
        self.register_buffer("bytes", torch.tensor([0, 255], dtype=torch.uint8))
        self.register_buffer("signed_bytes", torch.tensor([-128, 127], dtype=torch.int8))
        self.register_buffer("mask", torch.tensor([[True], [False]]))
        self.register_buffer("empty", torch.zeros(0, 3))


def described(tensor: Tensor) -> dict[str, Any]:
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "values": tensor.double().flatten().tolist(),
    }


def write_classifier() -> dict[str, Any]:
    """Saves a model as the fine-tuning scripts of 2019 did and returns the logits of TEXTS."""
    folder = TARGET / "classifier"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(VOCABULARY, folder / "vocab.txt")
    config = BertConfig.from_dict(CLASSIFIER_FIELDS)
    (folder / "config.json").write_text(config.to_json_string())
    model = BertForSequenceClassification(config, num_labels=3)
    support.seed_weights(model)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")

    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    first, second = (tokenizer.tokenize(text) for text in TEXTS)
    tokens = ["[CLS]", *first, "[SEP]", *second, "[SEP]"]
    ids = tokenizer.convert_tokens_to_ids(tokens)
    types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    with torch.no_grad():
        logits = model.double().eval()(torch.tensor([ids]), torch.tensor([types]))
    return {"texts": TEXTS, "input_ids": ids, "logits": logits[0].tolist()}


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    classifier = write_classifier()
    state = Various().state_dict()
    torch.save(state, TARGET / "various.bin")
    torch.save(state, TARGET / "legacy.bin", _use_new_zipfile_serialization=False)
    training = {"weight": torch.ones(2), "epoch": 3, "optimizer": {"lr": 0.1, "betas": [0.9, None]}}
    torch.save(training, TARGET / "training.bin")
    wrapped = {"epoch": 3, "model": {}, "state_dict": {"weight": torch.ones(2)}, "best": 0.5}
    torch.save(wrapped, TARGET / "wrapped.bin")
    torch.save([torch.ones(2)], TARGET / "list.bin")
    record = {
        "generated_by": "tests/golden/generate_checkpoints.py",
        "pytorch-pretrained-bert": REFERENCE,
        "torch": torch.__version__,
        "classifier": classifier,
        "various": {name: described(tensor) for name, tensor in state.items()},
    }
    (FOLDER / "checkpoints.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
