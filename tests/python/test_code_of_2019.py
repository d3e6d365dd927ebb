"""What code of 2019 does beside the documented API, kind by kind, takes effect or raises."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
from model_cases import flat_outputs
from ptbert import BertConfig, modeling, optimization
from support import assert_close, assert_equal, seed_weights
from test_parity_table import ROWS, find

# Positional in all code that was seen; today's names are those of nn.LayerNorm and of GPT's.
RENAMED = {
    ("modeling.BertLayerNorm", "forward", "x"),
    ("tokenization_gpt2.GPT2Tokenizer", "decode", "tokens"),
}
CASES_OF_MODELS: dict[str, tuple[int, ...]] = {
    "BertForMaskedLM": (),
    "BertForMultipleChoice": (3,),
    "BertForNextSentencePrediction": (),
    "BertForPreTraining": (),
    "BertForQuestionAnswering": (),
    "BertForSequenceClassification": (3,),
    "BertForTokenClassification": (3,),
    "BertModel": (),
}

IDS = torch.tensor([[5, 7, 11, 2], [3, 1, 4, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


def model_of(name: str, config: BertConfig, *arguments: Any) -> Any:
    model = getattr(ptbert, name)(config, *arguments)
    seed_weights(model)
    return model.eval()


# Names and methods of earlier releases


def test_names_of_earlier_releases_are_here() -> None:
    assert modeling.PreTrainedBertModel is modeling.BertPreTrainedModel
    assert modeling.TF_WEIGHTS_NAME == "model.ckpt"
    for step in range(12):
        progress = step / 10
        schedule = optimization.WarmupLinearSchedule(warmup=0.2, t_total=10)
        rate = optimization.warmup_linear(progress, 0.2)
        assert rate == pytest.approx(schedule.get_lr(step, nowarn=True))
    assert optimization.warmup_constant(0.5, 0.2) == 1.0
    assert optimization.warmup_cosine(1.0, 0.2) == pytest.approx(0.0)


def test_subclass_splits_heads_by_transpose_for_scores(tiny_config: BertConfig) -> None:
    class Mine(modeling.BertSelfAttention):
        def forward(
            self, hidden_states: Tensor, attention_mask: Any = None, head_mask: Any = None
        ) -> Tensor:
            parts: Any = self
            query = self.transpose_for_scores(parts.query(hidden_states))
            key = self.transpose_for_scores(parts.key(hidden_states))
            value = self.transpose_for_scores(parts.value(hidden_states))
            scores = query @ key.transpose(-1, -2) / self.attention_head_size**0.5
            weights = parts.dropout((scores + attention_mask).softmax(-1))
            return (weights @ value).permute(0, 2, 1, 3).flatten(2)

    model = model_of("BertModel", tiny_config)
    expected = model(IDS, attention_mask=MASK)
    for layer in model.encoder.layer:
        mine = Mine(tiny_config).eval()
        mine.load_state_dict(layer.attention.self.state_dict())
        layer.attention.self = mine
    assert_close(model(IDS, attention_mask=MASK)[1], expected[1])


def test_forward_of_a_foreign_object_says_what_to_do(tiny_config: BertConfig) -> None:
    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = tiny_config
            self.embeddings = modeling.BertEmbeddings(tiny_config)

    with pytest.raises(TypeError) as error:
        ptbert.BertModel.forward(Foreign(), IDS)  # type: ignore[arg-type]
    assert str(error.value) == (
        "`self` must be a module of this package, but is a Foreign: derive its class from the one "
        "whose `forward` it calls."
    )


CLASSES_OF_2019 = [
    row.name
    for row in ROWS
    if row.status == "yes" and "." in row.name and isinstance(find(row.name), type)
]


# Steps of Transformer-XL that its classes called and nobody else; C++ has them as one.
STEPS_IN_CPP = {"_parallelogram_mask", "_shift", "_rel_shift", "_compute_logit"}
STEPS_IN_CPP |= {"_forward", "_update_mems"}


@pytest.mark.parametrize("name", CLASSES_OF_2019)
def test_class_has_the_attributes_and_arguments_of_2019(name: str) -> None:
    module_name, _, class_name = name.rpartition(".")
    pytest.importorskip("pytorch_pretrained_bert")
    module = importlib.import_module(f"pytorch_pretrained_bert.{module_name}")
    theirs, ours = getattr(module, class_name, object), find(name)
    for attribute, value in vars(theirs).items():
        if attribute in ("__dict__", "__weakref__") or attribute in STEPS_IN_CPP:
            continue
        assert hasattr(ours, attribute), attribute
        if inspect.isfunction(value):
            arguments = [
                (name, attribute, argument)
                for argument, parameter in inspect.signature(value).parameters.items()
                if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            ]
            here = inspect.signature(getattr(ours, attribute)).parameters
            assert {a for a in arguments if a[2] not in here} <= RENAMED, attribute


@pytest.mark.parametrize("class_name", sorted(CASES_OF_MODELS))
def test_part_has_the_attributes_of_2019(class_name: str, tiny_fields: dict[str, Any]) -> None:
    pytest.importorskip("pytorch_pretrained_bert")
    module: Any = importlib.import_module("pytorch_pretrained_bert.modeling")
    arguments = CASES_OF_MODELS[class_name]
    theirs = getattr(module, class_name)(module.BertConfig.from_dict(tiny_fields), *arguments)
    ours = getattr(modeling, class_name)(BertConfig.from_dict(tiny_fields), *arguments)
    for path, part in theirs.named_modules():
        mine = ours.get_submodule(path)
        assert [name for name in vars(part) if not hasattr(mine, name)] == [], path


# Head masks by layer


def test_encoder_takes_a_list_of_head_masks(tiny_config: BertConfig) -> None:
    encoder = model_of("BertModel", tiny_config).encoder
    states, mask = torch.rand(2, 4, 32), torch.zeros(2, 1, 1, 4)
    one = torch.tensor([1.0, 0, 1, 0]).view(1, 4, 1, 1)
    plain = encoder(states, mask)
    for nothing in ([None, None], (None, None), []):
        assert_equal(encoder(states, mask, head_mask=nothing)[-1], plain[-1])
    both = torch.stack([torch.ones(1, 4, 1, 1), one])
    expected = encoder(states, mask, head_mask=both)
    assert_equal(encoder(states, mask, head_mask=[None, one])[-1], expected[-1])
    assert not torch.allclose(expected[-1], plain[-1], atol=1e-3)


def test_head_masks_that_do_not_fit_are_refused(tiny_config: BertConfig) -> None:
    encoder = modeling.BertEncoder(tiny_config)
    states, one = torch.rand(2, 4, 32), torch.ones(1, 4, 1, 1)
    with pytest.raises(
        TypeError, match=r"`head_mask\[...\]` must be a torch\.Tensor, but is an int"
    ):
        encoder(states, head_mask=[1, None])
    with pytest.raises(ValueError, match="`head_mask` must have a row for each of 2 layers, but h"):
        encoder(states, head_mask=[one, one, None])
    with pytest.raises(ValueError, match="`head_mask` of an encoder must be of shape"):
        encoder(states, head_mask=[torch.ones(4), None])


# Names that are put in the place of ours


@pytest.fixture
def activations() -> Iterator[dict[str, Any]]:
    before = dict(modeling.ACT2FN)
    yield modeling.ACT2FN
    modeling.ACT2FN.clear()
    modeling.ACT2FN.update(before)


@pytest.mark.parametrize("name", ["mine", "gelu"])
def test_activation_that_is_added_or_replaced_takes_effect(
    name: str, tiny_fields: dict[str, Any], activations: dict[str, Any]
) -> None:
    function = nn.Softplus()
    by_function = BertConfig.from_dict({**tiny_fields, "hidden_act": function})
    expected = model_of("BertForMaskedLM", by_function)(IDS)
    activations[name] = function
    by_name = BertConfig.from_dict({**tiny_fields, "hidden_act": name})
    assert_equal(model_of("BertForMaskedLM", by_name)(IDS), expected)


def test_activation_that_is_not_there_is_refused(tiny_fields: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match='or a callable, but is "mine"'):
        ptbert.BertModel(BertConfig.from_dict({**tiny_fields, "hidden_act": "mine"}))


class DoubledNorm(nn.Module):
    def __init__(self, hidden_size: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return 2 * nn.functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


def test_layer_norm_that_is_replaced_takes_effect(
    tiny_config: BertConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modeling, "BertLayerNorm", DoubledNorm)
    model: Any = ptbert.BertForMaskedLM(tiny_config).eval()
    norms = [module for module in model.modules() if isinstance(module, DoubledNorm)]
    assert len(norms) == 6  # of embeddings, head and two in each layer
    assert not any(type(module).__name__ == "BertLayerNorm" for module in model.modules())
    before = model(IDS)
    with torch.no_grad():
        norms[0].weight.mul_(3)
    assert not torch.allclose(model(IDS), before, atol=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "BertEmbeddings",
        "BertSelfAttention",
        "BertLayer",
        "BertPooler",
        "BertEncoder",
        "BertModel",
        "BertIntermediate",
        "BertPredictionHeadTransform",
    ],
)
def test_part_that_is_replaced_takes_effect(
    name: str, tiny_config: BertConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    base: Any = getattr(modeling, name)
    calls = []

    class Mine(base):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return super().forward(*args, **kwargs)

    monkeypatch.setattr(modeling, name, Mine)
    model: Any = modeling.BertForPreTraining(tiny_config).eval()
    count = sum(isinstance(module, Mine) for module in model.modules())
    assert count == (2 if name in ("BertLayer", "BertSelfAttention", "BertIntermediate") else 1)
    spread = [module for module in model.modules() if type(module) is nn.Linear]
    assert all(float(linear.weight.detach().std()) < 0.03 for linear in spread)  # initialised
    model(IDS)
    assert len(calls) == count


@pytest.mark.parametrize("name", ["BertPreTrainingHeads", "BertLMPredictionHead"])
def test_tied_head_that_is_replaced_stays_tied(
    name: str, tiny_config: BertConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    base: Any = getattr(modeling, name)
    monkeypatch.setattr(modeling, name, type("Mine", (base,), {}))
    model: Any = modeling.BertForPreTraining(tiny_config)
    decoder = model.cls.predictions.decoder
    assert decoder.weight is model.bert.embeddings.word_embeddings.weight
    assert [type(m).__name__ for m in model.modules()].count("Mine") == 1
    monkeypatch.undo()
    again = modeling.BertForPreTraining(tiny_config)
    assert "Mine" not in [type(m).__name__ for m in again.modules()]


# Traced models


def batch_of(class_name: str, batch: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    shape = (batch, 2, length) if class_name == "BertForMultipleChoice" else (batch, length)
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(1, 99, shape, generator=generator)
    mask = torch.ones_like(ids)
    mask[0, ..., length // 2 + 1 :] = 0
    return ids, torch.zeros_like(ids).index_fill(-1, torch.tensor([length - 1]), 1), mask


@pytest.mark.parametrize("class_name", sorted(CASES_OF_MODELS))
def test_traced_model_serves_other_batches_and_lengths(
    class_name: str, tiny_config: BertConfig
) -> None:
    choices = (2,) if class_name == "BertForMultipleChoice" else CASES_OF_MODELS[class_name]
    model = model_of(class_name, tiny_config, *choices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, batch_of(class_name, 2, 5), check_trace=False)
    for batch, length in ((2, 5), (1, 5), (2, 9), (4, 3), (3, 17)):
        inputs = batch_of(class_name, batch, length)
        for output, expected in zip(
            flat_outputs(traced(*inputs)), flat_outputs(model(*inputs)), strict=True
        ):
            assert_close(output, expected)


def test_traced_loss_of_positions_serves_other_lengths(tiny_config: BertConfig) -> None:
    model = model_of("BertForQuestionAnswering", tiny_config)

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
            loss: Tensor = self.model(ids, start_positions=starts, end_positions=ends)
            return loss

    def inputs(batch: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
        ids = batch_of("BertModel", batch, length)[0]
        starts = torch.arange(batch) * 2
        return (
            ids,
            starts,
            torch.full_like(starts, length - 1).index_fill(0, torch.tensor([0]), length + 7),
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Loss(), inputs(2, 5), check_trace=False)
    for batch, length in ((2, 5), (4, 9), (3, 3)):
        assert_close(traced(*inputs(batch, length)), Loss()(*inputs(batch, length)))
