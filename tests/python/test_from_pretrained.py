"""from_pretrained of every class: names, prefixes, files, and what it reports."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gpt_cases
import model_cases
import ptbert
from model_cases import flat_outputs
from ptbert import CONFIG_NAME, WEIGHTS_NAME, BertForSequenceClassification, BertModel
from support import TINY_CONFIG, assert_equal, seed_weights

State = dict[str, Tensor]

CLASSES = [*model_cases.CLASSES, *gpt_cases.CLASSES]
TRUNKS = {"bert": "BertModel", "openai-gpt": "OpenAIGPTModel", "gpt2": "GPT2Model"}
# The tied weights of a family: of the embeddings and of the decoder.
TIED = {
    "bert": ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    "openai-gpt": ("transformer.tokens_embed.weight", "lm_head.decoder.weight"),
    "gpt2": ("transformer.wte.weight", "lm_head.decoder.weight"),
}
TIED_CLASSES = ["BertForMaskedLM", "BertForPreTraining", "OpenAIGPTLMHeadModel"]
TIED_CLASSES += ["OpenAIGPTDoubleHeadsModel", "GPT2LMHeadModel", "GPT2DoubleHeadsModel"]
every_class = pytest.mark.parametrize("class_name", CLASSES)
every_trunk = pytest.mark.parametrize("class_name", TRUNKS.values())


def family_of(class_name: str) -> str:
    return "bert" if class_name.startswith("Bert") else gpt_cases.family_of(class_name)


def prefix_of(class_name: str) -> str:
    return "bert." if class_name.startswith("Bert") else "transformer."


def arguments_of(class_name: str) -> tuple[int, ...]:
    """The constructor's arguments after the configuration."""
    return (model_cases.SIZES[class_name],) if class_name in model_cases.SIZES else ()


def inputs_of(class_name: str) -> dict[str, Any]:
    if family_of(class_name) == "bert":
        return model_cases.model_inputs(model_cases.CASES_BY_KEY[f"{class_name}/full"])
    return gpt_cases.gpt_inputs(gpt_cases.CASES_BY_KEY[f"{class_name}/ids_only"])


def build(class_name: str) -> nn.Module:
    config: Any
    if family_of(class_name) == "bert":
        config = ptbert.BertConfig.from_dict(dict(TINY_CONFIG))
    elif family_of(class_name) == "gpt2":
        config = ptbert.GPT2Config.from_dict(dict(gpt_cases.TINY_GPT))
    else:
        config = ptbert.OpenAIGPTConfig.from_dict({**gpt_cases.TINY_GPT, "afn": "gelu"})
    model: nn.Module = getattr(ptbert, class_name)(config, *arguments_of(class_name))
    seed_weights(model)
    return model.eval()


def load(class_name: str, folder: str | Path, **options: Any) -> Any:
    arguments = arguments_of(class_name)
    return getattr(ptbert, class_name).from_pretrained(folder, *arguments, **options).eval()


def save(model: nn.Module, folder: Path, state: State | None = None) -> Path:
    """Saves as 2019's documentation says, with another state dict when one is given."""
    folder.mkdir(exist_ok=True)
    torch.save(model.state_dict() if state is None else state, folder / WEIGHTS_NAME)
    config: Any = model.config
    config.to_json_file(folder / CONFIG_NAME)
    return folder


def save_weights(state: State, path: Path) -> None:
    """Saves tensors of which none shares memory with another."""
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
    else:
        torch.save(state, path)


def without_decoder(state: State) -> State:
    return {name: t for name, t in state.items() if not name.endswith("decoder.weight")}


def without_prefix(class_name: str, state: State) -> State:
    prefix = prefix_of(class_name)
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


OLD_NAMES = [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")]
for layer in ("ln_1", "ln_2", "ln_f"):
    OLD_NAMES += [(f"{layer}.weight", f"{layer}.g"), (f"{layer}.bias", f"{layer}.b")]
for layer in ("c_attn", "c_proj", "c_fc"):
    OLD_NAMES += [(f"{layer}.weight", f"{layer}.w"), (f"{layer}.bias", f"{layer}.b")]


def old_names(state: State) -> State:
    """The names in checkpoints converted from TensorFlow in 2018."""
    renamed = {}
    for name, tensor in state.items():
        for new, old in OLD_NAMES:
            name = name.replace(new, old)
        renamed[name] = tensor
    return renamed


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("ptbert.") and record.levelno >= logging.WARNING
    ]


def missing(class_name: str, names: str) -> str:
    return f"`{class_name}`: weights not in the checkpoint, left at their initial values: {names}"


def unused(class_name: str, names: str) -> str:
    return f"`{class_name}`: weights of the checkpoint that were not used: {names}"


def assert_same_parameters(actual: nn.Module, expected: nn.Module) -> None:
    theirs = dict(expected.named_parameters())
    for name, parameter in actual.named_parameters():
        assert_equal(parameter, theirs[name])


# Round trips.


@every_class
def test_what_is_missing_and_what_comes_next_are_as_drawn(class_name: str, tmp_path: Path) -> None:
    """Although weights that the checkpoint has are not drawn."""
    model = build(class_name)
    state = without_decoder(model.state_dict())
    kept = {name: state[name] for i, name in enumerate(state) if i % 3 > 0}
    save(model, tmp_path, kept)
    torch.manual_seed(4)
    expected = getattr(ptbert, class_name)(model.config, *arguments_of(class_name))
    next_numbers = torch.rand(3)
    assert not expected.load_state_dict(kept, strict=False).unexpected_keys
    torch.manual_seed(4)
    loaded = load(class_name, tmp_path)
    assert torch.equal(torch.rand(3), next_numbers)
    assert_same_parameters(loaded, expected)


@every_class
def test_saved_model_is_reloaded_whole(
    class_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build(class_name)
    again = load(class_name, save(model, tmp_path))
    assert type(again) is type(model)
    assert again.config.to_dict() == model.config.to_dict()  # type: ignore[union-attr, operator]
    assert_same_parameters(again, model)
    inputs = inputs_of(class_name)
    for left, right in zip(
        flat_outputs(again(**inputs)), flat_outputs(model(**inputs)), strict=True
    ):
        assert_equal(left, right)
    assert warnings_of(caplog) == []


def test_path_may_be_a_string(tmp_path: Path) -> None:
    model = build("BertModel")
    assert_same_parameters(load("BertModel", str(save(model, tmp_path))), model)


def test_model_and_vocabulary_are_saved_in_one_folder(tmp_path: Path) -> None:
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n", encoding="utf-8")
    tokenizer = ptbert.BertTokenizer(str(vocabulary), do_lower_case=False)
    model = build("BertForSequenceClassification")
    folder = save(model, tmp_path / "saved")
    tokenizer.save_vocabulary(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "pytorch_model.bin",
        "vocab.txt",
    ]
    assert_same_parameters(load("BertForSequenceClassification", folder), model)
    again = ptbert.BertTokenizer.from_pretrained(str(folder), do_lower_case=False)
    assert again.convert_tokens_to_ids(["hello", "world"]) == [5, 6]


def test_weights_and_config_may_be_loaded_by_hand(tmp_path: Path) -> None:
    model = build("BertForQuestionAnswering")
    save(model, tmp_path)
    config = ptbert.BertConfig.from_json_file(tmp_path / CONFIG_NAME)
    again = ptbert.BertForQuestionAnswering(config)
    again.load_state_dict(torch.load(tmp_path / WEIGHTS_NAME, weights_only=True))
    assert_same_parameters(again, model)


def test_loaded_model_is_in_training_mode_and_trainable(tmp_path: Path) -> None:
    save(build("BertForMaskedLM"), tmp_path)
    model = ptbert.BertForMaskedLM.from_pretrained(tmp_path)
    # As in 2019: callers switch to evaluation themselves.
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


# Files.


@every_trunk
def test_legacy_file_of_2019_is_read(class_name: str, tmp_path: Path) -> None:
    model = build(class_name)
    save(model, tmp_path)
    torch.save(model.state_dict(), tmp_path / WEIGHTS_NAME, _use_new_zipfile_serialization=False)
    assert_same_parameters(load(class_name, tmp_path), model)


@every_class
@pytest.mark.parametrize("weights", [WEIGHTS_NAME, "model.safetensors"])
def test_shards_are_read(
    class_name: str, weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build(class_name)
    folder = save(model, tmp_path / "saved")
    (folder / WEIGHTS_NAME).unlink()
    state = without_decoder(model.state_dict())
    suffix = Path(weights).suffix
    shard_of = {name: f"model-{i % 3}-of-3{suffix}" for i, name in enumerate(state)}
    for shard in set(shard_of.values()):
        save_weights({n: t for n, t in state.items() if shard_of[n] == shard}, folder / shard)
    (folder / f"{weights}.index.json").write_text(json.dumps({"weight_map": shard_of}))
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "saved")
    for path in (folder, archive):
        assert_same_parameters(load(class_name, path), model)
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("class_name", [*TRUNKS.values(), *TIED_CLASSES])
def test_safetensors_file_is_read(class_name: str, tmp_path: Path) -> None:
    model = build(class_name)
    save(model, tmp_path)
    (tmp_path / WEIGHTS_NAME).unlink()
    # The format has no shared tensors: the tied decoder is left out, as other libraries do.
    save_weights(without_decoder(model.state_dict()), tmp_path / "model.safetensors")
    assert_same_parameters(load(class_name, tmp_path), model)


@every_trunk
def test_archive_is_read(class_name: str, tmp_path: Path) -> None:
    model = build(class_name)
    folder = save(model, tmp_path / "saved")
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for path in folder.iterdir():
            file.add(path, path.name)
    shutil.rmtree(folder)
    assert_same_parameters(load(class_name, archive), model)


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("BertModel", "bert_config.json"), ("OpenAIGPTModel", "openai_gpt_config.json")],
)
def test_config_may_have_its_name_of_2018(class_name: str, name: str, tmp_path: Path) -> None:
    model = build(class_name)
    save(model, tmp_path)
    (tmp_path / CONFIG_NAME).rename(tmp_path / name)
    assert_same_parameters(load(class_name, tmp_path), model)


def test_name_that_cannot_be_resolved_raises(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(OSError, match="nowhere"):
        BertModel.from_pretrained(nowhere)


def test_folder_without_config_raises(tmp_path: Path) -> None:
    save(build("BertModel"), tmp_path)
    (tmp_path / CONFIG_NAME).unlink()
    with pytest.raises(OSError, match=r"config\.json") as error:
        BertModel.from_pretrained(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_folder_without_weights_raises(tmp_path: Path) -> None:
    save(build("BertModel"), tmp_path)
    (tmp_path / WEIGHTS_NAME).unlink()
    with pytest.raises(OSError, match=r"pytorch_model\.bin") as error:
        BertModel.from_pretrained(tmp_path)
    assert "model.safetensors" in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_weights_raise(zipped: bool, tmp_path: Path) -> None:
    model = build("BertModel")
    save(model, tmp_path)
    weights = tmp_path / WEIGHTS_NAME
    torch.save(model.state_dict(), weights, _use_new_zipfile_serialization=zipped)
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises((OSError, ValueError), match=r"pytorch_model\.bin"):
        BertModel.from_pretrained(tmp_path)


class _Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("never-written",)


def test_pickled_code_in_the_weights_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(build("BertModel"), tmp_path)
    torch.save({"weight": _Payload()}, tmp_path / WEIGHTS_NAME)
    with pytest.raises((OSError, ValueError), match=r"pytorch_model\.bin"):
        BertModel.from_pretrained(tmp_path)
    assert not (tmp_path / "never-written").exists()


# Names in the checkpoint.


@every_class
@pytest.mark.parametrize("renamed", [False, True], ids=["names of today", "names of 2018"])
@pytest.mark.parametrize("prefix", [True, False], ids=["prefix", "no prefix"])
def test_trunk_is_loaded_whatever_its_names(
    class_name: str,
    prefix: bool,
    renamed: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = build(class_name)
    state: State = dict(model.state_dict())
    if class_name in TRUNKS.values() and prefix:
        state = {f"{prefix_of(class_name)}{name}": tensor for name, tensor in state.items()}
    elif not prefix:
        state = without_prefix(class_name, state)
    if renamed:
        state = old_names(state)
    assert_same_parameters(load(class_name, save(model, tmp_path, state)), model)
    assert warnings_of(caplog) == []


def test_pretraining_checkpoint_gives_the_bare_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build("BertForPreTraining")
    model = BertModel.from_pretrained(save(source, tmp_path))
    assert isinstance(source.bert, nn.Module)
    assert_same_parameters(model, source.bert)
    names = [name for name in source.state_dict() if name.startswith("cls.")]
    assert warnings_of(caplog) == [unused("BertModel", ", ".join(names))]


def test_bare_checkpoint_gives_a_classifier_with_a_new_head(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build("BertModel")
    folder = save(source, tmp_path)
    model: Any = BertForSequenceClassification.from_pretrained(folder, num_labels=3)
    assert_same_parameters(model.bert, source)
    assert model.classifier.weight.shape == (3, 32)
    assert_equal(model.classifier.bias, torch.zeros(3))
    assert 0.01 < model.classifier.weight.std().item() < 0.03
    assert warnings_of(caplog) == [
        missing("BertForSequenceClassification", "classifier.weight, classifier.bias")
    ]


def test_missing_and_unused_weights_are_reported_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build("BertForNextSentencePrediction")
    state = dict(source.state_dict())
    del state["bert.pooler.dense.bias"]
    state["extra.weight"] = torch.zeros(2)
    load("BertForQuestionAnswering", save(source, tmp_path, state))
    assert warnings_of(caplog) == [
        missing(
            "BertForQuestionAnswering",
            "bert.pooler.dense.bias, qa_outputs.weight, qa_outputs.bias",
        ),
        unused(
            "BertForQuestionAnswering",
            "cls.seq_relationship.weight, cls.seq_relationship.bias, extra.weight",
        ),
    ]


@pytest.mark.parametrize("class_name", TIED_CLASSES)
@pytest.mark.parametrize("saved", ["both", "embedding", "decoder"])
def test_decoder_and_embedding_are_one_parameter_after_loading(
    class_name: str, saved: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build(class_name)
    embedding, decoder = TIED[family_of(class_name)]
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    if saved != "both":
        del state[decoder if saved == "embedding" else embedding]
    model = load(class_name, save(source, tmp_path, state))
    weight = model.get_parameter(embedding)
    assert model.get_parameter(decoder) is weight
    assert_same_parameters(model, source)
    assert warnings_of(caplog) == []
    inputs = inputs_of(class_name)
    before = flat_outputs(model(**inputs))[0]
    with torch.no_grad():
        weight.mul_(2.0)
    after = flat_outputs(model(**inputs))[0]
    assert not torch.equal(before, after)


@pytest.mark.parametrize("class_name", TIED_CLASSES)
@pytest.mark.parametrize("given", ["file", "argument"])
def test_checkpoint_of_a_model_with_untied_weights_is_refused(
    class_name: str, given: str, tmp_path: Path
) -> None:
    source = build(class_name)
    embedding, decoder = TIED[family_of(class_name)]
    state = dict(source.state_dict())
    state[decoder] = state[decoder] + 1.0
    options: Any = {"state_dict": state} if given == "argument" else {}
    with pytest.raises(ValueError) as error:
        load(class_name, save(source, tmp_path, state), **options)
    assert str(error.value) == (
        f"`{embedding}` and `{decoder}` must be equal, as the model ties them, but differ in the "
        "checkpoint: it is of a model with untied weights."
    )
    # A model without the head ties nothing.
    trunk = load(TRUNKS[family_of(class_name)], tmp_path)
    loaded = trunk.get_parameter(embedding.removeprefix(prefix_of(class_name)))
    assert_equal(loaded, source.get_parameter(embedding))


@pytest.mark.parametrize(
    ("class_name", "name", "wrong", "right"),
    [
        ("BertModel", "pooler.dense.bias", [31], [32]),
        ("BertForSequenceClassification", "classifier.weight", [2, 32], [3, 32]),
        ("BertForMaskedLM", "bert.embeddings.position_embeddings.weight", [16, 32], [512, 32]),
        ("OpenAIGPTModel", "h.1.mlp.c_fc.bias", [63], [64]),
        ("GPT2LMHeadModel", "transformer.wpe.weight", [16, 16], [24, 16]),
    ],
)
def test_weight_of_another_shape_raises(
    class_name: str, name: str, wrong: list[int], right: list[int], tmp_path: Path
) -> None:
    model = build(class_name)
    state = {**model.state_dict(), name: torch.zeros(wrong)}
    with pytest.raises(ValueError) as error:
        load(class_name, save(model, tmp_path, state))
    assert str(error.value) == (
        f"`{name}` must be of shape {right}, but is of shape {wrong} in the checkpoint."
    )


def test_two_weights_of_another_shape_are_both_named(tmp_path: Path) -> None:
    model = build("BertModel")
    state = dict(model.state_dict())
    state["pooler.dense.bias"] = torch.zeros(31)
    state["pooler.dense.weight"] = torch.zeros(32, 31)
    with pytest.raises(ValueError) as error:
        load("BertModel", save(model, tmp_path, state))
    assert str(error.value).splitlines() == [
        "`pooler.dense.weight` must be of shape [32, 32], but is of shape [32, 31] in the "
        "checkpoint.",
        "`pooler.dense.bias` must be of shape [32], but is of shape [31] in the checkpoint.",
    ]


# Arguments.


@pytest.mark.parametrize(
    "class_name", ["BertForSequenceClassification", "OpenAIGPTLMHeadModel", "GPT2DoubleHeadsModel"]
)
def test_state_dict_takes_the_place_of_the_file(class_name: str, tmp_path: Path) -> None:
    model = build(class_name)
    other = {name: torch.full_like(tensor, 0.5) for name, tensor in model.state_dict().items()}
    folder = save(model, tmp_path)
    again = load(class_name, folder, state_dict=OrderedDict(other))
    for name, parameter in again.named_parameters():
        assert_equal(parameter.detach(), other[name])


@every_trunk
def test_state_dict_needs_no_weights_file(class_name: str, tmp_path: Path) -> None:
    model = build(class_name)
    (save(model, tmp_path) / WEIGHTS_NAME).unlink()
    assert_same_parameters(load(class_name, tmp_path, state_dict=model.state_dict()), model)


@pytest.mark.parametrize(
    "class_name", ["BertForSequenceClassification", "OpenAIGPTLMHeadModel", "GPT2DoubleHeadsModel"]
)
def test_state_dict_is_neither_changed_nor_shared(class_name: str, tmp_path: Path) -> None:
    model = build(class_name)
    state = old_names({name: t.clone() for name, t in model.state_dict().items()})
    copies = {name: tensor.clone() for name, tensor in state.items()}
    again = load(class_name, save(model, tmp_path), state_dict=state)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.add_(1.0)
    assert list(state) == list(copies)
    for name, tensor in state.items():
        assert_equal(tensor, copies[name])


@every_trunk
def test_state_dict_of_half_precision_is_loaded_in_single(class_name: str, tmp_path: Path) -> None:
    model = build(class_name)
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    again = load(class_name, save(model, tmp_path, state))
    for name, parameter in again.named_parameters():
        assert_equal(parameter.detach(), state[name].float())


@pytest.mark.parametrize("positional", [True, False])
def test_model_arguments_are_handed_on(tmp_path: Path, positional: bool) -> None:
    folder = save(build("BertModel"), tmp_path)
    classifier: Any
    if positional:
        classifier = ptbert.BertForTokenClassification.from_pretrained(folder, 5)
        chooser = ptbert.BertForMultipleChoice.from_pretrained(folder, 4)
    else:
        classifier = ptbert.BertForTokenClassification.from_pretrained(folder, num_labels=5)
        chooser = ptbert.BertForMultipleChoice.from_pretrained(folder, num_choices=4)
    assert classifier.num_labels == classifier.classifier.out_features == 5
    assert chooser.num_choices == 4


def test_head_of_the_user_s_own_is_loaded(tmp_path: Path) -> None:
    class Tagger(ptbert.modeling.BertPreTrainedModel):
        def __init__(self, config: ptbert.BertConfig, tags: int) -> None:
            super().__init__(config)
            self.bert = BertModel(config)
            self.tagger = nn.Linear(config.hidden_size, tags)
            self.apply(self.init_bert_weights)

        def forward(self, input_ids: Tensor) -> Any:
            hidden, _ = self.bert(input_ids, output_all_encoded_layers=False)
            return self.tagger(hidden)

    source = build("BertModel")
    tagger = Tagger.from_pretrained(save(source, tmp_path), tags=7)
    assert isinstance(tagger, Tagger)
    assert_same_parameters(tagger.bert, source)
    assert tagger.eval()(torch.tensor([[1, 2, 3]])).shape == (1, 3, 7)
    again = Tagger.from_pretrained(save(tagger, tmp_path / "tagger"), 7)
    assert_same_parameters(again, tagger)


@every_trunk
def test_config_of_the_folder_keeps_its_unknown_keys(class_name: str, tmp_path: Path) -> None:
    folder = save(build(class_name), tmp_path)
    fields = {**json.loads((folder / CONFIG_NAME).read_text()), "model_type": "any"}
    (folder / CONFIG_NAME).write_text(json.dumps(fields))
    assert load(class_name, folder).config.to_dict() == fields


def test_shortcut_names_are_those_of_2019() -> None:
    assert set(ptbert.modeling_gpt2.PRETRAINED_MODEL_ARCHIVE_MAP) == {"gpt2", "gpt2-medium"}
    assert set(ptbert.modeling_openai.PRETRAINED_MODEL_ARCHIVE_MAP) == {"openai-gpt"}
    names = ptbert.modeling.PRETRAINED_MODEL_ARCHIVE_MAP
    assert {
        "bert-base-uncased",
        "bert-large-uncased",
        "bert-base-cased",
        "bert-large-cased",
        "bert-base-multilingual-uncased",
        "bert-base-multilingual-cased",
        "bert-base-chinese",
        "bert-base-german-cased",
        "bert-large-uncased-whole-word-masking",
        "bert-large-cased-whole-word-masking",
        "bert-large-uncased-whole-word-masking-finetuned-squad",
        "bert-large-cased-whole-word-masking-finetuned-squad",
        "bert-base-cased-finetuned-mrpc",
    } == set(names)
