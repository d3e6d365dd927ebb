"""`save_pretrained`: what it writes, that it loads, and that no half folder is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ptbert import (
    BertConfig,
    BertForPreTraining,
    BertTokenizer,
    GPT2Config,
    GPT2DoubleHeadsModel,
    GPT2Tokenizer,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    OpenAIGPTTokenizer,
    TransfoXLTokenizer,
)
from support import REPOSITORY, TINY_CONFIG
from test_tf_checkpoints import assert_same

MODELS: dict[str, Any] = {
    "bert": lambda: BertForPreTraining(BertConfig.from_dict(TINY_CONFIG)),
    "gpt2": lambda: GPT2DoubleHeadsModel(
        GPT2Config(40, n_positions=12, n_ctx=12, n_embd=8, n_layer=2, n_head=2, n_special=3)
    ),
    "gpt": lambda: OpenAIGPTLMHeadModel(
        OpenAIGPTConfig(40, n_positions=12, n_ctx=12, n_embd=8, n_layer=2, n_head=2)
    ),
}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("size", ["5GB", 4000])
def test_what_is_saved_loads(
    name: str, safe: bool, size: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = MODELS[name]()
    model.save_pretrained(tmp_path, safe_serialization=safe, max_shard_size=size)
    assert_same(type(model).from_pretrained(tmp_path), model)
    assert not caplog.records  # nothing missing, nothing unused
    if size == "5GB":
        weights = "model.safetensors" if safe else "pytorch_model.bin"
        assert names_in(tmp_path) == ["config.json", weights]


def test_shards_have_an_index(tmp_path: Path) -> None:
    MODELS["bert"]().save_pretrained(tmp_path, max_shard_size=20_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert names_in(tmp_path) == ["config.json", *shards, "model.safetensors.index.json"]
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"


def test_weights_of_an_earlier_save_are_deleted(tmp_path: Path) -> None:
    model = MODELS["gpt"]()
    (tmp_path / "notes.txt").write_text("mine")
    model.save_pretrained(tmp_path, max_shard_size=4000)
    model.save_pretrained(tmp_path, safe_serialization=False)
    assert names_in(tmp_path) == ["config.json", "notes.txt", "pytorch_model.bin"]


def test_other_libraries_load_it(tmp_path: Path) -> None:
    model = MODELS["bert"]()
    model.save_pretrained(tmp_path / "old", safe_serialization=False)
    original = pytest.importorskip("pytorch_pretrained_bert")
    assert_same(original.BertForPreTraining.from_pretrained(str(tmp_path / "old")), model)
    safetensors = pytest.importorskip("safetensors.torch")
    model.save_pretrained(tmp_path / "new")
    state = safetensors.load_file(tmp_path / "new" / "model.safetensors")
    assert "cls.predictions.decoder.weight" not in state  # one with the word embeddings
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in state.items())


def test_after_an_error_nothing_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS["bert"]()
    model.save_pretrained(tmp_path / "out")
    before = (tmp_path / "out" / "config.json").stat().st_mtime_ns

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        model.save_pretrained(tmp_path / "out", safe_serialization=False)
    assert names_in(tmp_path) == ["out"]
    assert names_in(tmp_path / "out") == ["config.json", "model.safetensors"]
    assert (tmp_path / "out" / "config.json").stat().st_mtime_ns == before


def test_tokenizers_save_folders_that_load(tmp_path: Path) -> None:
    data = REPOSITORY / "tests" / "data"
    for name, tokenizer_class, source in (
        ("bert", BertTokenizer, data / "vocab.txt"),
        ("gpt2", GPT2Tokenizer, data / "gpt2"),
        ("gpt", OpenAIGPTTokenizer, data / "openai-gpt"),
    ):
        tokenizer = tokenizer_class.from_pretrained(source)
        tokenizer.save_pretrained(tmp_path / name)
        loaded = tokenizer_class.from_pretrained(tmp_path / name)
        assert loaded.encode("The boats sailed.") == tokenizer.encode("The boats sailed.")
    assert names_in(tmp_path) == ["bert", "gpt", "gpt2"]
    assert names_in(tmp_path / "bert") == ["tokenizer_config.json", "vocab.txt"]
    config = json.loads((tmp_path / "bert" / "tokenizer_config.json").read_text())
    assert config == {"do_lower_case": True}
    symbols = TransfoXLTokenizer()
    symbols.count_sents([["a", "b", "a"]])
    symbols.build_vocab()
    symbols.save_pretrained(tmp_path / "symbols")
    assert TransfoXLTokenizer.from_pretrained(tmp_path / "symbols").idx2sym == symbols.idx2sym


@pytest.mark.parametrize("size", [0, "5", "many", 1.5])
def test_size_must_be_one(size: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        MODELS["gpt"]().save_pretrained(tmp_path, max_shard_size=size)
    assert str(caught.value) == (
        f'`max_shard_size` must be a number of bytes or as "5GB", but is {size!r}.'
    )
