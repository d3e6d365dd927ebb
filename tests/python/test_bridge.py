"""Models are ordinary `nn.Module` trees, in whole and in part."""

from __future__ import annotations

import copy
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_bert
import plain_gpt
import plain_models
import ptbert
from model_cases import flat_outputs, probe_loss
from plain_models import assert_all_close, bare_names, gradients, loss_of, path_of
from ptbert import BertConfig, GPT2Config, modeling, modeling_gpt2, modeling_openai
from support import assert_close, assert_equal, seed_weights

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def model() -> Any:
    """A sequence classifier that has been called."""
    made = plain_models.make_pair("BertForSequenceClassification")[0].eval()
    made(IDS)
    return made


def run(tree: Any, *inputs: Any) -> list[Tensor | None]:
    """The outputs, and the gradients of parameters and inputs."""
    torch.manual_seed(1)
    leaves = list(tree.parameters())
    given = []
    for value in inputs:
        if isinstance(value, Tensor) and value.is_floating_point():
            value = value.detach().clone().requires_grad_()
            leaves.append(value)
        given.append(value)
    outputs = flat_outputs(tree(*given))
    return [*outputs, *torch.autograd.grad(probe_loss(outputs), leaves, allow_unused=True)]


def assert_agree(model: Any, plain: Any, *inputs: Any) -> None:
    """As `plain_models.assert_agree`, for any pair of modules."""
    with plain_models.plain_paths():
        assert_all_close(run(model, *inputs), run(plain, *inputs))
    with plain_models.evaluating(model, plain):
        assert_all_close(run(model, *inputs), run(plain, *inputs))


def test_model_agrees_with_plain_pytorch(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    plain_models.assert_agree(model, plain, class_name)
    plain_models.assert_agree(model.eval(), plain.eval(), class_name)


def test_tree_has_the_names_of_plain_pytorch(pair: tuple[Any, Any]) -> None:
    names, shapes, parameters = (
        [[name for name, _ in tree.named_modules()] for tree in pair],
        [[(name, tensor.shape) for name, tensor in tree.state_dict().items()] for tree in pair],
        [[(name, type(one)) for name, one in tree.named_parameters()] for tree in pair],
    )
    assert names[0] == names[1]
    assert shapes[0] == shapes[1]
    assert parameters[0] == parameters[1]


def test_parts_are_at_the_paths_of_2019(pair: tuple[Any, Any]) -> None:
    model, plain = pair
    for path, other in plain.named_modules():
        part = attrgetter(path)(model) if path else model
        assert bare_names(type(part).__name__) == bare_names(type(other).__name__), path
        if type(other).__module__.startswith("torch"):
            assert isinstance(part, type(other)), path
    path = path_of(model, "queries", 1)
    assert attrgetter(path)(model).weight is model.get_parameter(f"{path}.weight")


def test_repr_shows_the_tree(pair: tuple[Any, Any], class_name: str) -> None:
    shown = repr(pair[0])
    assert shown.startswith(f"{class_name}(\n")
    assert bare_names(shown) == bare_names(repr(pair[1]))


def assert_initialised(model: nn.Module) -> None:
    """Means and deviations must lie within five standard errors of those asked for."""
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        part = model.get_submodule(name.rpartition(".")[0])
        if name.endswith(("r_w_bias", "r_r_bias")):  # as in 2019 no part initialises them
            continue
        if name.endswith("bias"):
            assert_equal(values, torch.zeros_like(values))
        elif isinstance(part, nn.LayerNorm):
            if isinstance(model, ptbert.TransfoXLLMHeadModel):
                assert 0.01 < float(values.std()) < 0.04
                values = values.round()
            assert_equal(values, torch.ones_like(values))
        else:
            assert abs(float(values.mean())) < 5 * 0.02 / values.numel() ** 0.5, name
            assert abs(float(values.std()) / 0.02 - 1) < 5 / (2 * values.numel()) ** 0.5, name


def test_apply_initialises_every_part(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    if isinstance(model, modeling.BertPreTrainedModel):
        model.apply(model.init_bert_weights)
    else:
        model.apply(model.init_weights)
        for part in model.modules():  # as in 2019 it leaves these as they were made
            if isinstance(part, modeling_gpt2.Conv1D):
                part.load_state_dict(modeling_gpt2.Conv1D(*part.weight.shape[::-1]).state_dict())
    assert_initialised(model)
    plain.load_state_dict(model.state_dict())
    plain_models.assert_agree(model, plain, class_name)


def test_parameters_stay_the_same_objects(pair: tuple[Any, Any], class_name: str) -> None:
    before = [list(tree.parameters()) for tree in pair]
    plain_models.assert_agree(*pair, class_name)
    for tree in pair:
        tree.to(torch.float64).float().double().to("cpu", torch.float32)
        tree.load_state_dict(plain_models.halved_state(tree))
    plain_models.assert_agree(*pair, class_name)
    for tree, parameters in zip(pair, before, strict=True):
        assert all(a is b for a, b in zip(tree.parameters(), parameters, strict=True))


def inputs_of_parts(plain: nn.Module, class_name: str) -> dict[str, tuple[Any, ...]]:
    """What each part of the model is given in a pass."""
    inputs: dict[str, tuple[Any, ...]] = {}
    parts = {path: part for path, part in plain.named_modules() if path}
    handles = [
        part.register_forward_pre_hook(lambda _, given, path=path: inputs.update({path: given}))
        for path, part in parts.items()
    ]
    plain(**plain_models.batch(class_name))
    for handle in handles:
        handle.remove()
    assert set(inputs) == set(plain_models.called_parts(plain))
    return inputs


@pytest.mark.filterwarnings("ignore:dropout2d")  # of torch, for the shape of 2019
@pytest.mark.parametrize(
    ("take", "dtype"),
    [
        (lambda part: part, torch.float32),
        (copy.deepcopy, torch.float32),
        (lambda part: part.double(), torch.float64),
    ],
    ids=["in place", "copied out", "double"],
)
def test_every_part_can_be_called_alone(
    take: Callable[[nn.Module], nn.Module],
    dtype: torch.dtype,
    pair: tuple[Any, Any],
    class_name: str,
    ids: tuple[Tensor, ...],
) -> None:
    pair[0](*ids)
    for path, inputs in inputs_of_parts(pair[1], class_name).items():
        given = [
            x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs
        ]
        assert_agree(*(take(tree.get_submodule(path)) for tree in pair), *given)


@pytest.mark.parametrize(
    ("move", "dtype", "atol"),
    [
        (lambda m: m.double(), torch.float64, 1e-10),
        (lambda m: m.to(torch.float64), torch.float64, 1e-10),
        (lambda m: m.half(), torch.float16, 0.01),
        (lambda m: m.bfloat16(), torch.bfloat16, 0.05),
    ],
)
def test_dtype_changes_and_comes_back(
    move: Any, dtype: torch.dtype, atol: float, pair: tuple[Any, Any], class_name: str
) -> None:
    plain_models.assert_agree(*pair, class_name)
    for tree in pair:
        move(tree)
        assert {output.dtype for output in plain_models.outputs_of(tree, class_name)} == {dtype}
    plain_models.assert_agree(*pair, class_name, atol=atol, relative=atol > 1e-10)
    for tree in pair:
        tree.float()
    plain_models.assert_agree(*pair, class_name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_model_computes_on_a_gpu(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = (tree.eval() for tree in pair)
    model.cuda()
    batch = {name: tensor.cuda() for name, tensor in plain_models.batch(class_name).items()}
    labels = {name: tensor.cuda() for name, tensor in plain_models.labels(class_name).items()}
    for output, expected in zip(
        flat_outputs(model(**batch)), plain_models.outputs_of(plain, class_name), strict=True
    ):
        assert output.is_cuda
        assert_close(output, expected, 1e-4)
    loss_of(model(**batch, **labels)).backward()
    expected_gradients = plain_models.gradients_of(plain, class_name).values()
    assert_all_close(gradients(model), expected_gradients, atol=1e-4)
    plain_models.assert_agree(model.cpu(), plain, class_name)


@pytest.mark.parametrize(
    ("class_name", "path"),
    [
        ("BertForMaskedLM", "cls.predictions.decoder"),
        ("GPT2LMHeadModel", "lm_head.decoder"),
        ("OpenAIGPTLMHeadModel", "lm_head.decoder"),
    ],
)
def test_decoder_with_a_bias_of_its_own_uses_it(class_name: str, path: str) -> None:
    model = plain_models.new_model(class_name).eval()
    before = flat_outputs(model(IDS))[0]
    model.get_submodule(path).bias = nn.Parameter(torch.full((99,), 3.0))
    assert_close(flat_outputs(model(IDS))[0], before + 3)


FORWARDS: dict[str, dict[Any, Any]] = {
    "BertForSequenceClassification": {
        modeling.BertPooler: lambda self, x: 0 * x[:, 0],
        modeling.BertIntermediate: lambda self, x: 0 * self.dense(x),
        nn.Tanh: lambda self, x: 0 * x,
    },
    "GPT2LMHeadModel": {
        modeling_gpt2.MLP: lambda self, x: 0 * self.c_fc(x)[..., :32],
        modeling_gpt2.Block: lambda self, x, past=None: (2 * x, x),
        modeling_gpt2.Conv1D: lambda self, x: 0 * x @ self.weight,
        nn.Embedding: lambda self, ids: 0 * self.weight[ids],
    },
    "OpenAIGPTDoubleHeadsModel": {
        modeling_openai.MLP: lambda self, x: 0 * self.c_fc(x)[..., :32],
        modeling_openai.Block: lambda self, x: 2 * x,
        modeling_openai.OpenAIGPTMultipleChoiceHead: lambda self, x, ids: 0 * x[..., 0, 0],
    },
}


@pytest.mark.parametrize("class_name", FORWARDS)
def test_class_whose_forward_was_replaced_is_called(
    class_name: str, ids: tuple[Tensor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = plain_models.make_pair(class_name)[0].eval()
    before = plain_models.joined(model(*ids))
    for owner, forward in FORWARDS[class_name].items():
        with monkeypatch.context() as patch:
            patch.setattr(owner, "forward", forward)
            after = plain_models.joined(model(*ids))
            assert not torch.equal(after, before)
        assert_equal(plain_models.joined(model(*ids)), before)


class OwnHead(modeling.BertPreTrainedModel):
    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = modeling.BertModel(config)
        self.score = nn.Linear(config.hidden_size, 2)
        self.apply(self.init_bert_weights)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        hidden, pooled = self.bert(input_ids, token_type_ids, attention_mask, False)
        return self.score(hidden).mean(1) + self.score(pooled)


class PlainHead(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = plain_bert.Trunk(config)
        self.score = nn.Linear(config.hidden_size, 2)

    forward: Any = OwnHead.forward


class OwnGPTHead(modeling_gpt2.GPT2PreTrainedModel):
    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.transformer = modeling_gpt2.GPT2Model(config)
        self.score = nn.Linear(config.n_embd, 2)
        self.apply(self.init_weights)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        hidden_states, presents = self.transformer(input_ids, None, token_type_ids)
        return self.score(hidden_states[-1]) + self.score(hidden_states[0]) + presents[-1].mean()


class PlainGPTHead(nn.Module):
    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.transformer = plain_gpt.GPT2Trunk(config)
        self.score = nn.Linear(config.n_embd, 2)

    forward: Any = OwnGPTHead.forward


class Product(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, *inputs: Tensor) -> Tensor:
        return flat_outputs(self.first(*inputs))[-1] * flat_outputs(self.second(*inputs))[-1]


BERT_CONFIG, GPT2_CONFIG, GPT_CONFIG = (
    plain_models.make_pair(name)[0].config
    for name in ("BertForQuestionAnswering", "GPT2LMHeadModel", "OpenAIGPTLMHeadModel")
)
BERT_BATCH, GPT_BATCH = (
    tuple(plain_models.batch(name).values())
    for name in ("BertForSequenceClassification", "GPT2LMHeadModel")
)


@pytest.mark.parametrize(
    ("classes", "config", "batch"),
    [
        ((OwnHead, PlainHead), BERT_CONFIG, BERT_BATCH),
        ((OwnGPTHead, PlainGPTHead), GPT2_CONFIG, GPT_BATCH),
    ],
)
def test_model_of_the_user_around_ours(
    classes: tuple[Any, Any], config: Any, batch: tuple[Tensor, ...]
) -> None:
    model, plain = (one(config) for one in classes)
    assert_initialised(model)
    for tree in (model, plain):
        seed_weights(tree)
    assert_agree(model, plain, *batch)


@pytest.mark.parametrize(
    ("classes", "shared", "config", "batch"),
    [
        ((OwnHead, PlainHead), ["bert.embeddings"], BERT_CONFIG, BERT_BATCH),
        ((OwnHead, PlainHead), ["bert"], BERT_CONFIG, BERT_BATCH),
        (
            (modeling.BertModel, plain_bert.Trunk),
            ["embeddings", "encoder.layer.1"],
            BERT_CONFIG,
            BERT_BATCH,
        ),
        ((OwnGPTHead, PlainGPTHead), ["transformer"], GPT2_CONFIG, GPT_BATCH),
        (
            (ptbert.OpenAIGPTModel, plain_gpt.GPTTrunk),
            ["tokens_embed", "h.1", "h.0.attn.c_attn"],
            GPT_CONFIG,
            GPT_BATCH[:1],
        ),
    ],
)
def test_two_models_may_share_parts(
    classes: tuple[Any, Any], shared: list[str], config: Any, batch: tuple[Tensor, ...]
) -> None:
    """What they share has the gradients of both, and changes for both."""
    pair = [Product(one(config), one(config)) for one in classes]
    for product in pair:
        for path in shared:
            product.second.set_submodule(path, product.first.get_submodule(path))
        seed_weights(product)
    assert_agree(*pair, *batch)
    with torch.no_grad():
        for product in pair:
            next(product.first.parameters()).mul_(2)  # the word embeddings
    assert_agree(*(product.second for product in pair), *batch)


class Scaled(ptbert.BertForSequenceClassification):
    calls = 0

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        self.calls += 1
        return 10 * super().forward(*inputs, **named)


class ScaledGPT(ptbert.OpenAIGPTLMHeadModel):
    calls = 0

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        self.calls += 1
        return 10 * super().forward(*inputs, **named)


class ZeroPooler(modeling.BertPooler):
    def forward(self, hidden_states: Tensor) -> Tensor:
        return 0 * super().forward(hidden_states)


def test_subclass_may_call_forward_of_its_base(tiny_config: BertConfig, model: Any) -> None:
    scaled: Any = Scaled(tiny_config, 3)
    scaled.load_state_dict(model.state_dict())
    for _ in range(2):
        assert_close(scaled.eval()(IDS), 10 * model(IDS))
    assert scaled.calls == 2
    scaled.bert.pooler = ZeroPooler(tiny_config)
    assert_close(scaled(IDS), (10 * scaled.classifier.bias).expand(2, 3))
    gpt = plain_models.make_pair("OpenAIGPTLMHeadModel")[0].eval()
    own: Any = ScaledGPT(GPT_CONFIG)
    own.load_state_dict(gpt.state_dict())
    for _ in range(2):
        assert_close(own.eval()(IDS), 10 * gpt(IDS))
    assert own.calls == 2
