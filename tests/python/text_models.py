"""Tiny models of each family with their tokenizers, and the states of a text by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import ptbert
from examples_support import write_gpt, write_gpt2, write_model

TEXTS = ["the cat", "the", "the cat the cat the", "cat the the"]
FAMILIES: dict[str, Any] = {
    "bert": (write_model, ptbert.BertForPreTraining, ptbert.BertTokenizer),
    "openai-gpt": (write_gpt, ptbert.OpenAIGPTLMHeadModel, ptbert.OpenAIGPTTokenizer),
    "gpt2": (write_gpt2, ptbert.GPT2LMHeadModel, ptbert.GPT2Tokenizer),
}


def load(family: str, folder: Path) -> tuple[Any, Any]:
    """A model with a head, in training mode, and its tokenizer, written to a folder first."""
    write, model_class, tokenizer_class = FAMILIES[family]
    write(folder)
    model = model_class.from_pretrained(str(folder)).train()
    return model, tokenizer_class.from_pretrained(str(folder))


def alone(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """The states of one text by itself, [layers and embeddings, tokens, hidden]."""
    trunk = getattr(model, "bert", None) or getattr(model, "transformer", model)
    is_bert = isinstance(trunk, ptbert.BertModel)
    trunk.eval()
    row = tokenizer.encode_pair(text)["input_ids"] if is_bert else tokenizer.encode(text)
    ids = torch.tensor([row])
    with torch.no_grad():
        output = trunk(ids)
        states = output if isinstance(trunk, ptbert.OpenAIGPTModel) else output[0]
        states = [trunk.embeddings(ids), *states] if is_bert else states
    return torch.cat(states)
