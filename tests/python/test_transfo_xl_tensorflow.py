"""Transformer-XL written as a TensorFlow checkpoint and for transformers, with every way of sharing
weights, and the names of its variables. test_tf_checkpoints.py reads those of the authors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ptbert import (
    _C,
    TransfoXLConfig,
    TransfoXLLMHeadModel,
    TransfoXLModel,
)
from ptbert.convert import convert
from ptbert.modeling_transfo_xl import build_tf_to_pytorch_map
from test_tf_checkpoints import SAMPLES, TRANSFO_XL, assert_same, transfo_xl

BASE = {"n_token": 12, "cutoffs": [5], "d_model": 8, "d_embed": 8, "n_head": 2, "d_head": 4}
BASE |= {"d_inner": 12, "div_val": 2, "n_layer": 11, "tgt_len": 4, "mem_len": 4, "ext_len": 0}
VARIANTS: dict[str, dict[str, Any]] = {
    "clusters of several widths": {"cutoffs": [3, 6]},
    "biases of attention shared": {"untie_r": False},
    "every projection shared": {"tie_projs": [True, True]},
    "no projection shared": {"proj_share_all_but_first": False},
    "output of its own": {"tie_weight": False},
    "clusters of one width": {"cutoffs": [3, 6], "div_val": 1},
    "clusters of one width, projected": {"cutoffs": [3, 6], "div_val": 1, "d_embed": 6},
    "one cluster": {"cutoffs": [], "div_val": 1},
    "one cluster, projected": {"cutoffs": [], "div_val": 1, "d_embed": 6, "tie_projs": [True]},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def model_of(variant: str) -> TransfoXLLMHeadModel:
    torch.manual_seed(1)
    model = TransfoXLLMHeadModel(TransfoXLConfig.from_dict(BASE | VARIANTS[variant]))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)  # biases, too
    return model


@every_variant
def test_round_trip_is_bit_exact(variant: str, tmp_path: Path) -> None:
    model = model_of(variant)
    model.save_pretrained(tmp_path / "ours")
    done = convert(tmp_path / "ours", tmp_path / "tf", "tensorflow")
    assert done.unused == done.missing == []
    assert sorted(path.name for path in (tmp_path / "tf").iterdir()) == [
        *("checkpoint", "config.json"),
        *("model.ckpt.data-00000-of-00001", "model.ckpt.index"),
    ]
    assert_same(TransfoXLLMHeadModel.from_pretrained(tmp_path / "tf", from_tf=True), model)
    back = convert(tmp_path / "tf", tmp_path / "back")
    assert back.unused == back.missing == []
    assert_same(TransfoXLLMHeadModel.from_pretrained(tmp_path / "back"), model)


@every_variant
def test_map_has_the_variables_that_are_written(variant: str, tmp_path: Path) -> None:
    model = model_of(variant)
    model.save_pretrained(tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "tf", "tensorflow")
    variables = _C.load_tf_variables(str(tmp_path / "tf"))
    found = build_tf_to_pytorch_map(model, model.config)
    assert found.keys() == variables.keys()
    for name, tensor in found.items():
        value = tensor if isinstance(tensor, torch.Tensor) else torch.stack(tensor).squeeze(0)
        is_matrix = name.endswith(("kernel", "proj", "proj_W"))
        assert torch.equal(variables[name], value.T if is_matrix else value), name


@pytest.mark.parametrize("trunk", [False, True])
@pytest.mark.parametrize(
    "variant",
    ["clusters of several widths", "biases of attention shared", "no projection shared"],
)
def test_map_is_that_of_2019(variant: str, trunk: bool) -> None:
    original = pytest.importorskip("pytorch_pretrained_bert.modeling_transfo_xl")
    model = model_of(variant)
    part: TransfoXLModel | TransfoXLLMHeadModel = model.transformer if trunk else model
    expected = original.build_tf_to_pytorch_map(part, model.config)
    found = build_tf_to_pytorch_map(part, model.config)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        one, other = found[name], tensor
        if isinstance(one, list):
            assert [id(bias) for bias in one] == [id(bias) for bias in other]
        else:
            assert one is other


def test_names_of_clusters_follow_the_authors_code() -> None:
    def embeddings_and_softmax(variant: str) -> list[str]:
        names = build_tf_to_pytorch_map(model_of(variant), model_of(variant).config)
        return sorted(n.removeprefix("transformer/adaptive_") for n in names if "adaptive_" in n)

    cluster = ["softmax/cutoff_0/cluster_W", "softmax/cutoff_0/cluster_b"]
    assert embeddings_and_softmax("one cluster") == ["embed/lookup_table", "softmax/bias"]
    assert embeddings_and_softmax("clusters of one width") == [
        *("embed/lookup_table", "softmax/cutoff_0/b", *cluster),
        *("softmax/cutoff_1/b", "softmax/cutoff_2/b"),
    ]
    assert embeddings_and_softmax("biases of attention shared") == [
        *("embed/cutoff_0/lookup_table", "embed/cutoff_0/proj_W"),
        *("embed/cutoff_1/lookup_table", "embed/cutoff_1/proj_W"),
        *("softmax/cutoff_0/b", *cluster, "softmax/cutoff_0/proj", "softmax/cutoff_1/b"),
    ]


@pytest.mark.parametrize("name", ["transfo_xl", *TRANSFO_XL])
def test_checkpoint_of_tensorflow_comes_back(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With the projections that are written although TensorFlow leaves them out."""
    source, config = SAMPLES / name, None
    if name in TRANSFO_XL:
        source = request.getfixturevalue("test_data") / "tf_checkpoints" / name / "model.ckpt"
        config = tmp_path / "config.json"
        transfo_xl(name).config.to_json_file(config)
    convert(source, tmp_path / "2019", config=config)
    convert(tmp_path / "2019", tmp_path / "back", "tensorflow")
    before, after = (_C.load_tf_variables(str(path)) for path in (source, tmp_path / "back"))
    for variable, tensor in after.items():
        expected = before.pop(variable, None)
        if expected is None:
            assert variable.endswith(("proj", "proj_W"))
            expected = torch.eye(len(tensor))
        assert torch.equal(tensor, expected), variable
    assert before.keys() <= {"global_step"}


def test_what_tensorflow_has_no_variable_for_is_named(tmp_path: Path) -> None:
    config = TransfoXLConfig.from_dict(BASE | {"attn_type": 1, "n_layer": 1})
    TransfoXLLMHeadModel(config).save_pretrained(tmp_path / "ours")
    done = convert(tmp_path / "ours", tmp_path / "tf", "tensorflow")
    assert done.unused == ["transformer.r_emb", "transformer.r_bias"]


@every_variant
def test_folder_for_transformers_loads_and_says_what_is_tied(variant: str, tmp_path: Path) -> None:
    model = model_of(variant)
    model.save_pretrained(tmp_path / "ours")
    convert(tmp_path / "ours", tmp_path / "theirs", "transformers")
    assert_same(TransfoXLLMHeadModel.from_pretrained(tmp_path / "theirs"), model)
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == (
        "transfo-xl",
        ["TransfoXLLMHeadModel"],
    )
    assert config["tie_word_embeddings"] is model.config.tie_weight
    # transformers has them for each layer, shared or not.
    written = _C.load_safetensors(str(tmp_path / "theirs" / "model.safetensors"))
    layers = [name for name in written if name.endswith("dec_attn.r_w_bias")]
    assert len(layers) == model.config.n_layer
