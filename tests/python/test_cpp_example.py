"""The C++ example gives the logits of the Python model saved in the same folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import ptbert
from support import GOLDEN, REPOSITORY, assert_close, seed_weights

CLASSIFY = REPOSITORY / "build" / "release" / "examples" / "cpp" / "classify"
FOLDER = GOLDEN / "checkpoints" / "classifier"
TEXTS = ["The boats sailed quietly.", "The Sea is quick!"]

pytestmark = pytest.mark.skipif(
    not CLASSIFY.is_file(), reason="examples/cpp/classify is not built: see PTBERT_BUILD_TESTS"
)


def classify(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(argument) for argument in (CLASSIFY, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def logits_of_cpp(folder: Path, texts: list[str]) -> torch.Tensor:
    result = classify(folder, *texts)
    assert result.stderr == ""
    assert result.returncode == 0
    return torch.tensor([float(line) for line in result.stdout.splitlines()])


def logits_of_python(model: ptbert.BertForSequenceClassification, texts: list[str]) -> torch.Tensor:
    tokenizer = ptbert.BertTokenizer(str(FOLDER / "vocab.txt"))
    tokens, types = ["[CLS]"], [0]
    for index, text in enumerate(texts):
        pieces = [*tokenizer.tokenize(text), "[SEP]"]
        tokens += pieces
        types += [index] * len(pieces)
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(tokens)])
    with torch.no_grad():
        logits: torch.Tensor = model(ids, torch.tensor([types]))
    return logits[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "vocab.txt"):
        shutil.copy(FOLDER / name, tmp_path)
    return tmp_path


@pytest.fixture
def model(folder: Path) -> ptbert.BertForSequenceClassification:
    config = ptbert.BertConfig.from_json_file(str(folder / "config.json"))
    model = ptbert.BertForSequenceClassification(config, num_labels=4)
    seed_weights(model)
    return model.eval()


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]], ids=["pair", "single"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_logits_are_those_of_python(
    folder: Path,
    model: ptbert.BertForSequenceClassification,
    name: str,
    dtype: torch.dtype,
    texts: list[str],
) -> None:
    model.to(dtype)
    state = model.state_dict()
    if name.endswith(".bin"):
        torch.save(state, folder / name)
    else:
        save_file(state, folder / name)
    expected = logits_of_python(model.float(), texts)
    assert_close(logits_of_cpp(folder, texts), expected, 1e-6)


def test_logits_are_those_of_2019() -> None:
    golden = json.loads((GOLDEN / "checkpoints.json").read_text())["classifier"]
    expected = torch.tensor(golden["logits"], dtype=torch.float64)
    assert_close(logits_of_cpp(FOLDER, golden["texts"]), expected)


def test_usage() -> None:
    result = classify(FOLDER)
    assert result.stderr == "usage: classify FOLDER TEXT [SECOND_TEXT]\n"
    assert result.returncode == 1


def test_folder_without_weights(folder: Path) -> None:
    result = classify(folder, "text")
    assert result.stderr == (
        f"`{folder}` must hold model.safetensors or pytorch_model.bin, but holds neither.\n"
    )
    assert result.returncode == 1


def test_model_without_classifier(
    folder: Path, model: ptbert.BertForSequenceClassification
) -> None:
    torch.save(ptbert.BertModel(model.config).state_dict(), folder / "pytorch_model.bin")
    result = classify(folder, "text")
    assert result.stderr == (
        "The checkpoint lacks `classifier.weight`: it is no fine-tuned classifier.\n"
    )


def test_too_long_text(folder: Path, model: ptbert.BertForSequenceClassification) -> None:
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    result = classify(folder, "boat " * 30)
    assert "must hold at most 24 tokens a row" in result.stderr
    assert result.returncode == 1
