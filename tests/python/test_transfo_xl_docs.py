"""The examples of docs/TRANSFORMER_XL.md run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import ptbert
from support import REPOSITORY
from transfo_xl_cases import TINY_TRANSFO_XL


def test_examples_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (REPOSITORY / "docs" / "TRANSFORMER_XL.md").read_text(encoding="utf-8")
    quick_start, recipe, generation = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    tokenizer = ptbert.TransfoXLTokenizer(special=["<unk>", "<eos>"])
    sentences = re.findall(r'"([^"]+)"\.split', quick_start)
    tokenizer.count_sents([sentence.split() for sentence in sentences])
    tokenizer.build_vocab()
    tokenizer.save_vocabulary(str(tmp_path))
    fields = {**TINY_TRANSFO_XL, "n_token": len(tokenizer), "cutoffs": [4, 6]}
    config = ptbert.TransfoXLConfig.from_dict(fields)
    model = ptbert.TransfoXLLMHeadModel(config)
    torch.save(model.state_dict(), tmp_path / ptbert.WEIGHTS_NAME)
    config.to_json_file(tmp_path / ptbert.CONFIG_NAME)

    names: dict[str, Any] = {}
    for example in (quick_start, recipe, generation.replace("1000", "40")):
        example = example.replace('"transfo-xl-wt103"', repr(str(tmp_path)))
        exec(compile(example, "TRANSFORMER_XL.md", "exec"), names)
    assert "tensor(" in capsys.readouterr().out
    assert len(names["all_hidden_states"]) == 3
    assert len(names["text"].ids) == 40
    assert {tuple(state.shape) for state in names["all_hidden_states"]} == {(1, 5, 8)}
