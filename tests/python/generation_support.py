"""Tiny language models of all families, for the tests of generation and scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import ptbert
from ptbert import GPT2Config, OpenAIGPTConfig, TransfoXLConfig
from support import seed_weights

PROMPTS = [[5, 9, 3], [7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [5, 9, 3, 8, 8]]
FIELDS: dict[str, Any] = {
    "vocab_size": 61,
    "n_positions": 48,
    "n_ctx": 48,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
}
CONFIGS: dict[str, Any] = {"GPT2LMHeadModel": GPT2Config, "OpenAIGPTLMHeadModel": OpenAIGPTConfig}
# Every token sees the same, whether a text is read at once or token by token.
TRANSFO_XL: dict[str, Any] = {
    "cutoffs": [10, 30],
    "div_val": 2,
    "d_model": 32,
    "d_embed": 32,
    "n_head": 4,
    "d_head": 8,
    "d_inner": 64,
    "n_layer": 3,
    "tgt_len": 48,
    "mem_len": 64,
    "clamp_len": 40,
}
every_model = pytest.mark.parametrize("class_name", [*CONFIGS, "TransfoXLLMHeadModel"])
every_model_with_a_window = pytest.mark.parametrize("class_name", list(CONFIGS))


def make(class_name: str, **fields: Any) -> Any:
    if class_name == "TransfoXLLMHeadModel":
        config = TransfoXLConfig(61, **{**TRANSFO_XL, **fields})
    else:
        fields = {"vocab_size_or_config_json_file": 61, **without_size(fields)}
        config = CONFIGS[class_name](**fields)
    model = getattr(ptbert, class_name)(config)
    seed_weights(model)
    return model.eval()


def without_size(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**FIELDS, **fields}.items() if name != "vocab_size"}


def logits_of(model: Any, ids: list[int]) -> Tensor:
    with torch.no_grad():
        output = model(torch.tensor([ids]))
    scores: Tensor = output if isinstance(output, Tensor) else output[0]
    return scores[0]
