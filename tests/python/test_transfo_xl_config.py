"""TransfoXLConfig: defaults, order of arguments, files of both eras, values that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ptbert import TransfoXLConfig, TransfoXLModel
from transfo_xl_cases import TINY_TRANSFO_XL

DEFAULTS: dict[str, Any] = {
    "n_token": 267735,
    "cutoffs": [20000, 40000, 200000],
    "d_model": 1024,
    "d_embed": 1024,
    "n_head": 16,
    "d_head": 64,
    "d_inner": 4096,
    "div_val": 4,
    "pre_lnorm": False,
    "n_layer": 18,
    "tgt_len": 128,
    "ext_len": 0,
    "mem_len": 1600,
    "clamp_len": 1000,
    "same_length": True,
    "tie_projs": [False, True, True, True],
    "attn_type": 0,
    "sample_softmax": -1,
    "adaptive": True,
    "tie_weight": True,
    "dropout": 0.1,
    "dropatt": 0.0,
    "untie_r": True,
    "init": "normal",
    "init_range": 0.01,
    "proj_init_std": 0.01,
    "init_std": 0.02,
}


def write_json(folder: Path, fields: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def test_defaults_are_those_of_2019() -> None:
    assert TransfoXLConfig().to_dict() == DEFAULTS


def test_arguments_are_positional_in_the_order_of_2019() -> None:
    values: list[Any] = [
        99,
        [9],
        8,
        6,
        2,
        4,
        12,
        3,
        True,
        5,
        7,
        1,
        11,
        13,
        False,
        False,
        2,
        4,
        False,
        False,
    ]
    values += [0.2, 0.3, False, "uniform", 0.4, 0.5, 0.6]
    names = [name for name in DEFAULTS if name != "tie_projs"]
    config = TransfoXLConfig(*values).to_dict()
    assert config.pop("tie_projs") == [False, False]
    shared = values.pop(names.index("same_length") + 1)
    assert shared is False
    assert config == dict(zip(names, values, strict=True))


def test_round_trip_keeps_unknown_keys(tmp_path: Path) -> None:
    fields = {**TINY_TRANSFO_XL, "task_specific_params": {"text-generation": {"max_length": 250}}}
    config = TransfoXLConfig.from_json_file(write_json(tmp_path, fields))
    config.to_json_file(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == fields
    assert repr(config) == config.to_json_string()


def test_file_of_later_libraries_makes_a_model(tmp_path: Path) -> None:
    fields = {name: value for name, value in TINY_TRANSFO_XL.items() if name != "tie_projs"}
    fields["vocab_size"] = fields.pop("n_token")
    fields |= {"proj_share_all_but_first": True, "layer_norm_epsilon": 1e-5, "eos_token_id": 0}
    path = write_json(tmp_path, fields)
    for config in (TransfoXLConfig(path), TransfoXLConfig.from_json_file(path)):
        assert (config.n_token, config.tie_projs) == (29, [False, True, True])
        model: Any = TransfoXLModel(config)
        assert model.layers[0].pos_ff.layer_norm.eps == 1e-5
        assert model.layers[1].dec_attn.layer_norm.eps == 1e-5


def test_projections_that_are_not_shared() -> None:
    config = TransfoXLConfig.from_dict({"cutoffs": [5], "proj_share_all_but_first": False})
    assert config.tie_projs == [False, False]


def test_epsilon_is_that_of_2019_without_a_key() -> None:
    model: Any = TransfoXLModel(TransfoXLConfig.from_dict(TINY_TRANSFO_XL))
    assert model.layers[0].dec_attn.layer_norm.variance_epsilon == 1e-12


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_token": 0}, "`n_token` must be at least 1, but is 0."),
        (
            {"cutoffs": [7, 7]},
            "`cutoffs` must grow and lie between 0 and `n_token` (29), but hold 7.",
        ),
        (
            {"cutoffs": [7, 29]},
            "`cutoffs` must grow and lie between 0 and `n_token` (29), but hold 29.",
        ),
        ({"d_model": 7}, "`d_model` must be even, but is 7."),
        ({"n_layer": 0}, "`n_layer` must be at least 1, but is 0."),
        ({"div_val": 0}, "`div_val` must be at least 1, but is 0."),
        (
            {"div_val": 3},
            "`d_embed` (8) must be at least `div_val` (3) to the power of 2, for the last cluster.",
        ),
        ({"tgt_len": 0}, "`tgt_len` must be at least 1, but is 0."),
        ({"ext_len": -1}, "`ext_len` must be at least 0, but is -1."),
        ({"mem_len": -1}, "`mem_len` must be at least 0, but is -1."),
        ({"attn_type": 4}, "`attn_type` must be 0, 1, 2 or 3, but is 4."),
        (
            {"attn_type": 3},
            "With `attn_type` 3 `d_model` (8) must be `n_head` (3) times `d_head` (4).",
        ),
        (
            {"attn_type": 1, "untie_r": False, "n_layer": 4},
            "With `attn_type` 1 and tied biases layer i has row i of `r_w_bias`: `n_layer` (4) "
            "must be at most `n_head` (3).",
        ),
        (
            {"tie_projs": [True] * 4},
            "`tie_projs` must have at most an entry for each of 3 clusters, but has 4.",
        ),
        (
            {"sample_softmax": 5},
            "`sample_softmax` (5) needs `div_val` 1 and `d_embed` (8) equal to `d_model` (8), but "
            "`div_val` is 2.",
        ),
        ({"dropout": 1.5}, "`dropout` must be in [0, 1], but is 1.5."),
        ({"dropatt": -0.1}, "`dropatt` must be in [0, 1], but is -0.1."),
        ({"init": "zeros"}, '`init` must be "normal" or "uniform", but is "zeros".'),
        ({"init_std": -1.0}, "`init_std` must be at least 0, but is -1."),
        (
            {"layer_norm_epsilon": 0.0},
            "`layer_norm_epsilon` must be above 0, but is 0.",
        ),
        ({"cutoffs": [7, 8.5]}, "`cutoffs` must be a list of whole numbers, but is [7,8.5]."),
        ({"tie_projs": [0]}, "`tie_projs` must be a list of true and false, but is [0]."),
    ],
)
def test_impossible_model_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        TransfoXLModel(TransfoXLConfig.from_dict({**TINY_TRANSFO_XL, **changed}))
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cutoffs": 7}, "`cutoffs` must be a list, but is an int."),
        ({"d_model": "8"}, "`d_model` must be an int, but is a str."),
        ({"same_length": 1}, "`same_length` must be a bool, but is an int."),
    ],
)
def test_values_of_other_types_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as raised:
        TransfoXLModel(TransfoXLConfig.from_dict({**TINY_TRANSFO_XL, **changed}))
    assert str(raised.value) == message


def test_wrong_first_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a vocabulary size"):
        TransfoXLConfig(1.5)  # type: ignore[arg-type]
