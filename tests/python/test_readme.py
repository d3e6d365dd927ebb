"""The example of the README runs."""

from __future__ import annotations

import re
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
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    folder = tmp_path / "demo" / "model"
    folder.mkdir(parents=True)
    model = ptbert.BertForSequenceClassification(tiny_config)
    torch.save(model.state_dict(), folder / ptbert.WEIGHTS_NAME)
    tiny_config.to_json_file(folder / ptbert.CONFIG_NAME)
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "tensor([[0." in capsys.readouterr().out
