"""Models are ordinary `nn.Module` trees, in whole and in part."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_bert
import ptbert
from model_cases import flat_outputs, probe_loss
from plain_bert import assert_all_close, gradients
from ptbert import BertConfig, modeling
from support import assert_close, assert_equal, seed_weights

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])
# What classes are called in plain_bert.py, but for "Bert" and "For" in front.
PLAIN_NAMES = {"Model": "Trunk", "SelfOutput": "AddAndNorm", "Output": "AddAndNorm"}


@pytest.fixture
def model(tiny_config: BertConfig) -> Any:
    """A sequence classifier that has been called."""
    made = plain_bert.make_pair("BertForSequenceClassification", tiny_config)[0].eval()
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
    """As `plain_bert.assert_agree`, for any pair of modules."""
    with plain_bert.plain_paths():
        assert_all_close(run(model, *inputs), run(plain, *inputs))
    with plain_bert.evaluating(model, plain):
        assert_all_close(run(model, *inputs), run(plain, *inputs))


def test_model_agrees_with_plain_pytorch(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    plain_bert.assert_agree(model, plain, class_name)
    plain_bert.assert_agree(model.eval(), plain.eval(), class_name)


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
        kind = re.sub("^Bert(For)?", "", type(part).__name__)
        assert PLAIN_NAMES.get(kind, kind) == type(other).__name__, path
        if type(other).__module__.startswith("torch"):
            assert isinstance(part, type(other)), path
    query = model.bert.encoder.layer[1].attention.self.query
    assert query.weight is model.get_parameter("bert.encoder.layer.1.attention.self.query.weight")


def test_repr_shows_the_tree(pair: tuple[Any, Any], class_name: str) -> None:
    def plain_name(match: re.Match[str]) -> str:
        return PLAIN_NAMES.get(match[1], match[1])

    shown = repr(pair[0])
    assert shown.startswith(f"{class_name}(\n")
    assert re.sub(r"\bBert(?:For)?(\w+)", plain_name, shown) == repr(pair[1])


def assert_initialised(model: nn.Module) -> None:
    """Means and deviations must lie within five standard errors of those asked for."""
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        if name.endswith("bias"):
            assert_equal(values, torch.zeros_like(values))
        elif name.endswith("LayerNorm.weight"):
            assert_equal(values, torch.ones_like(values))
        else:
            assert abs(float(values.mean())) < 5 * 0.02 / values.numel() ** 0.5, name
            assert abs(float(values.std()) / 0.02 - 1) < 5 / (2 * values.numel()) ** 0.5, name


def test_apply_initialises_every_part(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    model.apply(model.init_bert_weights)
    assert_initialised(model)
    plain.load_state_dict(model.state_dict())
    plain_bert.assert_agree(model, plain, class_name)


def test_parameters_stay_the_same_objects(pair: tuple[Any, Any], class_name: str) -> None:
    before = [list(tree.parameters()) for tree in pair]
    plain_bert.assert_agree(*pair, class_name)
    for tree in pair:
        tree.to(torch.float64).float().double().to("cpu", torch.float32)
        tree.load_state_dict({name: 0.5 * tensor for name, tensor in tree.state_dict().items()})
    plain_bert.assert_agree(*pair, class_name)
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
    plain(**plain_bert.batch(class_name))
    for handle in handles:
        handle.remove()
    assert set(inputs) == set(parts) - {"bert.encoder.layer"}
    return inputs


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
) -> None:
    pair[0](IDS)
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
    plain_bert.assert_agree(*pair, class_name)
    for tree in pair:
        move(tree)
        assert {output.dtype for output in plain_bert.outputs_of(tree, class_name)} == {dtype}
    plain_bert.assert_agree(*pair, class_name, atol=atol)
    for tree in pair:
        tree.float()
    plain_bert.assert_agree(*pair, class_name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_model_computes_on_a_gpu(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = (tree.eval() for tree in pair)
    model.cuda()
    batch = {name: tensor.cuda() for name, tensor in plain_bert.batch(class_name).items()}
    labels = {name: tensor.cuda() for name, tensor in plain_bert.labels(class_name).items()}
    for output, expected in zip(
        flat_outputs(model(**batch)), plain_bert.outputs_of(plain, class_name), strict=True
    ):
        assert output.is_cuda
        assert_close(output, expected, 1e-4)
    model(**batch, **labels).backward()
    expected_gradients = plain_bert.gradients_of(plain, class_name).values()
    assert_all_close(gradients(model), expected_gradients, atol=1e-4)
    plain_bert.assert_agree(model.cpu(), plain, class_name)


def test_decoder_with_a_bias_of_its_own_uses_it(tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertForMaskedLM(tiny_config).eval()
    before = model(IDS)
    model.cls.predictions.decoder.bias = nn.Parameter(torch.full((99,), 3.0))
    assert_close(model(IDS), before + 3)


def test_class_whose_forward_was_replaced_is_called(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model(IDS)
    patched: dict[Any, Any] = {
        modeling.BertPooler: lambda self, x: 0 * x[:, 0],
        modeling.BertIntermediate: lambda self, x: 0 * self.dense(x),
        nn.Tanh: lambda self, x: 0 * x,
    }
    for owner, forward in patched.items():
        with monkeypatch.context() as patch:
            patch.setattr(owner, "forward", forward)
            assert not torch.equal(model(IDS), before)
        assert_equal(model(IDS), before)


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


class Product(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, *inputs: Tensor) -> Tensor:
        return flat_outputs(self.first(*inputs))[-1] * flat_outputs(self.second(*inputs))[-1]


def test_model_of_the_user_around_bert(tiny_config: BertConfig) -> None:
    model, plain = OwnHead(tiny_config), PlainHead(tiny_config)
    assert_initialised(model)
    for tree in (model, plain):
        seed_weights(tree)
    assert_agree(model, plain, *plain_bert.batch("BertForSequenceClassification").values())


@pytest.mark.parametrize(
    ("classes", "shared"),
    [
        ((OwnHead, PlainHead), ["bert.embeddings"]),
        ((OwnHead, PlainHead), ["bert"]),
        ((modeling.BertModel, plain_bert.Trunk), ["embeddings", "encoder.layer.1"]),
    ],
)
def test_two_models_may_share_parts(
    classes: tuple[Any, Any], shared: list[str], tiny_config: BertConfig
) -> None:
    """What they share has the gradients of both, and changes for both."""
    pair = [Product(one(tiny_config), one(tiny_config)) for one in classes]
    for product in pair:
        for path in shared:
            product.second.set_submodule(path, product.first.get_submodule(path))
        seed_weights(product)
    batch = plain_bert.batch("BertForSequenceClassification").values()
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
