"""Files as they are in the wild: keys, wrappers, paths, formats side by side, caches of 2019."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
from gpt_cases import TINY_GPT
from ptbert import BertConfig, BertModel, BertTokenizer, file_utils
from ptbert._files.checkpoint import read_state_dict
from support import TINY_CONFIG, assert_equal, seed_weights

S3 = "https://s3.amazonaws.com/models.huggingface.co/bert/"
State = dict[str, Tensor]


# For each family: configuration, its fields, trunk, and a model with a head.
FAMILIES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "bert": ("BertConfig", TINY_CONFIG, "BertModel", "BertForSequenceClassification"),
    "openai-gpt": (
        "OpenAIGPTConfig",
        {**TINY_GPT, "afn": "gelu"},
        "OpenAIGPTModel",
        "OpenAIGPTDoubleHeadsModel",
    ),
    "gpt2": ("GPT2Config", TINY_GPT, "GPT2Model", "GPT2DoubleHeadsModel"),
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def trunk(config: BertConfig) -> Any:
    model = BertModel(config)
    seed_weights(model)
    return model


def trunk_of(family: str) -> Any:
    config, fields, name, _ = FAMILIES[family]
    model = getattr(ptbert, name)(getattr(ptbert, config).from_dict(dict(fields)))
    seed_weights(model)
    return model


def save(content: object, folder: Path, config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(content, folder / ptbert.WEIGHTS_NAME)
    config.to_json_file(folder / ptbert.CONFIG_NAME)
    return folder


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def assert_same_weights(model: nn.Module, expected: nn.Module) -> None:
    state = model.state_dict()
    assert list(state) == list(expected.state_dict())
    for name, tensor in expected.state_dict().items():
        assert_equal(state[name], tensor)


# Names of weights

# `trunk.` stands for the family's own: `bert.` or `transformer.`.
PREFIXES = ["", "trunk.", "module.", "model.", "module.trunk.", "model.trunk.", "trunk.module."]
PREFIXES += ["module.model.trunk.", "model.module.", "trunk.trunk."]


@every_family
@pytest.mark.parametrize("prefix", PREFIXES)
def test_keys_load_whatever_holds_the_model(
    prefix: str, family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = trunk_of(family)
    own = "bert" if family == "bert" else "transformer"
    prefix = prefix.replace("trunk", own)
    state = {f"{prefix}{name}": tensor for name, tensor in source.state_dict().items()}
    folder = save(state, tmp_path, source.config)
    assert_same_weights(type(source).from_pretrained(folder), source)
    assert warnings_of(caplog) == []
    head = getattr(ptbert, FAMILIES[family][3]).from_pretrained(folder)
    assert_same_weights(getattr(head, own), source)


def test_model_inside_an_object_of_the_user_loads(tiny_config: BertConfig, tmp_path: Path) -> None:
    class Holder(ptbert.modeling.BertPreTrainedModel):
        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.model = BertModel(config)

    source = trunk(tiny_config)
    state = {f"module.bert.{name}": tensor for name, tensor in source.state_dict().items()}
    held: Any = Holder.from_pretrained(save(state, tmp_path, tiny_config))
    assert_same_weights(held.model, source)


def test_exact_names_come_before_others(tiny_config: BertConfig, tmp_path: Path) -> None:
    source, other = trunk(tiny_config), BertModel(tiny_config)
    state = {f"model.{name}": tensor for name, tensor in other.state_dict().items()}
    state |= {f"bert.{name}": tensor for name, tensor in source.state_dict().items()}
    assert_same_weights(BertModel.from_pretrained(save(state, tmp_path, tiny_config)), source)


def test_checkpoint_without_a_weight_of_the_model_is_refused(
    tiny_config: BertConfig, tmp_path: Path
) -> None:
    folder = save({"h.0.weight": torch.zeros(2), "x": torch.zeros(1)}, tmp_path, tiny_config)
    message = (
        r"The checkpoint must have weights of the model, but not one of its 2 names fits: it has "
        r"`h\.0\.weight`, \.\.\., the model has `embeddings\.word_embeddings\.weight`, \.\.\."
    )
    with pytest.raises(ValueError, match=message):
        BertModel.from_pretrained(folder)


# What else is in a checkpoint


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("given", ["file", "argument"])
def test_state_dict_is_found_in_its_wrapper(
    wrapper: str,
    given: str,
    tiny_config: BertConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = trunk(tiny_config)
    content: dict[str, Any] = {
        "epoch": 3,
        wrapper: {f"module.{n}": t for n, t in source.state_dict().items()},
        "optimizer": {"state": {0: {"step": 5, "exp_avg": torch.zeros(2)}}, "param_groups": []},
        "best": 0.5,
    }
    folder = save(content, tmp_path, tiny_config)
    model = (
        BertModel.from_pretrained(folder)
        if given == "file"
        else BertModel.from_pretrained(folder, state_dict=content)
    )
    assert_same_weights(model, source)
    (message,) = warnings_of(caplog)
    assert message.endswith(" holds more than weights; left out: best, epoch, optimizer")


def test_entries_that_are_no_tensors_are_left_out_by_name(
    tiny_config: BertConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = trunk(tiny_config)
    content = {**source.state_dict(), "epoch": 3, "args": {"lr": 0.1}}
    assert_same_weights(BertModel.from_pretrained(save(content, tmp_path, tiny_config)), source)
    (message,) = warnings_of(caplog)
    assert message.endswith(" holds more than weights; left out: args, epoch")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, "no entry"),
        ({"epoch": 3}, "none: its entry 'epoch' is of type int"),
        ({"model": {}, "lr": 0.1}, "none: its entry 'model' is of type dict"),
        ([torch.zeros(1)], "one list"),
        (torch.zeros(1), "one Tensor"),
    ],
)
def test_file_without_a_state_dict_is_refused(content: object, found: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.bin")
    with pytest.raises(ValueError, match=f"must hold a dict of tensors, but holds {found}"):
        read_state_dict(tmp_path / "model.bin")


# Damaged files and odd paths


@pytest.mark.parametrize("mmap_fails", [False, True])
def test_truncated_file_is_named(mmap_fails: bool, tiny_config: BertConfig, tmp_path: Path) -> None:
    path = save(trunk(tiny_config).state_dict(), tmp_path, tiny_config) / ptbert.WEIGHTS_NAME
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 1, len(whole) - 30, 100, 4):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="must be a PyTorch checkpoint, but is trunc"):
            read_state_dict(path)


@pytest.mark.parametrize(
    "cause", [MemoryError(), PermissionError(13, "denied"), OSError(5, "Input/output error")]
)
def test_error_of_another_cause_is_not_blamed_on_the_file(
    cause: Exception, tiny_config: BertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(trunk(tiny_config).state_dict(), tmp_path, tiny_config) / ptbert.WEIGHTS_NAME

    def fail(*args: Any, **kwargs: Any) -> None:
        raise cause

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(type(cause)) as error:
        read_state_dict(path)
    assert error.value is cause


@pytest.mark.parametrize("weights", ["bin", "safetensors"])
def test_folder_of_any_bytes_loads(weights: str, tiny_config: BertConfig, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff"))
    source = trunk(tiny_config)
    save(source.state_dict(), folder, tiny_config)
    if weights == "safetensors":
        safetensors = pytest.importorskip("safetensors.torch")
        (folder / ptbert.WEIGHTS_NAME).unlink()
        content = safetensors.save(dict(source.state_dict()))
        (folder / "model.safetensors").write_bytes(content)
    (folder / "vocab.txt").write_text("[UNK]\nsea\n", encoding="utf-8")
    assert_same_weights(BertModel.from_pretrained(folder), source)
    assert BertTokenizer.from_pretrained(folder).tokenize("sea") == ["sea"]
    if weights == "safetensors":
        (folder / "model.safetensors").write_bytes(content[:50])
        with pytest.raises(ValueError, match="is not a whole safetensors file"):
            BertModel.from_pretrained(folder)


def test_two_formats_in_a_folder_are_told(
    tiny_config: BertConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    old, new = trunk(tiny_config), BertModel(tiny_config)
    save(new.state_dict(), tmp_path, tiny_config)
    (tmp_path / "model.safetensors").write_bytes(safetensors.save(dict(old.state_dict())))
    assert_same_weights(BertModel.from_pretrained(tmp_path), old)
    assert warnings_of(caplog) == [
        f"`{tmp_path}` holds model.safetensors and pytorch_model.bin; model.safetensors is loaded."
    ]


# Caches


def put_in_cache(folder: Path, url: str, content: bytes) -> None:
    """As the library of 2019 has downloaded it."""
    etag = '"etag"'
    name = ".".join(hashlib.sha256(part.encode()).hexdigest() for part in (url, etag))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / f"{name}.json").write_text(json.dumps({"url": url, "etag": etag}))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("place", ["cache_dir", "default", "home"])
def test_cache_of_2019_is_found_by_name(
    place: str, tiny_config: BertConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = trunk(tiny_config)
    made = save(source.state_dict(), tmp_path / "made", tiny_config)
    (made / ptbert.CONFIG_NAME).rename(made / "bert_config.json")
    with tarfile.open(tmp_path / "archive.tar.gz", "w:gz") as tar:
        for name in ("bert_config.json", ptbert.WEIGHTS_NAME):
            tar.add(made / name, f"./{name}")
    cache = tmp_path / ".pytorch_pretrained_bert"
    put_in_cache(cache, f"{S3}bert-base-uncased.tar.gz", (tmp_path / "archive.tar.gz").read_bytes())
    put_in_cache(cache, f"{S3}bert-base-uncased-vocab.txt", b"[UNK]\nsea\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    default = cache if place == "default" else tmp_path / "empty"
    monkeypatch.setattr(file_utils, "PYTORCH_PRETRAINED_BERT_CACHE", default)
    options: dict[str, Any] = {"cache_dir": cache} if place == "cache_dir" else {}
    model = BertModel.from_pretrained("bert-base-uncased", **options)
    assert_same_weights(model, source)
    tokenizer = BertTokenizer.from_pretrained("bert-base-uncased", **options)
    assert tokenizer.tokenize("Sea") == ["sea"]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["openai-gpt", "gpt2", "gpt2-medium"])
def test_models_of_gpt_in_a_cache_of_2019_are_found_by_name(name: str, tmp_path: Path) -> None:
    source = trunk_of("openai-gpt" if name == "openai-gpt" else "gpt2")
    made = save(source.state_dict(), tmp_path / "made", source.config)
    for file in (ptbert.CONFIG_NAME, ptbert.WEIGHTS_NAME):
        put_in_cache(tmp_path / "cache", f"{S3}{name}-{file}", (made / file).read_bytes())
    model = type(source).from_pretrained(name, cache_dir=tmp_path / "cache")
    assert_same_weights(model, source)


@pytest.mark.usefixtures("offline")
def test_files_of_gpt_in_a_cache_of_2019_are_found_by_name(tmp_path: Path) -> None:
    put_in_cache(tmp_path, f"{S3}gpt2-vocab.json", b'{"l": 0, "o": 1, "lo": 2}')
    put_in_cache(tmp_path, f"{S3}gpt2-merges.txt", b"#version: 0.2\nl o\n")
    tokenizer = ptbert.GPT2Tokenizer.from_pretrained("gpt2", cache_dir=tmp_path)
    assert tokenizer.encode("lo") == [2]


@pytest.mark.parametrize("name", ["bert-base-uncased", "https://127.0.0.1:9/model.tar.gz"])
def test_cache_dir_that_cannot_be_written_to_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)  # the superuser may write everywhere
    message = rf"`cache_dir` \({tmp_path}\) must be a directory that can be written to, but is not"
    with pytest.raises(PermissionError, match=message):
        BertModel.from_pretrained(name, cache_dir=tmp_path)


@pytest.mark.parametrize("found", ["a file", "a link to nothing"])
@pytest.mark.parametrize("below", [False, True])
def test_cache_dir_that_is_no_directory_is_named(found: str, below: bool, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    if found == "a file":
        cache.write_text("")
    else:
        cache.symlink_to(tmp_path / "nowhere")
    given = cache / "more" if below else cache
    message = rf"`cache_dir` \({given}\) must be a directory, but `{cache}` is {found}\."
    for load in (BertModel.from_pretrained, BertTokenizer.from_pretrained):
        with pytest.raises(NotADirectoryError, match=message):
            load("bert-base-uncased", cache_dir=given)
        with pytest.raises(NotADirectoryError, match=message):
            load("https://127.0.0.1:9/model.tar.gz", cache_dir=given)
