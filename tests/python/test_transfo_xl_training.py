"""Training on real text, beside pytorch-pretrained-bert 0.6.2 step by step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ptbert
from support import import_or_skip
from transfo_xl_cases import TINY_TRANSFO_XL

STEPS, BATCH, SEQ = 50, 4, 16
FIELDS: dict[str, Any] = {
    **TINY_TRANSFO_XL,
    "cutoffs": [1000, 4000],
    "d_model": 32,
    "d_embed": 32,
    "d_head": 8,
    "n_head": 4,
    "d_inner": 64,
    "tgt_len": SEQ,
    "mem_len": SEQ,
    "clamp_len": 24,
    "dropout": 0.0,
    "dropatt": 0.0,
}


def losses_of(model: Any, batches: list[tuple[Tensor, Tensor]], optimizer: Any) -> list[float]:
    losses, mems = [], None
    for inputs, target in batches:
        tokens, mems = model(inputs, target, mems)
        loss = tokens.mean()
        losses.append(loss.item())
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses


@pytest.mark.filterwarnings("ignore")  # what the original warns about
def test_losses_of_both_libraries_stay_together(
    test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = import_or_skip("pytorch_pretrained_bert")
    monkeypatch.setattr(Tensor, "byte", Tensor.bool)  # for masks of today's torch
    file = str(test_data / "lm" / "wikitext-2" / "valid.txt")
    tokenizer = ptbert.TransfoXLTokenizer(special=["<eos>"], max_size=8000)
    tokenizer.count_file(file, add_eos=True)
    tokenizer.build_vocab()
    text = tokenizer.encode_file(file, ordered=True)
    columns = text[: len(text) // BATCH * BATCH].view(BATCH, -1)
    batches = [
        (
            columns[:, start : start + SEQ].contiguous(),
            columns[:, start + 1 : start + SEQ + 1].contiguous(),
        )
        for start in range(0, 2 * STEPS * SEQ, SEQ)
    ]
    torch.manual_seed(1)
    fields = {**FIELDS, "n_token": len(tokenizer)}
    model = ptbert.TransfoXLLMHeadModel(ptbert.TransfoXLConfig.from_dict(fields))
    other = original.TransfoXLLMHeadModel(original.TransfoXLConfig.from_dict(fields))
    other.load_state_dict(model.state_dict())
    trees = (model, other)
    logs = [
        losses_of(tree, batches[:STEPS], torch.optim.Adam(tree.parameters(), lr=1e-3))
        for tree in trees
    ]
    assert logs[0][-1] < logs[0][0] - 1
    assert max(abs(a - b) for a, b in zip(*logs, strict=True)) < 1e-4

    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        held_out = [losses_of(tree.eval(), batches[STEPS:], None) for tree in trees]
    perplexities = [math.exp(sum(losses) / len(losses)) for losses in held_out]
    assert f"{perplexities[0]:.4g}" == f"{perplexities[1]:.4g}"
