"""`ptbert.convert`, `ptbert convert`, `ptbert inspect`, and the converters of 2019."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from ptbert import (
    _C,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    OpenAIGPTModel,
    TransfoXLLMHeadModel,
    cli,
    file_utils,
    load_tf_weights_in_transfo_xl,
)
from ptbert.convert import convert
from ptbert.convert_gpt2_checkpoint_to_pytorch import convert_gpt2_checkpoint_to_pytorch
from ptbert.convert_openai_checkpoint_to_pytorch import convert_openai_checkpoint_to_pytorch
from ptbert.convert_tf_checkpoint_to_pytorch import convert_tf_checkpoint_to_pytorch
from ptbert.convert_transfo_xl_checkpoint_to_pytorch import (
    convert_transfo_xl_checkpoint_to_pytorch,
)
from support import GOLDEN
from test_tf_checkpoints import (
    OPENAI,
    SAMPLES,
    TRANSFO_XL,
    assert_same,
    transfo_xl,
    write_openai_folder,
)


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def bert_of_tf() -> BertForPreTraining:
    return BertForPreTraining.from_pretrained(SAMPLES / "bert", from_tf=True)


def test_bert_to_2019(tmp_path: Path, bert_of_tf: BertForPreTraining) -> None:
    done = convert(SAMPLES / "bert", tmp_path / "out")
    assert (done.family, done.model) == ("bert", "BertForPreTraining")
    assert done.missing == done.unused == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.json",
        "pytorch_model.bin",
    ]
    weights = tmp_path / "out" / "pytorch_model.bin"
    assert weights.read_bytes()[:2] == b"\x80\x02"  # the format that torch of 2019 reads
    state = torch.load(weights, weights_only=True)
    assert list(state) == list(bert_of_tf.state_dict())
    assert all(tensor.is_contiguous() for tensor in state.values())
    assert_same(BertForPreTraining.from_pretrained(tmp_path / "out"), bert_of_tf)


def test_the_library_of_2019_loads_what_was_converted(
    tmp_path: Path, bert_of_tf: BertForPreTraining
) -> None:
    original = pytest.importorskip("pytorch_pretrained_bert")
    convert(SAMPLES / "bert", tmp_path / "out")
    model = original.BertForPreTraining.from_pretrained(str(tmp_path / "out"))
    assert_same(model, bert_of_tf)


@pytest.mark.parametrize("sample", ["bert", "gpt2"])
def test_transformers_loads_what_was_converted(sample: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    convert(SAMPLES / sample, tmp_path / "out", "transformers")
    class_name = {"bert": "BertForPreTraining", "gpt2": "GPT2LMHeadModel"}[sample]
    theirs = getattr(transformers, class_name).from_pretrained(tmp_path / "out").eval()
    ours: Any = BertForPreTraining if sample == "bert" else GPT2LMHeadModel
    ours = ours.from_pretrained(SAMPLES / sample, from_tf=True).eval()
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids)[0], ours(ids)[0], atol=1e-6, rtol=0)
    assert_same(type(ours).from_pretrained(tmp_path / "out"), ours)


def test_a_classifier_keeps_its_head(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ptbert")
    done = convert(SAMPLES / "custom", tmp_path / "out")
    assert done.model == "BertForSequenceClassification"
    assert done.unused == ["crf/transitions", "student/tower/bert/pooler/dense/bias"]
    assert {"global_step", "beta1_power", "output_bias/Adam_1"} < set(done.training_state)
    assert "not used: crf/transitions, student/tower/bert/pooler/dense/bias" in caplog.messages
    model = BertForSequenceClassification.from_pretrained(tmp_path / "out", num_labels=3)
    expected = BertForSequenceClassification.from_pretrained(
        SAMPLES / "custom", from_tf=True, num_labels=3
    )
    assert_same(model, expected)


def test_pytorch_converts_too(tmp_path: Path) -> None:
    classifier = GOLDEN / "checkpoints" / "classifier"
    done = convert(classifier, tmp_path / "new", "transformers")
    assert done.model == "BertForSequenceClassification"
    assert (tmp_path / "new" / "vocab.txt").read_bytes() == (classifier / "vocab.txt").read_bytes()
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["architectures"] == ["BertForSequenceClassification"]
    convert(tmp_path / "new", tmp_path / "old", "2019")
    before = torch.load(classifier / "pytorch_model.bin", weights_only=True)
    after = torch.load(tmp_path / "old" / "pytorch_model.bin", weights_only=True)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_openai_folder_converts(tmp_path: Path) -> None:
    expected = write_openai_folder(tmp_path / "gpt")
    done = convert(tmp_path / "gpt", tmp_path / "out")
    assert (done.family, done.model) == ("openai-gpt", "OpenAIGPTLMHeadModel")
    loaded = OpenAIGPTModel.from_pretrained(tmp_path / "out")
    assert_same(loaded, expected)


@pytest.mark.parametrize("sample", ["bert", "custom", "gpt2", "bert_tiny", "gpt2_tiny"])
def test_round_trip_to_tensorflow_is_bit_exact(
    sample: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = SAMPLES / sample
    if sample.endswith("_tiny"):
        source = request.getfixturevalue("test_data") / "tf_checkpoints" / sample
    convert(source, tmp_path / "2019")
    done = convert(tmp_path / "2019", tmp_path / "back", "tensorflow")
    assert done.unused == done.missing == []
    before, after = (_C.load_tf_variables(str(path)) for path in (source, tmp_path / "back"))
    if sample == "custom":
        before = {name.removeprefix("tower/"): tensor for name, tensor in before.items()}
        before["bert/pooler/dense/kernel"] = before.pop("bert/pooler/dense")
        before.pop("crf/transitions")
        before.pop("student/tower/bert/pooler/dense/bias")
    training = ("adam_m", "adam_v", "Adam", "Adam_1", "global_step", "beta1_power", "beta2_power")
    before = {n: tensor for n, tensor in before.items() if n.rpartition("/")[2] not in training}
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype
        assert tensor.numpy().tobytes() == after[name].numpy().tobytes(), name


def test_tensorflow_reads_what_was_written(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="needs the extra group tensorflow")
    for sample in ("bert", "gpt2", "transfo_xl"):
        convert(SAMPLES / sample, tmp_path / sample, "tensorflow")
        reader = tensorflow.train.load_checkpoint(str(tmp_path / sample))
        variables = _C.load_tf_variables(str(tmp_path / sample))
        assert reader.get_variable_to_shape_map().keys() == variables.keys()
        for name, tensor in variables.items():
            assert reader.get_tensor(name).tobytes() == tensor.numpy().tobytes()


def test_files_for_tensorflow_have_the_names_its_code_knows(tmp_path: Path) -> None:
    folder = tmp_path / "gpt2"
    shutil.copytree(SAMPLES / "gpt2", folder)
    (folder / "encoder.json").write_text("{}")
    (folder / "vocab.bpe").write_text("")
    convert(folder, tmp_path / "2019")
    assert {"vocab.json", "merges.txt"} < {path.name for path in (tmp_path / "2019").iterdir()}
    convert(tmp_path / "2019", tmp_path / "back", "tensorflow")
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [
        *("checkpoint", "encoder.json", "hparams.json"),
        *("model.ckpt.data-00000-of-00001", "model.ckpt.index", "vocab.bpe"),
    ]
    hparams = json.loads((tmp_path / "back" / "hparams.json").read_text())
    assert hparams == json.loads((SAMPLES / "gpt2" / "hparams.json").read_text())


def test_gpt_has_no_tensorflow_checkpoints(tmp_path: Path) -> None:
    write_openai_folder(tmp_path / "gpt")
    with pytest.raises(ValueError, match=r"^`to` must be one of the other formats for openai-gpt"):
        convert(tmp_path / "gpt", tmp_path / "out", "tensorflow")


def write_config(path: Path, **changes: Any) -> Path:
    config = BertConfig.from_json_file(SAMPLES / "bert" / "bert_config.json").to_dict()
    path.write_text(json.dumps(config | changes))
    return path


def test_more_layers_than_the_checkpoint_are_an_error(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", num_hidden_layers=3)
    with pytest.raises(ValueError) as caught:
        convert(SAMPLES / "bert", tmp_path / "out", config=config)
    assert str(caught.value) == (
        f"`{SAMPLES / 'bert'}` must have all weights of the model that the configuration "
        "describes, but lacks 16, the first being "
        "`bert.encoder.layer.2.attention.self.query.weight`. Pass the configuration of this "
        "checkpoint."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_transformer_xl(tmp_path: Path) -> None:
    sample = SAMPLES / "transfo_xl"
    done = convert(sample, tmp_path / "out")
    assert (done.family, done.model) == ("transfo-xl", "TransfoXLLMHeadModel")
    assert done.missing == done.unused == []
    expected = TransfoXLLMHeadModel.from_pretrained(sample, from_tf=True)
    assert_same(TransfoXLLMHeadModel.from_pretrained(tmp_path / "out"), expected)


@pytest.mark.parametrize("name", TRANSFO_XL)
def test_shared_transformer_xl(name: str, test_data: Path, tmp_path: Path) -> None:
    checkpoint = test_data / "tf_checkpoints" / name / "model.ckpt"
    expected = transfo_xl(name)
    load_tf_weights_in_transfo_xl(expected, expected.config, checkpoint)
    expected.config.to_json_file(tmp_path / "config.json")
    done = convert(checkpoint, tmp_path / "out", config=tmp_path / "config.json")
    assert (done.family, done.model) == ("transfo-xl", "TransfoXLLMHeadModel")
    assert done.missing == done.unused == []
    assert_same(TransfoXLLMHeadModel.from_pretrained(tmp_path / "out"), expected)
    command = ("convert_transfo_xl_checkpoint", checkpoint, tmp_path / "command")
    assert run(*command, tmp_path / "config.json") == 0
    assert_same(TransfoXLLMHeadModel.from_pretrained(tmp_path / "command"), expected)


def test_pickled_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^`transfo_xl_dataset_file` must be empty, since"):
        convert_transfo_xl_checkpoint_to_pytorch("", "", tmp_path, tmp_path / "corpus.pkl")


def test_other_shapes_are_an_error(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.json", vocab_size=21)
    with pytest.raises(ValueError, match=r"word_embeddings\.weight` must be of shape \[21, 8\]"):
        convert(SAMPLES / "bert", tmp_path / "out", config=config)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder, "must hold model.safetensors, pytorch_model.bin (or one of them "),
        (lambda folder: folder / "none", "must be a checkpoint, but does not exist."),
        (
            lambda folder: SAMPLES / "various",
            "must be a checkpoint of BERT, GPT, GPT-2 or Transformer-XL, but",
        ),
        (
            lambda folder: SAMPLES / "old" / "model.ckpt",
            "must be in TensorFlow's V2 format, but",
        ),
        (
            lambda folder: GOLDEN / "checkpoints" / "list.bin",
            "must hold a dict of tensors, but holds one list.",
        ),
    ],
)
def test_what_cannot_be_converted_is_one_line(
    make: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit) as caught:
        run("convert", make(tmp_path / "empty"), tmp_path / "out")
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("ptbert: error: `")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def copy_of(source: str, folder: Path) -> Path:
    """A checkpoint in `folder`; returns the file of it to damage."""
    if source == "TensorFlow index" or source == "TensorFlow data":
        shutil.copytree(SAMPLES / "bert", folder)
        kind = "index" if source == "TensorFlow index" else "data-00000-of-00001"
        return folder / f"bert_model.ckpt.{kind}"
    if source == "NumPy":
        write_openai_folder(folder)
        return folder / "params_1.npy"
    convert(SAMPLES / "bert", folder, "transformers" if source == "safetensors" else "2019")
    weights = folder / ("model.safetensors" if source == "safetensors" else "pytorch_model.bin")
    if source == "zip":
        torch.save(torch.load(weights, weights_only=True), weights)
    return weights


@pytest.mark.parametrize(
    "source", ["TensorFlow index", "TensorFlow data", "NumPy", "safetensors", "legacy", "zip"]
)
def test_truncated_checkpoint_is_one_line_and_leaves_nothing(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = copy_of(source, tmp_path / "in")
    whole = damaged.read_bytes()
    for tenth in range(10):
        damaged.write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(SystemExit) as caught:
            run("convert", tmp_path / "in", tmp_path / "out")
        assert caught.value.code == 1
        error = capsys.readouterr().err
        assert error.startswith(("ptbert: error: `", "ptbert: error: The file "))
        assert error.count("\n") == 1
        assert str(tmp_path / "in") in error
        assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_index_beside_the_bytes_of_another_checkpoint_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SAMPLES / "bert", tmp_path / "in")
    data = tmp_path / "in" / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[::-1])
    with pytest.raises(SystemExit):
        run("convert", tmp_path / "in", tmp_path / "out")
    error = capsys.readouterr().err
    assert error.startswith(
        f"ptbert: error: `{data}` must hold `bert/embeddings/LayerNorm/beta` with "
    )
    assert error.count("\n") == 1


def test_unknown_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^`to` must be '2019' or 'transformers' or "):
        convert(SAMPLES / "bert", tmp_path, "onnx")  # type: ignore[arg-type]


def test_configuration_must_be_there(tmp_path: Path) -> None:
    for path in (SAMPLES / "bert").glob("bert_model.*"):
        shutil.copy(path, tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        convert(tmp_path, tmp_path / "out")
    assert str(caught.value) == (
        f"`{tmp_path}` must hold the configuration of the checkpoint (config.json, "
        "bert_config.json, openai_gpt_config.json, hparams.json), but does not. Pass it as "
        "`config`."
    )


def test_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", SAMPLES / "custom", tmp_path / "out", "--to", "transformers") == 0
    assert capsys.readouterr().out == (
        f"{tmp_path / 'out'} has 41 weights of BertForSequenceClassification (bert). Not in the "
        "checkpoint: 0. Left out of it: 87.\n"
    )


def test_convert_tf_checkpoint_to_pytorch(tmp_path: Path, bert_of_tf: BertForPreTraining) -> None:
    config, out = SAMPLES / "bert" / "bert_config.json", tmp_path / "pytorch_model.bin"
    convert_tf_checkpoint_to_pytorch(SAMPLES / "bert" / "bert_model.ckpt", config, out)
    model = BertForPreTraining(BertConfig.from_json_file(config))
    model.load_state_dict(torch.load(out, weights_only=True))
    assert_same(model, bert_of_tf)
    again = tmp_path / "again.bin"
    assert run("convert_tf_checkpoint_to_pytorch", SAMPLES / "bert", config, again) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.bin", "pytorch_model.bin"]


def test_convert_gpt2_checkpoint(tmp_path: Path) -> None:
    config = SAMPLES / "gpt2" / "hparams.json"
    convert_gpt2_checkpoint_to_pytorch(SAMPLES / "gpt2" / "model.ckpt", config, tmp_path / "one")
    expected = GPT2Model.from_pretrained(SAMPLES / "gpt2", from_tf=True)
    state = torch.load(tmp_path / "one" / "pytorch_model.bin", weights_only=True)
    assert "wte.weight" in state  # a trunk's names, as in 2019
    assert_same(GPT2Model.from_pretrained(tmp_path / "one"), expected)
    assert run("convert_gpt2_checkpoint", SAMPLES / "gpt2", tmp_path / "two", config) == 0
    assert_same(GPT2Model.from_pretrained(tmp_path / "two"), expected)
    # Without a configuration it is that of the small model of 2019, as there.
    assert GPT2Config().n_embd == 768
    with pytest.raises(ValueError, match=r"wte\.weight` must be of shape \[50257, 768\]"):
        convert_gpt2_checkpoint_to_pytorch(SAMPLES / "gpt2", "", tmp_path / "three")
    assert not (tmp_path / "three").exists()


def test_convert_openai_checkpoint(tmp_path: Path) -> None:
    expected = write_openai_folder(tmp_path / "gpt")
    config = tmp_path / "gpt" / "config.json"
    convert_openai_checkpoint_to_pytorch(tmp_path / "gpt", config, tmp_path / "one")
    assert_same(OpenAIGPTModel.from_pretrained(tmp_path / "one"), expected)
    assert run("convert_openai_checkpoint", tmp_path / "gpt", tmp_path / "two", config) == 0
    assert_same(OpenAIGPTModel.from_pretrained(tmp_path / "two"), expected)
    assert OPENAI.n_layer == 2


def test_scripts_of_2019_have_their_flags(tmp_path: Path) -> None:
    out = tmp_path / "pytorch_model.bin"
    command = [sys.executable, "-m", "ptbert.convert_tf_checkpoint_to_pytorch"]
    command += ["--tf_checkpoint_path", str(SAMPLES / "bert" / "bert_model.ckpt")]
    command += ["--bert_config_file", str(SAMPLES / "bert" / "bert_config.json")]
    command += ["--pytorch_dump_path", str(out)]
    subprocess.run(command, check=True)
    assert out.is_file()


def test_inspect_lists_names_dtypes_and_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", SAMPLES / "gpt2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        f"TensorFlow checkpoint: {SAMPLES / 'gpt2'}",
        "family: gpt2",
        "28 tensors, 2,016 elements",
        "name                    dtype    shape",
    ]
    assert "model/h1/attn/c_attn/w  float32  [1, 8, 24]" in lines


@pytest.mark.parametrize(
    ("path", "first", "family"),
    [
        (SAMPLES / "various.index", "TensorFlow checkpoint: ", "unknown"),
        (GOLDEN / "checkpoints" / "classifier", "PyTorch, zip format: ", "bert"),
        (GOLDEN / "checkpoints" / "legacy.bin", "PyTorch, legacy format: ", "unknown"),
    ],
)
def test_inspect_knows_formats_and_families(
    path: Path, first: str, family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(first)
    assert lines[1] == f"family: {family}"


def test_inspect_knows_safetensors_shards_and_numpy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(SAMPLES / "gpt2", tmp_path / "out", "transformers")
    write_openai_folder(tmp_path / "gpt")
    names = torch.load(GOLDEN / "checkpoints" / "legacy.bin", weights_only=True)
    (tmp_path / "legacy.bin").write_bytes((GOLDEN / "checkpoints" / "legacy.bin").read_bytes())
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(names, "legacy.bin")}))
    for path, shown, first, family in (
        (tmp_path / "out", tmp_path / "out" / "model.safetensors", "safetensors", "gpt2"),
        (tmp_path / "gpt", tmp_path / "gpt", "NumPy folder of OpenAI GPT", "openai-gpt"),
        (index, index, "PyTorch in shards", "unknown"),
    ):
        assert run("inspect", path) == 0
        found = capsys.readouterr().out.splitlines()
        assert found[:2] == [f"{first}: {shown}", f"family: {family}"]


def archive_of(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    return archive


@pytest.mark.parametrize("sample", ["bert", "custom"])
def test_archives_of_tensorflow_convert(sample: str, tmp_path: Path) -> None:
    archive = archive_of(SAMPLES / sample, tmp_path / "model.tar.gz")
    assert convert(archive, tmp_path / "out", "transformers").source.name == str(archive)
    convert(SAMPLES / sample, tmp_path / "expected", "transformers")
    for name in ("config.json", "model.safetensors"):
        found, expected = (tmp_path / folder / name for folder in ("out", "expected"))
        assert found.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("form", ["model.safetensors", "shards", "NumPy"])
def test_archives_of_other_formats_convert(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    if form == "NumPy":
        write_openai_folder(folder)
    else:
        model = GPT2LMHeadModel.from_pretrained(SAMPLES / "gpt2", from_tf=True)
        model.save_pretrained(folder, max_shard_size=2000 if form == "shards" else "5GB")
        (folder / "vocab.json").write_text("{}")
    archive = archive_of(folder, tmp_path / "model.tar.gz")
    assert run("inspect", archive) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f": {archive}")
    assert lines[1] == f"family: {'openai-gpt' if form == 'NumPy' else 'gpt2'}"
    convert(archive, tmp_path / "out", "transformers")
    convert(folder, tmp_path / "expected", "transformers")
    for path in (tmp_path / "expected").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for the Hub: every repository is a small BERT. Returns what is asked for."""
    folder, asked = tmp_path / "snapshot", list[str]()
    convert(SAMPLES / "bert", folder, "transformers")
    (folder / "vocab.txt").write_text("[PAD]\n")

    def download(repo_id: str, filename: str, **options: Any) -> str:
        asked.append(f"{repo_id}/{filename}")
        if not (folder / filename).is_file():
            raise LocalEntryNotFoundError("offline and not in the cache")
        return str(folder / filename)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(file_utils, "PYTORCH_PRETRAINED_BERT_CACHE", tmp_path / "cache")
    return asked


@pytest.mark.parametrize(
    ("name", "repository"),
    [("bert-base-uncased", "google-bert/bert-base-uncased"), ("owner/bert", "owner/bert")],
)
def test_names_of_models_convert(
    name: str, repository: str, tmp_path: Path, hub: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", name) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [f"safetensors: {name}", "family: bert"]
    assert hub == [f"{repository}/config.json", f"{repository}/model.safetensors"]
    convert(name, tmp_path / "out")
    expected = BertForPreTraining.from_pretrained(SAMPLES / "bert", from_tf=True)
    assert_same(BertForPreTraining.from_pretrained(tmp_path / "out"), expected)
    assert (tmp_path / "out" / "vocab.txt").read_text() == "[PAD]\n"


def test_a_folder_comes_before_a_name(
    tmp_path: Path, hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SAMPLES / "gpt2", tmp_path / "bert-base-uncased")
    monkeypatch.chdir(tmp_path)
    assert convert("bert-base-uncased", "out").family == "gpt2"
    assert hub == []


def test_a_name_that_is_nowhere_is_one_line(
    tmp_path: Path, hub: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tmp_path / "snapshot")
    with pytest.raises(SystemExit):
        run("convert", "owner/model", tmp_path / "out")
    error = capsys.readouterr().err
    assert error.startswith("ptbert: error: `config.json` of `owner/model` must be on the Hugging")
    assert error.count("\n") == 1
