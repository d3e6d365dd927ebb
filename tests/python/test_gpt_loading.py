"""Loading of GPT and GPT-2: published files, special tokens, and round trips with
pytorch-pretrained-bert 0.6.2 and transformers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import Tensor, nn

import ptbert
from gpt_cases import CASES_BY_KEY, CLASSES, MODELS, TINY_GPT, family_of, gpt_inputs
from model_cases import flat_outputs
from ptbert import CONFIG_NAME, WEIGHTS_NAME, GPT2LMHeadModel
from support import assert_close, assert_equal, import_or_skip, seed_weights

State = dict[str, Tensor]

CONFIGS = {"openai-gpt": "OpenAIGPTConfig", "gpt2": "GPT2Config"}
EMBEDDINGS = {"openai-gpt": "tokens_embed.weight", "gpt2": "wte.weight"}
LM_CLASSES = ["OpenAIGPTLMHeadModel", "GPT2LMHeadModel"]
HEAD_CLASSES = [*LM_CLASSES, "OpenAIGPTDoubleHeadsModel", "GPT2DoubleHeadsModel"]
VOCABULARY = TINY_GPT["vocab_size"]
every_class = pytest.mark.parametrize("class_name", CLASSES)
every_lm = pytest.mark.parametrize("class_name", LM_CLASSES)
every_head = pytest.mark.parametrize("class_name", HEAD_CLASSES)
# What the other libraries warn about is not this project's business.
of_others = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def original() -> Any:
    return import_or_skip("pytorch_pretrained_bert")


@pytest.fixture(scope="module")
def transformers() -> Any:
    return import_or_skip("transformers")


def build(class_name: str, library: Any = ptbert, **fields: Any) -> Any:
    """A model of ptbert or of the original, which share their constructors."""
    family = family_of(class_name)
    afn = {"afn": "gelu"} if family == "openai-gpt" else {}
    config = getattr(library, CONFIGS[family]).from_dict({**TINY_GPT, **afn, **fields})
    model = getattr(library, class_name)(config)
    seed_weights(model)
    return model.eval()


def save(model: Any, folder: Path, state: State | None = None) -> Path:
    """Saves as 2019's documentation says, with another state dict when one is given."""
    folder.mkdir(exist_ok=True)
    torch.save(model.state_dict() if state is None else state, folder / WEIGHTS_NAME)
    model.config.to_json_file(str(folder / CONFIG_NAME))
    return folder


def load(class_name: str, folder: str | Path, library: Any = ptbert, **options: Any) -> Any:
    return getattr(library, class_name).from_pretrained(str(folder), **options).eval()


def embedding_of(model: Any) -> Tensor:
    trunk = getattr(model, "transformer", model)
    weight: Tensor = trunk.get_parameter(trunk._embeddings + ".weight")
    return weight


def outputs_of(model: Any, class_name: str) -> list[Tensor]:
    with torch.no_grad():
        return flat_outputs(model(**gpt_inputs(CASES_BY_KEY[f"{class_name}/ids_only"])))


def lm_scores(model: Any, ids: Tensor) -> Tensor:
    """The scores of a language model of ptbert, the original or transformers."""
    with torch.no_grad():
        output = model.eval()(ids)
    if isinstance(output, Tensor):
        return output
    scores: Tensor = output[0]
    return scores


def assert_all_close(actual: list[Tensor], expected: list[Tensor]) -> None:
    for left, right in zip(actual, expected, strict=True):
        assert_close(left, right)


def assert_same_parameters(actual: nn.Module, expected: nn.Module) -> None:
    theirs = dict(expected.named_parameters())
    assert list(theirs) == [name for name, _ in actual.named_parameters()]
    for name, parameter in actual.named_parameters():
        assert_equal(parameter, theirs[name])


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("ptbert.") and record.levelno >= logging.WARNING
    ]


# Published files


def today(state: State) -> State:
    """The names that transformers gives; its heads have no module around the decoder."""
    renamed = {
        name.replace("lm_head.decoder", "lm_head"): tensor
        for name, tensor in state.items()
        if not name.endswith(".attn.bias")
    }
    return {name: tensor.clone() for name, tensor in renamed.items()}


def with_masks(state: State, dtype: torch.dtype) -> State:
    size = TINY_GPT["n_positions"]
    masks = {}
    for layer in range(TINY_GPT["n_layer"]):
        mask = torch.ones(size, size).tril().view(1, 1, size, size).to(dtype)
        masks[f"transformer.h.{layer}.attn.bias"] = mask
        masks[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return {**state, **masks}


def without(state: State, *endings: str) -> State:
    return {name: tensor for name, tensor in state.items() if not name.endswith(endings)}


def bare(state: State) -> State:
    return {name.removeprefix("transformer."): tensor for name, tensor in state.items()}


def of_2018(state: State) -> State:
    """The names of OpenAI, kept by the first converted checkpoints."""
    renamed = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        if layer.endswith(("ln_1", "ln_2", "ln_f")):
            name = f"{layer}.{'g' if kind == 'weight' else 'b'}"
        elif layer.endswith(("c_attn", "c_proj", "c_fc")):
            name = f"{layer}.{'w' if kind == 'weight' else 'b'}"
        renamed[name] = tensor
    return renamed


PUBLISHED: dict[str, Callable[[State], State]] = {
    "2019": lambda state: state,
    "2019 without the head": lambda state: without(bare(state), "decoder.weight"),
    "2018": lambda state: bare(of_2018(state)),
    "transformers 2": lambda state: with_masks(today(state), torch.uint8),
    "transformers 4": lambda state: with_masks(today(state), torch.bool),
    "transformers 5": lambda state: without(today(state), "lm_head.weight"),
    "gpt2": lambda state: bare(with_masks(without(today(state), "lm_head.weight"), torch.float32)),
    "old names in a wrapper": lambda state: {f"module.{n}": t for n, t in of_2018(state).items()},
}


@every_lm
@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_names_load(
    class_name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build(class_name)
    folder = save(source, tmp_path, PUBLISHED[kind](dict(source.state_dict())))
    model = load(class_name, folder)
    assert_same_parameters(model, source)
    assert warnings_of(caplog) == []
    for mine, theirs in zip(model.buffers(), source.buffers(), strict=True):
        assert_equal(mine, theirs)
    assert_all_close(outputs_of(model, class_name), outputs_of(source, class_name))


@every_lm
def test_untied_names_of_today_are_named(class_name: str, tmp_path: Path) -> None:
    source = build(class_name)
    state = today(dict(source.state_dict()))
    state["lm_head.weight"] += 1.0
    embedding = f"transformer.{EMBEDDINGS[family_of(class_name)]}"
    with pytest.raises(ValueError) as error:
        load(class_name, save(source, tmp_path, state))
    assert str(error.value) == (
        f"`{embedding}` and `lm_head.weight` must be equal, as the model ties them, but differ in "
        "the checkpoint: it is of a model with untied weights."
    )


@every_head
def test_checkpoint_with_a_head_gives_the_trunk(
    class_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build(class_name)
    trunk = MODELS[family_of(class_name)][0]
    assert_same_parameters(load(trunk, save(source, tmp_path)), source.transformer)
    unused = [name for name in source.state_dict() if not name.startswith("transformer.")]
    assert warnings_of(caplog) == [
        f"`{trunk}`: weights of the checkpoint that were not used: {', '.join(unused)}"
    ]


@pytest.mark.parametrize("class_name", ["OpenAIGPTDoubleHeadsModel", "GPT2DoubleHeadsModel"])
def test_new_head_is_named(
    class_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build(MODELS[family_of(class_name)][1])
    model = load(class_name, save(source, tmp_path))
    assert_same_parameters(model.transformer, source.transformer)
    assert warnings_of(caplog) == [
        f"`{class_name}`: weights not in the checkpoint, left at their initial values: "
        "multiple_choice_head.linear.weight, multiple_choice_head.linear.bias"
    ]


@pytest.mark.parametrize(
    ("name", "repository", "class_name"),
    [
        ("openai-gpt", "openai-community/openai-gpt", "OpenAIGPTLMHeadModel"),
        ("gpt2", "openai-community/gpt2", "GPT2LMHeadModel"),
        ("gpt2-medium", "openai-community/gpt2-medium", "GPT2DoubleHeadsModel"),
        ("gpt2-large", "openai-community/gpt2-large", "GPT2Model"),
        ("gpt2-xl", "openai-community/gpt2-xl", "GPT2LMHeadModel"),
        ("distilgpt2", "distilbert/distilgpt2", "GPT2LMHeadModel"),
        ("someone/fine-tuned", "someone/fine-tuned", "OpenAIGPTModel"),
    ],
)
def test_names_are_found_on_the_hub(
    name: str, repository: str, class_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = build(class_name)
    folder = save(source, tmp_path / "hub")
    asked = []

    def download(repo_id: str, filename: str, **options: Any) -> str:
        asked.append(repo_id)
        if not (folder / filename).exists():
            raise LocalEntryNotFoundError(filename)
        return str(folder / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.chdir(tmp_path)
    model = load(class_name, name, cache_dir=tmp_path / "cache")
    assert_same_parameters(model, source)
    assert set(asked) == {repository}


def test_directory_comes_before_a_name_that_is_not_of_2019(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = build("GPT2Model")
    save(source, tmp_path / "distilgpt2")
    monkeypatch.chdir(tmp_path)
    assert_same_parameters(load("GPT2Model", "distilgpt2"), source)


def test_name_of_the_other_family_is_refused(tmp_path: Path) -> None:
    message = r"`gpt2` must be the name of a openai-gpt model \(openai-gpt\), but belongs to gpt2\."
    with pytest.raises(OSError, match=message):
        load("OpenAIGPTModel", "gpt2", cache_dir=tmp_path)


# Special tokens


@every_head
@pytest.mark.parametrize("predict", [True, False])
def test_special_tokens_are_saved_and_loaded(
    class_name: str, predict: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = build(class_name)
    source.set_num_special_tokens(3, predict)
    folder = save(source, tmp_path)
    for options in ({}, {"num_special_tokens": 3}):
        model = load(class_name, folder, **options)
        assert_same_parameters(model, source)
        assert model.config.to_dict() == source.config.to_dict()
        assert model.lm_head.decoder.weight is embedding_of(model)
        outputs = outputs_of(model, class_name)
        assert outputs[0].size(-1) == VOCABULARY + (3 if predict else 0)
        assert_all_close(outputs, outputs_of(source, class_name))
    assert warnings_of(caplog) == []


@every_class
def test_special_tokens_are_added_to_a_checkpoint_without(class_name: str, tmp_path: Path) -> None:
    source = build(class_name)
    model = load(class_name, save(source, tmp_path), num_special_tokens=2)
    assert model.config.n_special == 2
    weight = embedding_of(model)
    assert weight.shape == (VOCABULARY + 2, TINY_GPT["n_embd"])
    assert_equal(weight[:VOCABULARY], embedding_of(source))
    assert weight[VOCABULARY:].abs().max() > 0
    # Again with what was added.
    assert_same_parameters(load(class_name, save(model, tmp_path / "again")), model)


@every_head
@pytest.mark.parametrize("number", [0, 1, 5])
def test_another_number_of_special_tokens_keeps_the_vocabulary(
    class_name: str, number: int, tmp_path: Path
) -> None:
    source = build(class_name, n_special=3, predict_special_tokens=False)
    model = load(class_name, save(source, tmp_path), num_special_tokens=number)
    weight = embedding_of(model)
    assert weight.size(0) == VOCABULARY + number
    assert_equal(weight[:VOCABULARY], embedding_of(source)[:VOCABULARY])
    assert model.lm_head.decoder.weight is weight
    assert model.config.predict_special_tokens is False
    assert outputs_of(model, class_name)[0].size(-1) == VOCABULARY


@every_class
def test_negative_number_of_special_tokens_is_refused(class_name: str, tmp_path: Path) -> None:
    folder = save(build(class_name), tmp_path)
    with pytest.raises(ValueError, match="`num_special_tokens` must be at least 0, but is -1"):
        load(class_name, folder, num_special_tokens=-1)


@every_lm
def test_checkpoint_with_more_embeddings_than_its_config_says_is_refused(
    class_name: str, tmp_path: Path
) -> None:
    folder = save(build(class_name, n_special=3), tmp_path)
    fields = json.loads((folder / CONFIG_NAME).read_text())
    (folder / CONFIG_NAME).write_text(json.dumps({**fields, "n_special": 0}))
    embedding = f"transformer.{EMBEDDINGS[family_of(class_name)]}"
    with pytest.raises(ValueError) as error:
        load(class_name, folder)
    assert str(error.value).splitlines() == [
        f"`{name}` must be of shape [49, 16], but is of shape [52, 16] in the checkpoint."
        for name in (embedding, "lm_head.decoder.weight")
    ]


# Arguments and subclasses


@every_lm
def test_state_dict_and_special_tokens_go_together(class_name: str, tmp_path: Path) -> None:
    source = build(class_name, n_special=2)
    folder = save(source, tmp_path)
    (folder / WEIGHTS_NAME).unlink()
    state = dict(source.state_dict())
    assert_same_parameters(load(class_name, folder, state_dict=state), source)
    model = load(class_name, folder, state_dict=state, num_special_tokens=4)
    assert_equal(embedding_of(model)[:VOCABULARY], embedding_of(source)[:VOCABULARY])
    assert list(state) == list(source.state_dict())


@every_class
def test_options_of_the_constructor_are_handed_on(class_name: str, tmp_path: Path) -> None:
    folder = save(build(class_name), tmp_path)
    model = load(class_name, folder, output_attentions=True, keep_multihead_output=True)
    assert model.output_attentions
    plain = load(class_name, folder)
    attentions = outputs_of(model, class_name)[: TINY_GPT["n_layer"]]
    assert_all_close(
        outputs_of(model, class_name)[TINY_GPT["n_layer"] :], outputs_of(plain, class_name)
    )
    assert all(one.size(-1) == one.size(-2) for one in attentions)
    with pytest.raises(TypeError, match="num_labels"):
        load(class_name, folder, num_labels=2)


@pytest.mark.parametrize("family", MODELS)
def test_head_of_the_user_s_own_is_loaded(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trunk_name = MODELS[family][0]
    base: Any = {
        "openai-gpt": ptbert.modeling_openai.OpenAIGPTPreTrainedModel,
        "gpt2": ptbert.modeling_gpt2.GPT2PreTrainedModel,
    }[family]

    class Scorer(base):  # type: ignore[misc]
        def __init__(self, config: Any, choices: int = 2) -> None:
            super().__init__(config)
            self.transformer = getattr(ptbert, trunk_name)(config)
            self.score = nn.Linear(config.n_embd, choices)
            self.apply(self.init_weights)

        def set_num_special_tokens(self, num_special_tokens: int) -> None:
            self.transformer.set_num_special_tokens(num_special_tokens)

        def forward(self, input_ids: Tensor) -> Any:
            hidden = self.transformer(input_ids)
            return self.score((hidden[0] if family == "gpt2" else hidden)[-1][:, -1])

    source = build(trunk_name)
    scorer = Scorer.from_pretrained(save(source, tmp_path), choices=5)
    assert_same_parameters(scorer.transformer, source)
    assert warnings_of(caplog) == [
        "`Scorer`: weights not in the checkpoint, left at their initial values: score.weight, "
        "score.bias"
    ]
    assert scorer.eval()(torch.tensor([[1, 2, 3]])).shape == (1, 5)
    again = Scorer.from_pretrained(save(scorer, tmp_path / "scorer"), 5)
    assert_same_parameters(again, scorer)
    more = Scorer.from_pretrained(tmp_path / "scorer", 5, num_special_tokens=2)
    assert embedding_of(more).size(0) == VOCABULARY + 2


def test_model_and_tokenizer_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"l": 0, "o": 1, "lo": 2}', encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nl o\n", encoding="utf-8")
    tokenizer = ptbert.GPT2Tokenizer.from_pretrained(str(tmp_path))
    folder = save(build("GPT2LMHeadModel"), tmp_path / "saved")
    tokenizer.save_vocabulary(str(folder))
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    again = ptbert.GPT2Tokenizer.from_pretrained(str(folder))
    assert lm_scores(model, torch.tensor([again.encode("lo")])).shape == (1, 1, VOCABULARY)
    assert {path.name for path in folder.iterdir()} >= {"vocab.json", "merges.txt", WEIGHTS_NAME}


# Round trips with pytorch-pretrained-bert 0.6.2


# Its GPT-2 has no special tokens.
every_class_of_2019 = pytest.mark.parametrize(
    ("class_name", "n_special"),
    [(name, 0) for name in CLASSES] + [(name, 3) for name in MODELS["openai-gpt"]],
)


def outputs_of_2019(model: Any, class_name: str) -> list[Tensor]:
    """Without the hidden states of the lower layers, which a trunk of 0.6.2 does not return."""
    outputs = outputs_of(model, class_name)
    if class_name in LM_CLASSES or "DoubleHeads" in class_name:
        return outputs
    presents = [one for one in outputs if one.dim() == 5]
    hidden_states = [one for one in outputs if one.dim() == 3]
    return [hidden_states[-1], *presents]


@of_others
@every_class_of_2019
def test_original_loads_what_ptbert_saved(
    class_name: str, n_special: int, original: Any, tmp_path: Path
) -> None:
    model = build(class_name, n_special=n_special)
    theirs = load(class_name, save(model, tmp_path), original)
    assert list(theirs.state_dict()) == list(model.state_dict())
    assert_all_close(outputs_of_2019(model, class_name), outputs_of_2019(theirs, class_name))


@of_others
@every_class_of_2019
def test_ptbert_loads_what_the_original_saved(
    class_name: str,
    n_special: int,
    original: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    theirs = build(class_name, original, n_special=n_special)
    model = load(class_name, save(theirs, tmp_path))
    assert warnings_of(caplog) == []
    assert_all_close(outputs_of_2019(model, class_name), outputs_of_2019(theirs, class_name))


# Round trips with transformers

IDS = torch.tensor([[1, 2, 3, 4], [5, 48, 0, 7]])


def make_transformers(transformers: Any, class_name: str, **fields: Any) -> Any:
    sizes = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    config_class = getattr(transformers, CONFIGS[family_of(class_name)])
    tokens = {"bos_token_id": 0, "eos_token_id": 0} if family_of(class_name) == "gpt2" else {}
    config = config_class(**{name: TINY_GPT[name] for name in sizes}, **tokens, **fields)
    model = getattr(transformers, class_name)(config)
    seed_weights(model)
    return model.eval()


@of_others
@every_lm
def test_transformers_loads_what_ptbert_saved(
    class_name: str, transformers: Any, tmp_path: Path
) -> None:
    model = build(class_name)
    theirs = load(class_name, save(model, tmp_path), transformers)
    assert_close(lm_scores(theirs, IDS), lm_scores(model, IDS))


@of_others
@every_lm
@pytest.mark.parametrize("size", ["1GB", "5KB"])
def test_ptbert_loads_what_transformers_saved(
    class_name: str,
    size: str,
    transformers: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    theirs = make_transformers(transformers, class_name)
    theirs.save_pretrained(tmp_path, max_shard_size=size)
    assert (tmp_path / "model.safetensors.index.json").exists() is (size == "5KB")
    model = load(class_name, tmp_path)
    assert warnings_of(caplog) == []
    assert_close(lm_scores(model, IDS), lm_scores(theirs, IDS))
    # And back: what transformers alone knows stays in the configuration.
    (tmp_path / "again").mkdir()
    again = load(class_name, save(model, tmp_path / "again"), transformers)
    assert_close(lm_scores(again, IDS), lm_scores(theirs, IDS))
    before, after = theirs.config.to_dict(), again.config.to_dict()
    assert {n for n, value in before.items() if after[n] != value} <= {"_name_or_path"}


@of_others
def test_width_of_the_feed_forward_layer_follows_today_s_config(
    transformers: Any, tmp_path: Path
) -> None:
    theirs = make_transformers(transformers, "GPT2LMHeadModel", n_inner=24)
    theirs.save_pretrained(tmp_path)
    model = load("GPT2LMHeadModel", tmp_path)
    assert model.transformer.h[0].mlp.c_fc.weight.shape == (16, 24)
    assert_close(lm_scores(model, IDS), lm_scores(theirs, IDS))


@of_others
def test_untied_model_of_transformers_is_refused(transformers: Any, tmp_path: Path) -> None:
    theirs = make_transformers(transformers, "GPT2LMHeadModel", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`tie_word_embeddings`"):
        load("GPT2LMHeadModel", tmp_path)
