"""TensorFlow checkpoints, read without TensorFlow. tests/cpp/tf_checkpoint_test.cpp tests the
reader; here are the shared checkpoints and loading into models, beside what TensorFlow computed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ptbert
from ptbert import (
    _C,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    OpenAIGPTModel,
    TransfoXLConfig,
    TransfoXLLMHeadModel,
    load_tf_weights_in_bert,
    load_tf_weights_in_gpt2,
    load_tf_weights_in_openai_gpt,
    load_tf_weights_in_transfo_xl,
)
from support import GOLDEN, assert_close

SAMPLES = GOLDEN / "tf_checkpoints"
RECORD: dict[str, Any] = json.loads((GOLDEN / "tf_checkpoints.json").read_text())
# The bar for outputs beside TensorFlow's.
TOLERANCE = 1e-6


@pytest.fixture
def folder(name: str, request: pytest.FixtureRequest) -> Path:
    """Of one of our samples, or of the shared checkpoints."""
    if not name.endswith("_tiny"):
        return SAMPLES / name
    data: Path = request.getfixturevalue("test_data")
    return data / "tf_checkpoints" / name


def assert_near(actual: Tensor, expected: Any) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", ["partitioned", *sorted(RECORD["shared"])])
def test_every_variable_is_bit_for_bit_as_tensorflow_reads_it(
    name: str, request: pytest.FixtureRequest
) -> None:
    if name in RECORD["shared"]:
        path = request.getfixturevalue("test_data") / "tf_checkpoints" / name
        recorded = RECORD["shared"][name]
    else:
        path, recorded = SAMPLES / name, RECORD["samples"][name]
    listed = {n: (dtype, shape) for n, dtype, shape in _C.list_tf_variables(str(path))}
    assert listed == {n: (entry["dtype"], entry["shape"]) for n, entry in recorded.items()}
    found = _C.load_tf_variables(str(path))
    hashes = {
        n: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for n, tensor in found.items()
    }
    assert hashes == {n: entry["sha256"] for n, entry in recorded.items()}


@pytest.mark.parametrize("name", ["bert", "bert_tiny"])
def test_bert_gives_what_tensorflow_computes(name: str, folder: Path) -> None:
    expected = RECORD["outputs"][name]
    inputs = [
        torch.tensor(expected[key]) for key in ("input_ids", "token_type_ids", "attention_mask")
    ]
    model = BertForPreTraining.from_pretrained(folder, from_tf=True).eval()
    with torch.no_grad():
        words, next_sentence = model(*inputs)
        hidden, pooled = model.bert(*inputs)
    assert_near(words, expected["words"])
    assert_near(next_sentence, expected["next_sentence"])
    assert_near(pooled, expected["pooled"])
    for actual, state in zip(hidden, expected["hidden"], strict=True):
        assert_near(actual, state)


@pytest.mark.parametrize("name", ["gpt2", "gpt2_tiny"])
def test_gpt2_gives_what_tensorflow_computes(name: str, folder: Path) -> None:
    expected = RECORD["outputs"][name]
    model = GPT2LMHeadModel.from_pretrained(folder, from_tf=True).eval()
    with torch.no_grad():
        scores, _ = model(torch.tensor(expected["input_ids"]))
    assert_near(scores, expected["scores"])


def assert_same(left: nn.Module, right: nn.Module) -> None:
    for (name, one), (_, other) in zip(
        left.state_dict().items(), right.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("form", ["folder", "prefix", "archive"])
def test_from_tf_takes_a_folder_a_prefix_or_an_archive(form: str, tmp_path: Path) -> None:
    path = SAMPLES / "bert"
    if form == "prefix":
        path /= "bert_model.ckpt"
    if form == "archive":
        with tarfile.open(tmp_path / "bert.tar.gz", "w:gz") as archive:
            archive.add(path, "bert")
        path = tmp_path / "bert.tar.gz"
    model = BertModel.from_pretrained(path, from_tf=True)
    assert_same(model, BertModel.from_pretrained(SAMPLES / "bert", from_tf=True))


def test_from_tf_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^`bert-base-uncased` must be the path of a directory or "):
        BertModel.from_pretrained("bert-base-uncased", from_tf=True)
    with pytest.raises(
        ValueError, match=r"^`state_dict` must be None with `from_tf`, but weights "
    ):
        BertModel.from_pretrained(tmp_path, from_tf=True, state_dict={"weight": torch.ones(2)})
    with pytest.raises(OSError, match=r"must contain `config.json` or `bert_config.json` or "):
        BertModel.from_pretrained(tmp_path, from_tf=True)
    shutil.copy(SAMPLES / "bert" / "bert_config.json", tmp_path)
    with pytest.raises(OSError, match=r"must hold model\.safetensors, pytorch_model\.bin \(or "):
        BertModel.from_pretrained(tmp_path, from_tf=True)


def test_load_tf_weights_fills_a_model_and_returns_it() -> None:
    model = BertForPreTraining(BertConfig.from_json_file(SAMPLES / "bert" / "bert_config.json"))
    assert load_tf_weights_in_bert(model, SAMPLES / "bert" / "bert_model.ckpt") is model
    assert_same(model, BertForPreTraining.from_pretrained(SAMPLES / "bert", from_tf=True))
    gpt2 = GPT2Model(GPT2Config.from_json_file(SAMPLES / "gpt2" / "hparams.json"))
    assert load_tf_weights_in_gpt2(gpt2, SAMPLES / "gpt2") is gpt2
    assert_same(gpt2, GPT2Model.from_pretrained(SAMPLES / "gpt2", from_tf=True))


def test_a_users_checkpoint_loads_and_the_rest_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ptbert")
    model: Any = BertForSequenceClassification.from_pretrained(
        SAMPLES / "custom", from_tf=True, num_labels=3
    )
    variables = _C.load_tf_variables(str(SAMPLES / "custom"))
    assert torch.equal(model.classifier.weight, variables["output_weights"])
    assert torch.equal(model.bert.pooler.dense.weight, variables["tower/bert/pooler/dense"].T)
    unused, training = (record.getMessage() for record in caplog.records)
    assert unused == (
        "`BertForSequenceClassification`: weights of the checkpoint that were not used: "
        "crf/transitions, student/tower/bert/pooler/dense/bias"
    )
    assert training.startswith(
        "`BertForSequenceClassification`: left out, as it belongs to training: beta1_power, "
        "beta2_power, global_step, output_bias/Adam, output_bias/Adam_1, "
    )


def test_missing_heads_are_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ptbert")
    BertForPreTraining.from_pretrained(SAMPLES / "custom", from_tf=True)
    missing, unused = (record.getMessage() for record in caplog.records)
    assert missing.startswith(
        "`BertForPreTraining`: weights not in the checkpoint, left at their initial values: "
        "cls.predictions.bias, cls.predictions.transform.dense.weight, "
    )
    assert unused.endswith(
        "not used: output_bias, output_weights, crf/transitions, "
        "student/tower/bert/pooler/dense/bias"
    )


def test_a_checkpoint_of_another_family_is_refused() -> None:
    model = BertModel(BertConfig.from_json_file(SAMPLES / "bert" / "bert_config.json"))
    path = str(SAMPLES / "various")
    with pytest.raises(ValueError) as caught:
        load_tf_weights_in_bert(model, path)
    assert str(caught.value) == (
        f"`{path}` must be a checkpoint of a bert model, but none of its 17 variables is one of "
        "its weights: it has `bfloat16`, ..."
    )


OPENAI = OpenAIGPTConfig(20, n_positions=6, n_ctx=6, n_embd=8, n_layer=2, n_head=2)


def write_openai_folder(folder: Path, files: int = 3) -> OpenAIGPTModel:
    """The files that OpenAI would publish of a model, which is returned."""
    model = OpenAIGPTModel(OPENAI)
    state = model.state_dict()
    names = ["positions_embed.weight", "tokens_embed.weight"]
    for block in range(OPENAI.n_layer):
        for layer in ("attn.c_attn", "attn.c_proj", "ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2"):
            names += [f"h.{block}.{layer}.weight", f"h.{block}.{layer}.bias"]
    arrays = [state[name].numpy() for name in names]
    shapes = [
        [1, *array.shape] if array.ndim == 2 and number > 1 else list(array.shape)
        for number, array in enumerate(arrays)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "params_shapes.json").write_text(json.dumps(shapes))
    row = np.concatenate([array.ravel() for array in arrays])
    for number, part in enumerate(np.array_split(row, files)):
        np.save(folder / f"params_{number}.npy", part)
    OPENAI.to_json_file(folder / "config.json")
    return model


def test_openai_folder_loads(tmp_path: Path) -> None:
    expected = write_openai_folder(tmp_path)
    model = OpenAIGPTModel(OPENAI)
    assert load_tf_weights_in_openai_gpt(model, tmp_path) is model
    assert_same(model, expected)
    loaded = OpenAIGPTLMHeadModel.from_pretrained(tmp_path, from_tf=True)
    assert_same(loaded.transformer, expected)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("params_shapes.json", b"[", "must hold JSON, but does not: "),
        ("params_shapes.json", b"[[-1]]", "must hold a list of shapes, but does not."),
        (
            "params_shapes.json",
            b"[[1],[2],[3]]",
            "must hold the shapes of 2 embeddings and 12 for",
        ),
        ("params_1.npy", b"\x93NUMPY", "must be a file of NumPy, but is truncated or of another "),
        ("params_1.npy", None, "numbers, as its params_shapes.json says, but its 1 files params_"),
        ("params_0.npy", None, "must hold params_0.npy, but does not."),
    ],
)
def test_damaged_openai_folder_is_refused(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    write_openai_folder(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_tf_weights_in_openai_gpt(OpenAIGPTModel(OPENAI), tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    write_openai_folder(tmp_path)
    np.save(tmp_path / "params_0.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"must be a file of NumPy, but is truncated"):
        load_tf_weights_in_openai_gpt(OpenAIGPTModel(OPENAI), tmp_path)


def test_integers_are_no_weights_of_openai(tmp_path: Path) -> None:
    write_openai_folder(tmp_path)
    np.save(tmp_path / "params_0.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"must hold floating-point numbers, but holds int64\.$"):
        load_tf_weights_in_openai_gpt(OpenAIGPTModel(OPENAI), tmp_path)


@pytest.mark.parametrize("name", ["transfo_xl_div1", "transfo_xl_div2"])
def test_every_variable_of_transformer_xl_is_known(name: str, test_data: Path) -> None:
    path = str(test_data / "tf_checkpoints" / name)
    variables = _C.load_tf_variables(path)
    assert _C.tf_family(list(variables)) == "transfo-xl"
    tensors, names, training_state, unknown = _C.sort_tf_variables(variables, "transfo-xl")
    assert training_state == unknown == []
    assert set(names) == variables.keys()
    qkv = variables["transformer/layer_1/rel_attn/qkv/kernel"]
    assert torch.equal(tensors["transformer.layers.1.dec_attn.qkv_net.weight"], qkv.T)
    biases = variables["transformer/r_w_bias"]
    if name == "transfo_xl_div1":  # untied: one for each layer
        assert torch.equal(tensors["transformer.layers.1.dec_attn.r_w_bias"], biases[1])
    else:
        assert torch.equal(tensors["transformer.r_w_bias"], biases)


TRANSFO_XL: dict[str, dict[str, Any]] = {
    "transfo_xl_div1": {"cutoffs": [], "div_val": 1, "untie_r": True},
    "transfo_xl_div2": {"cutoffs": [10], "div_val": 2, "untie_r": False},
}


def transfo_xl(name: str) -> TransfoXLLMHeadModel:
    """A model for one of the shared checkpoints, whose configuration is of another project."""
    config = TransfoXLConfig.from_dict(
        {"n_token": 30, "d_model": 32, "d_embed": 32, "n_head": 4, "d_head": 8, "d_inner": 64}
        | {"n_layer": 2, "tgt_len": 10, "mem_len": 20, "ext_len": 0, "same_length": False}
        | TRANSFO_XL[name]
    )
    return TransfoXLLMHeadModel(config).eval()


@pytest.mark.parametrize("name", TRANSFO_XL)
def test_transformer_xl_gives_the_recorded_outputs(name: str, test_data: Path) -> None:
    folder = test_data / "tf_checkpoints" / name
    model = transfo_xl(name)
    assert load_tf_weights_in_transfo_xl(model, model.config, folder) is model
    tokens = torch.from_numpy(np.load(folder / "tokens.npy")).long()
    mems = [
        torch.from_numpy(np.load(folder / f"memory_{i}.npy")).float().transpose(0, 1)
        for i in range(2)
    ]
    with torch.no_grad():
        log_probs, new_mems = model(tokens, mems=mems)
    expected = torch.from_numpy(np.load(folder / "softmax.npy"))
    assert_close(log_probs.exp(), expected, atol=TOLERANCE)
    for i, new in enumerate(new_mems):
        recorded = torch.from_numpy(np.load(folder / f"new_memory_{i}.npy"))
        assert_close(new.transpose(0, 1), recorded, atol=TOLERANCE)


def test_transformer_xl_loads_whole(caplog: pytest.LogCaptureFixture) -> None:
    """Also what TensorFlow has in one variable for all layers, or leaves out."""
    variables = _C.load_tf_variables(str(SAMPLES / "transfo_xl"))
    model = TransfoXLLMHeadModel.from_pretrained(SAMPLES / "transfo_xl", from_tf=True)
    assert not caplog.records
    trunk: Any = model.transformer
    for i, layer in enumerate(trunk.layers):
        attention = layer.dec_attn
        assert torch.equal(attention.r_w_bias, variables["transformer/r_w_bias"][i])
        kernel = variables[f"transformer/layer_{i}/rel_attn/qkv/kernel"]
        assert torch.equal(attention.qkv_net.weight, kernel.T)
    assert torch.equal(trunk.word_emb.emb_projs[0], torch.eye(8))
    assert trunk.word_emb.emb_projs[1] is model.crit.out_projs[1]
    cluster = variables["transformer/adaptive_softmax/cutoff_0/cluster_W"]
    softmax: Any = model.crit
    assert torch.equal(softmax.cluster_weight, cluster)


def test_names_are_those_of_2019() -> None:
    for module in (ptbert, ptbert.modeling):
        assert module.load_tf_weights_in_bert is load_tf_weights_in_bert
    assert ptbert.modeling_gpt2.load_tf_weights_in_gpt2 is load_tf_weights_in_gpt2
    assert ptbert.modeling_openai.load_tf_weights_in_openai_gpt is load_tf_weights_in_openai_gpt
