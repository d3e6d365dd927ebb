"""Models and parts of models learn as those of plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_bert
import plain_gpt
import plain_models
from model_cases import flat_outputs
from plain_models import assert_all_close, batch_and_labels, gradients, loss_of, part_of
from ptbert import BertConfig, modeling, modeling_gpt2, modeling_openai
from support import seed_weights

pytestmark = pytest.mark.usefixtures("one_thread")

# A large epsilon keeps AdamW from amplifying gradients that are zero up to rounding.
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, eps=1e-4),
}


def train(tree: Any, optimizer_name: str, *inputs: Any, **named: Any) -> list[float]:
    """The loss and the norm of the gradients in each of three clipped steps."""
    optimizer = OPTIMIZERS[optimizer_name](tree.parameters())
    log: list[float] = []
    for step in range(3):
        torch.manual_seed(step)
        optimizer.zero_grad()
        loss = loss_of(tree(*inputs, **named))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(tree.parameters(), 1.0)
        optimizer.step()
        log += [loss.item(), norm.item()]
    return log


def test_gradients_add_up_and_are_zeroed_in_place(pair: tuple[Any, Any], class_name: str) -> None:
    with plain_models.plain_paths():
        for tree in pair:
            for seed in range(2):
                torch.manual_seed(seed)
                loss_of(tree(**batch_and_labels(class_name))).backward()
    model, plain = pair
    assert_all_close(gradients(model), gradients(plain))
    before = gradients(model)
    assert (None in before) == (class_name in plain_models.WITH_UNUSED_PARTS)
    for tree in pair:
        tree.zero_grad(set_to_none=False)
    assert_all_close(gradients(model), gradients(plain), atol=0)
    assert all(new is old for new, old in zip(gradients(model), before, strict=True))
    assert not any(gradient.any() for gradient in gradients(model) if gradient is not None)
    plain_models.assert_agree(*pair, class_name)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer_steps_are_seen(
    optimizer: str, fast: bool, pair: tuple[Any, Any], class_name: str
) -> None:
    with plain_models.evaluating(*pair) if fast else plain_models.plain_paths():
        logs = [train(tree, optimizer, **batch_and_labels(class_name)) for tree in pair]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
    plain_models.assert_agree(*pair, class_name, atol=1e-4)


class MaskedLM(nn.Module):
    """BertForMaskedLM in plain PyTorch, with its parameters in its order."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = plain_bert.Trunk(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=1e-12)

    def forward(self, masked_lm_labels: Tensor, **inputs: Tensor) -> Tensor:
        hidden, _ = self.bert(**inputs, output_all_encoded_layers=False)
        scores = self.decoder(self.LayerNorm(nn.functional.gelu(self.dense(hidden))))
        labels = masked_lm_labels.flatten()
        return nn.functional.cross_entropy(scores.flatten(0, 1), labels, ignore_index=-1)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("class_name", "decoder"),
    [
        ("BertForMaskedLM", "cls.predictions.decoder"),
        ("GPT2LMHeadModel", "lm_head.decoder"),
        ("OpenAIGPTDoubleHeadsModel", "lm_head.decoder"),
    ],
)
def test_tied_weight_is_one_parameter_with_the_gradients_of_both_uses(
    class_name: str, decoder: str, optimizer: str, fast: bool
) -> None:
    model = plain_models.new_model(class_name)
    plain: Any
    if class_name == "BertForMaskedLM":
        plain = MaskedLM(model.config)
    else:
        plain = plain_gpt.PLAIN[class_name](model.config)
    seed_weights(model)
    with torch.no_grad():
        for own, other in zip(model.parameters(), plain.parameters(), strict=True):
            other.copy_(own)
    with plain_models.evaluating(model, plain) if fast else plain_models.plain_paths():
        logs = [train(tree, optimizer, **batch_and_labels(class_name)) for tree in (model, plain)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
    assert_all_close(gradients(model), gradients(plain))
    assert_all_close(model.parameters(), plain.parameters(), atol=1e-4)
    assert model.get_submodule(decoder).weight is part_of(model, "words").weight


class ModelOfParts(nn.Module):
    """A model of the user's with layers in a list of its own, and an encoder."""

    def __init__(self, layers: list[nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.features = nn.Linear(5, 32)
        self.layers = nn.ModuleList(layers)
        self.last = last

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.features(features)
        for layer in self.layers:
            hidden = flat_outputs(layer(hidden))[0]
        if isinstance(self.last, (modeling.BertEncoder, plain_bert.Encoder)):
            return self.last(hidden, None, False)[-1].sin().square().mean()
        return self.last(hidden).sin().square().mean()


def models_of_parts(family: str) -> tuple[nn.Module, nn.Module]:
    config: Any
    if family == "bert":
        config = plain_models.make_pair("BertForQuestionAnswering")[0].config
        return (
            ModelOfParts(
                [modeling.BertLayer(config), modeling.BertLayer(config)],
                modeling.BertEncoder(config),
            ),
            ModelOfParts(
                [plain_bert.Layer(config), plain_bert.Layer(config)], plain_bert.Encoder(config)
            ),
        )
    if family == "gpt2":
        config = plain_models.make_pair("GPT2LMHeadModel")[0].config
        return (
            ModelOfParts(
                [
                    modeling_gpt2.Block(16, config, scale=True),
                    modeling_gpt2.Attention(32, 16, config, scale=True),
                ],
                modeling_gpt2.MLP(128, config),
            ),
            ModelOfParts(
                [plain_gpt.GPT2Block(config), plain_gpt.GPT2Attention(config, -1e4)],
                plain_gpt.MLP(config, plain_gpt.gelu),
            ),
        )
    config = plain_models.make_pair("OpenAIGPTLMHeadModel")[0].config
    return (
        ModelOfParts(
            [
                modeling_openai.Attention(32, 16, config, scale=True),
                modeling_openai.Block(16, config, scale=True),
            ],
            modeling_openai.Conv1D(7, 1, 32),
        ),
        ModelOfParts(
            [plain_gpt.GPTAttention(config, -1e9), plain_gpt.GPTBlock(config)],
            plain_gpt.Conv1D(7, 32),
        ),
    )


@pytest.mark.parametrize("family", ["bert", "gpt2", "openai-gpt"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_parts_learn_in_a_model_of_the_user(optimizer: str, family: str) -> None:
    model, plain = models_of_parts(family)
    for tree in (model, plain):
        seed_weights(tree)
    features = torch.randn(2, 4, 5)
    with plain_models.plain_paths():
        logs = [train(tree, optimizer, features) for tree in (model, plain)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
    assert_all_close(model.parameters(), plain.parameters(), atol=1e-4)


@pytest.mark.parametrize("fast", [False, True])
def test_training_under_autocast(fast: bool, pair: tuple[Any, Any], class_name: str) -> None:
    losses = []
    with plain_models.evaluating(*pair) if fast else plain_models.plain_paths():
        for tree in pair:
            torch.manual_seed(1)
            with torch.autocast("cpu", torch.bfloat16):
                losses.append(loss_of(tree(**batch_and_labels(class_name))))
            losses[-1].backward()
    assert_all_close(losses[:1], losses[1:], atol=0.01)
    assert_all_close(gradients(pair[0]), gradients(pair[1]), atol=0.03)
    plain_models.assert_agree(*pair, class_name)


NO_DROPOUT = {
    "Bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "GPT": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "TransfoXL": {"dropout": 0.0, "dropatt": 0.0},
}


def test_fast_paths_follow_dropout_of_every_part(class_name: str) -> None:
    """Dropout probabilities of zero and one make training repeatable."""
    none = next(fields for family, fields in NO_DROPOUT.items() if family in class_name)
    pair = plain_models.make_pair(class_name, **none)
    kinds = (nn.Dropout, nn.Dropout2d)
    for path in [path for path, part in pair[1].named_modules() if isinstance(part, kinds)]:
        dropouts = [tree.get_submodule(path) for tree in pair]
        for whole, part in [(True, True), (True, False), (False, True)]:
            for tree, dropout in zip(pair, dropouts, strict=True):
                tree.train(whole)
                dropout.train(part).p = 1.0
            plain_models.assert_same(*pair, class_name, 1e-5, relative=True)
        for tree, dropout in zip(pair, dropouts, strict=True):
            tree.train()
            dropout.p = 0.0
    for tree in pair:
        part_of(tree, "block").eval()
        part_of(tree, "dropout").p = part_of(tree, "attention_dropout").p = 0.5
    plain_models.assert_same(*pair, class_name, 1e-5, relative=True)
