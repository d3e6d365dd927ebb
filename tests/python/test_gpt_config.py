"""GPT2Config and OpenAIGPTConfig: defaults, order of arguments, files of both eras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ptbert import GPT2Config, GPT2Model, OpenAIGPTConfig, OpenAIGPTModel

COMMON = {
    "n_special": 0,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "predict_special_tokens": True,
}
DEFAULTS: dict[type[Any], dict[str, Any]] = {
    GPT2Config: {**COMMON, "vocab_size": 50257, "n_positions": 1024, "n_ctx": 1024},
    OpenAIGPTConfig: {
        **COMMON,
        "vocab_size": 40478,
        "n_positions": 512,
        "n_ctx": 512,
        "afn": "gelu",
    },
}
every_config = pytest.mark.parametrize("config_class", list(DEFAULTS))


def write_json(folder: Path, fields: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


@every_config
def test_defaults_are_those_of_2019(config_class: Any) -> None:
    assert config_class().to_dict() == DEFAULTS[config_class]


@every_config
def test_arguments_are_positional_in_the_order_of_2019(config_class: Any) -> None:
    afn = ["relu"] if config_class is OpenAIGPTConfig else []
    values = [99, 2, 30, 31, 32, 3, 4, *afn, 0.2, 0.3, 0.4, 1e-6, 0.01, False]
    names = ["vocab_size", "n_special", "n_positions", "n_ctx", "n_embd", "n_layer", "n_head"]
    names += ["afn"] if afn else []
    names += ["resid_pdrop", "embd_pdrop", "attn_pdrop", "layer_norm_epsilon"]
    names += ["initializer_range", "predict_special_tokens"]
    assert config_class(*values).to_dict() == dict(zip(names, values, strict=True))


@every_config
def test_total_tokens_embeddings_counts_special_tokens(config_class: Any) -> None:
    assert config_class(99, n_special=3).total_tokens_embeddings == 102


@every_config
def test_file_of_today_without_n_ctx_has_that_of_its_positions(
    config_class: Any, tmp_path: Path
) -> None:
    path = write_json(tmp_path, {"vocab_size": 99, "n_positions": 64, "model_type": "gpt2"})
    for config in (config_class(str(path)), config_class.from_json_file(path)):
        assert (config.n_positions, config.n_ctx, config.model_type) == (64, 64, "gpt2")
    path = write_json(tmp_path, {"vocab_size": 99, "n_positions": 64, "n_ctx": 32})
    assert config_class.from_json_file(path).n_ctx == 32


@every_config
def test_round_trip_keeps_unknown_keys(config_class: Any, tmp_path: Path) -> None:
    fields = {
        **DEFAULTS[config_class],
        "predict_special_tokens": False,
        "summary_type": "cls_index",
    }
    config = config_class.from_json_file(write_json(tmp_path, fields))
    config.to_json_file(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == fields
    assert repr(config) == config.to_json_string()


@every_config
def test_wrong_first_argument_is_refused(config_class: Any) -> None:
    with pytest.raises(ValueError, match="must be a vocabulary size"):
        config_class(1.5)


@pytest.mark.parametrize(
    ("model_class", "config_class"), [(GPT2Model, GPT2Config), (OpenAIGPTModel, OpenAIGPTConfig)]
)
def test_published_file_makes_a_model(model_class: Any, config_class: Any, tmp_path: Path) -> None:
    """The keys of a config.json by today's transformers."""
    fields = {
        "activation_function": "gelu_new",
        "afn": "gelu",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": 98,
        "embd_pdrop": 0.1,
        "eos_token_id": 98,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_embd": 16,
        "n_head": 2,
        "n_inner": None,
        "n_layer": 2,
        "n_positions": 32,
        "reorder_and_upcast_attn": False,
        "resid_pdrop": 0.1,
        "scale_attn_by_inverse_layer_idx": False,
        "scale_attn_weights": True,
        "summary_first_dropout": 0.1,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "tie_word_embeddings": True,
        "use_cache": True,
        "vocab_size": 99,
    }
    model = model_class(config_class.from_json_file(write_json(tmp_path, fields)))
    assert model.h[0].attn.bias.shape == (1, 1, 32, 32)
