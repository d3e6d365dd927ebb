"""hubconf.py: the entry points of torch.hub, on small folders."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ptbert
from gpt_cases import TINY_GPT
from support import GOLDEN, REPOSITORY, TINY_CONFIG, assert_equal
from transfo_xl_cases import TINY_TRANSFO_XL

NAMES = json.loads((GOLDEN / "names.json").read_text())["names"]
ENTRIES = sorted(name.removeprefix("hubconf.") for name in NAMES if name.startswith("hubconf."))
CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Bert": (ptbert.BertConfig, TINY_CONFIG),
    "OpenAIGPT": (ptbert.OpenAIGPTConfig, TINY_GPT),
    "GPT2": (ptbert.GPT2Config, TINY_GPT),
    "TransfoXL": (ptbert.TransfoXLConfig, TINY_TRANSFO_XL),
}
# What the classes take beside their configuration.
MORE = {
    "BertForSequenceClassification": {"num_labels": 3},
    "BertForTokenClassification": {"num_labels": 5},
    "BertForMultipleChoice": {"num_choices": 3},
}


def load(entry: str, *arguments: Any, **options: Any) -> Any:
    return torch.hub.load(str(REPOSITORY), entry, *arguments, source="local", **options)


def class_of(entry: str) -> Any:
    name = entry.replace("transformerXL", "transfoXL")
    name = name.replace("gpt2", "GPT2") if name.startswith("gpt2") else name[0].upper() + name[1:]
    return getattr(ptbert, name)


def test_entries_are_those_of_2019() -> None:
    spec = importlib.util.spec_from_file_location("hubconf", REPOSITORY / "hubconf.py")
    assert spec is not None
    assert spec.loader is not None
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    # As torch.hub.list lists them.
    found = [n for n, value in vars(hubconf).items() if callable(value) and n[0] != "_"]
    assert sorted(found) == ENTRIES
    assert len(ENTRIES) == 20
    assert hubconf.dependencies == ["ptbert"]


@pytest.mark.parametrize("entry", [name for name in ENTRIES if "Tokenizer" not in name])
def test_model_is_loaded(entry: str, tmp_path: Path) -> None:
    made = class_of(entry)
    config_class, fields = next(CONFIGS[key] for key in CONFIGS if made.__name__.startswith(key))
    more = MORE.get(made.__name__, {})
    saved: nn.Module = made(config_class.from_dict(fields), **more)
    saved.save_pretrained(tmp_path)  # type: ignore[operator]
    loaded = load(entry, str(tmp_path), **more)
    assert type(loaded) is made
    state = loaded.state_dict()
    assert list(state) == list(saved.state_dict())
    for name, tensor in saved.state_dict().items():
        assert_equal(state[name], tensor)


@pytest.mark.parametrize(
    ("entry", "folder"),
    [
        ("bertTokenizer", "vocab.txt"),
        ("openAIGPTTokenizer", "openai-gpt"),
        ("gpt2Tokenizer", "gpt2"),
    ],
)
def test_tokenizer_is_loaded(entry: str, folder: str) -> None:
    path = str(REPOSITORY / "tests" / "data" / folder)
    loaded = load(entry, path, max_len=7)
    assert type(loaded) is class_of(entry)
    assert loaded.max_len == 7
    assert loaded.encode("a test") == class_of(entry).from_pretrained(path).encode("a test")


def test_tokenizer_of_transformer_xl_is_loaded(tmp_path: Path) -> None:
    saved = ptbert.TransfoXLTokenizer()
    saved.count_sents([["a", "test", "a"]])
    saved.build_vocab()
    saved.save_vocabulary(tmp_path)
    loaded = load("transformerXLTokenizer", str(tmp_path))
    assert type(loaded) is ptbert.TransfoXLTokenizer
    assert loaded.idx2sym == saved.idx2sym
