"""The example of the README runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

import ptbert
from support import REPOSITORY

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "joy", "from", "start", "to", "."]


def test_python_example_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_config: ptbert.BertConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    example, gpt2_example = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    folder = tmp_path / "demo" / "model"
    folder.mkdir(parents=True)
    model = ptbert.BertForSequenceClassification(tiny_config)
    torch.save(model.state_dict(), folder / ptbert.WEIGHTS_NAME)
    tiny_config.to_json_file(folder / ptbert.CONFIG_NAME)
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "tensor([[0." in capsys.readouterr().out

    folder = tmp_path / "demo" / "gpt2" / "model"
    shutil.copytree(REPOSITORY / "tests" / "data" / "gpt2", folder)
    tokens = len(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
    config = ptbert.GPT2Config(tokens, n_embd=16, n_layer=2, n_head=2, n_positions=64, n_ctx=64)
    config.to_json_file(folder / ptbert.CONFIG_NAME)
    torch.save(ptbert.GPT2LMHeadModel(config).state_dict(), folder / ptbert.WEIGHTS_NAME)
    exec(compile(gpt2_example, "README.md", "exec"), {})
    perplexity = re.findall(r"\d+\.\d+", capsys.readouterr().out)[-1]  # behind the text
    assert float(perplexity) > 1
