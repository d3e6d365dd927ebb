"""BertConfig: where its values come from, and how they are written."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from ptbert import BertConfig, BertModel

DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
}


def write_json(folder: Path, fields: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def test_vocabulary_size_alone_gives_the_defaults() -> None:
    assert BertConfig(30522).to_dict() == {"vocab_size": 30522, **DEFAULTS}


def test_arguments_are_positional_in_the_order_of_2019() -> None:
    config = BertConfig(99, 32, 2, 4, 37, "relu", 0.2, 0.3, 16, 3, 0.01, 1e-6)
    assert config.to_dict() == {
        "vocab_size": 99,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.3,
        "max_position_embeddings": 16,
        "type_vocab_size": 3,
        "initializer_range": 0.01,
        "layer_norm_eps": 1e-6,
    }


def test_first_argument_has_the_name_of_2019() -> None:
    assert BertConfig(vocab_size_or_config_json_file=99, hidden_size=32).vocab_size == 99


@pytest.mark.parametrize("as_type", [str, Path])
def test_path_reads_the_file(tmp_path: Path, as_type: type) -> None:
    path = write_json(tmp_path, {"vocab_size": 99, **DEFAULTS, "hidden_size": 36})
    config = BertConfig(as_type(path))
    assert (config.vocab_size, config.hidden_size) == (99, 36)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (3.5, "a float"),
        (None, "a NoneType"),
        ({"vocab_size": 99}, "a dict"),
        (b"x.json", "a bytes"),
    ],
)
def test_first_argument_of_another_type_raises(value: Any, kind: str) -> None:
    with pytest.raises(ValueError) as error:
        BertConfig(value)
    assert str(error.value) == (
        "`vocab_size_or_config_json_file` must be a vocabulary size (int) or the path of a JSON "
        f"file (str or Path), but is {kind}."
    )


def test_file_that_does_not_exist_raises(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.json"
    for read in (BertConfig, BertConfig.from_json_file):
        with pytest.raises(FileNotFoundError) as error:
            read(str(path))
        assert str(error.value) == f"`{path}` must be a config file, but does not exist."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"{",
            "must hold JSON, but does not: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1).",
        ),
        (
            b"\xff",
            "must hold JSON, but does not: 'utf-8' codec can't decode byte 0xff in position 0: "
            "invalid start byte.",
        ),
        (
            b'{"a": ' + b"[" * 100_000,
            "must hold JSON, but does not: maximum recursion depth exceeded while decoding a JSON "
            "array from a unicode string.",
        ),
        (b"[99]", "must hold a JSON object, but holds a list."),
        (b"3", "must hold a JSON object, but holds an int."),
    ],
)
def test_file_that_is_no_json_object_raises(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    for read in (BertConfig, BertConfig.from_json_file):
        with pytest.raises(ValueError) as error:
            read(str(path))
        assert str(error.value) == f"`{path}` {message}"


def test_building_a_config_checks_no_other_value() -> None:
    config = BertConfig(99, hidden_size=37, num_attention_heads=12, hidden_act="no such thing")
    assert config.hidden_size == 37
    with pytest.raises(ValueError, match="hidden_size"):
        BertModel(config)


def test_from_dict_keeps_unknown_keys_and_writes_them_back(tmp_path: Path) -> None:
    fields = {"vocab_size": 99, **DEFAULTS, "pooler_type": "first", "nested": {"a": [1, None]}}
    config: Any = BertConfig.from_dict(fields)
    assert config.pooler_type == "first"
    assert config.to_dict() == fields
    config.to_json_file(tmp_path / "config.json")
    for again in (
        BertConfig(str(tmp_path / "config.json")),
        BertConfig.from_json_file(str(tmp_path / "config.json")),
    ):
        assert again.to_dict() == fields


def test_from_dict_fills_in_defaults() -> None:
    config = BertConfig.from_dict({"vocab_size": 99, "hidden_size": 32})
    assert config.to_dict() == {"vocab_size": 99, **DEFAULTS, "hidden_size": 32}


def test_from_dict_of_a_subclass_gives_the_subclass() -> None:
    class MyConfig(BertConfig):
        pass

    assert type(MyConfig.from_dict({"vocab_size": 99})) is MyConfig


def test_file_without_layer_norm_eps_means_1e_12(tmp_path: Path) -> None:
    fields = {"vocab_size": 99, **DEFAULTS}
    del fields["layer_norm_eps"]
    path = write_json(tmp_path, fields)
    assert BertConfig(str(path)).layer_norm_eps == 1e-12
    assert BertConfig.from_json_file(path).layer_norm_eps == 1e-12


def test_to_dict_is_a_deep_copy() -> None:
    config: Any = BertConfig.from_dict({"vocab_size": 99, "list": [1, 2]})
    config.to_dict()["list"].append(3)
    config.to_dict()["hidden_size"] = 1
    assert (config.list, config.hidden_size) == ([1, 2], 768)


def test_json_has_two_spaces_sorted_keys_and_a_final_newline(tmp_path: Path) -> None:
    config = BertConfig(99, hidden_size=32)
    text = config.to_json_string()
    assert text == json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"
    assert text.startswith('{\n  "attention_probs_dropout_prob": 0.1,\n')
    assert '  "layer_norm_eps": 1e-12,\n' in text
    assert text.endswith('  "vocab_size": 99\n}\n')
    config.to_json_file(str(tmp_path / "config.json"))
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == text


def test_repr_is_the_json() -> None:
    config = BertConfig(99)
    assert repr(config) == config.to_json_string()
    assert str(config) == config.to_json_string()


def test_attributes_may_be_set_and_added() -> None:
    config: Any = BertConfig(99)
    config.hidden_size = 36
    config.task = "mrpc"
    assert config.to_dict()["hidden_size"] == 36
    assert config.to_dict()["task"] == "mrpc"


def test_config_survives_copy_and_pickle() -> None:
    config = BertConfig.from_dict({"vocab_size": 99, "extra": 1})
    for copied in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert type(copied) is BertConfig
        assert copied.to_dict() == config.to_dict()


def test_hidden_act_may_be_a_callable() -> None:
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 6,
    }
    ids = torch.tensor([[1, 2, 3]])
    named = BertModel(BertConfig(9, hidden_act="relu", **small)).eval()
    called = BertModel(BertConfig(9, hidden_act=torch.relu, **small)).eval()
    called.load_state_dict(named.state_dict())
    assert torch.equal(called(ids)[1], named(ids)[1])


def test_later_change_of_a_config_leaves_a_built_model_alone(tiny_config: BertConfig) -> None:
    model = BertModel(tiny_config).eval()
    ids = torch.tensor([[1, 2, 3]])
    expected = model(ids)[1]
    tiny_config.num_attention_heads = 2
    tiny_config.hidden_act = "relu"
    assert torch.equal(model(ids)[1], expected)
