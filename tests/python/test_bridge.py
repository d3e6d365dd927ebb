"""Models are ordinary `nn.Module` trees, in whole and in part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
import twin
from model_cases import flat_outputs, probe_loss
from ptbert import BertConfig, modeling
from support import assert_close, assert_equal

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.fixture(params=twin.CLASSES)
def class_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(tiny_config: BertConfig) -> Any:
    """A sequence classifier that has been called."""
    made = twin.make_pair("BertForSequenceClassification", tiny_config)[0].eval()
    made(IDS)
    return made


def test_model_agrees_with_plain_pytorch(class_name: str, tiny_config: BertConfig) -> None:
    model, plain = twin.make_pair(class_name, tiny_config)
    twin.assert_agree(model, plain, class_name)
    twin.assert_agree(model.eval(), plain.eval(), class_name)


def test_tree_has_the_names_of_plain_pytorch(class_name: str, tiny_config: BertConfig) -> None:
    model, plain = twin.make_pair(class_name, tiny_config)
    assert [name for name, _ in model.named_modules()] == [n for n, _ in plain.named_modules()]
    assert [(name, tensor.shape) for name, tensor in model.state_dict().items()] == [
        (name, tensor.shape) for name, tensor in plain.state_dict().items()
    ]
    for name, module in model.named_modules():
        other = plain.get_submodule(name)
        assert [child for child, _ in module.named_children()] == [
            child for child, _ in other.named_children()
        ]
        if type(other).__module__.startswith("torch"):
            assert isinstance(module, type(other))


def test_parts_are_at_the_paths_of_2019(model: Any) -> None:
    weight = model.bert.encoder.layer[1].attention.self.query.weight
    assert isinstance(weight, nn.Parameter)
    assert (
        weight is dict(model.named_parameters())["bert.encoder.layer.1.attention.self.query.weight"]
    )
    assert isinstance(model.bert.encoder.layer, nn.ModuleList)


def test_repr_shows_the_tree(model: Any) -> None:
    lines = repr(model).splitlines()
    assert lines[0] == "BertForSequenceClassification("
    assert "      (word_embeddings): Embedding(99, 32, padding_idx=0)" in lines
    assert "            (query): Linear(in_features=32, out_features=32, bias=True)" in {
        line.rstrip()[2:] for line in lines
    }
    assert lines[-2] == "  (classifier): Linear(in_features=32, out_features=3, bias=True)"


def test_gradients_land_in_the_parameters_of_the_tree(
    class_name: str, tiny_config: BertConfig
) -> None:
    model, _ = twin.make_pair(class_name, tiny_config)
    model(**twin.batch(class_name), **twin.labels(class_name)).backward()
    for name, parameter in model.named_parameters():
        unused = class_name == "BertForQuestionAnswering" and "pooler" in name
        assert (parameter.grad is None) == unused, name


@pytest.mark.usefixtures("plain_paths")
def test_optimizer_steps_are_seen(class_name: str, tiny_config: BertConfig) -> None:
    pair = twin.make_pair(class_name, tiny_config)
    for tree in pair:
        optimizer = torch.optim.SGD(tree.parameters(), lr=0.1)
        for _ in range(3):
            torch.manual_seed(2)
            optimizer.zero_grad()
            tree(**twin.batch(class_name), **twin.labels(class_name)).backward()
            nn.utils.clip_grad_norm_(tree.parameters(), 1.0)
            optimizer.step()
    twin.assert_agree(*pair, class_name)


def test_every_part_can_be_called_alone(tiny_config: BertConfig) -> None:
    model, plain = twin.make_pair("BertForSequenceClassification", tiny_config)
    inputs: dict[str, tuple[Any, ...]] = {}
    for name, module in plain.named_modules():
        module.register_forward_pre_hook(
            lambda _, given, name=name: inputs.__setitem__(name, given)
        )
    with torch.no_grad():
        plain(**twin.batch("BertForSequenceClassification"))
    for module in plain.modules():
        module._forward_pre_hooks.clear()
    for given in inputs.values():
        for tensor in given:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                tensor.requires_grad_()
    del inputs[""]
    assert set(inputs) == {name for name, _ in plain.named_modules()} - {"", "bert.encoder.layer"}
    for name, given in inputs.items():
        outputs = []
        for tree in (model.eval(), plain.eval()):
            tree.zero_grad()
            output = flat_outputs(tree.get_submodule(name)(*given))
            probe_loss(output).backward()
            outputs.append((output, {n: p.grad for n, p in tree.named_parameters()}))
        for left, right in zip(outputs[0][0], outputs[1][0], strict=True):
            assert_close(left, right)
        for parameter, gradient in outputs[1][1].items():
            mine = outputs[0][1][parameter]
            assert (mine is None) == (gradient is None), (name, parameter)
            if mine is not None and gradient is not None:
                assert_close(mine, gradient)


@pytest.mark.parametrize(
    ("move", "dtype"),
    [
        (lambda m: m.double(), torch.float64),
        (lambda m: m.to(torch.float64), torch.float64),
        (lambda m: m.half(), torch.float16),
        (lambda m: m.bfloat16(), torch.bfloat16),
    ],
)
def test_dtype_changes_and_comes_back(move: Any, dtype: torch.dtype, model: Any) -> None:
    before = model(IDS)
    assert move(model)(IDS).dtype == dtype
    assert model.bert.encoder.layer[0](torch.zeros(1, 2, 32, dtype=dtype)).dtype == dtype
    after = model.float()(IDS)
    assert after.dtype == torch.float32
    assert_close(after, before, atol=0.05)


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
        self.score = nn.Linear(config.hidden_size, 1)
        self.apply(self.init_bert_weights)

    def forward(self, input_ids: Tensor) -> Tensor:
        _, pooled = self.bert(input_ids, output_all_encoded_layers=False)
        return self.score(pooled)


class Scaled(ptbert.BertForSequenceClassification):
    calls = 0

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        self.calls += 1
        return 10 * super().forward(*inputs, **named)


def test_model_of_the_user_around_bert(tiny_config: BertConfig) -> None:
    model = OwnHead(tiny_config)
    model(IDS).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    assert_equal(model.score.bias.detach(), torch.zeros(1))


def test_subclass_may_call_forward_of_its_base(tiny_config: BertConfig, model: Any) -> None:
    scaled = Scaled(tiny_config, 3)
    scaled.load_state_dict(model.state_dict())
    for _ in range(2):
        assert_close(scaled.eval()(IDS), 10 * model(IDS))
    assert scaled.calls == 2
    outer = OwnHead(tiny_config).eval()
    outer.bert.pooler = type("Pooler", (modeling.BertPooler,), {"forward": zero_pooler})(
        tiny_config
    )
    assert_close(outer(IDS), torch.zeros(2, 1))


def zero_pooler(self: Any, hidden_states: Tensor) -> Tensor:
    return 0 * super(type(self), self).forward(hidden_states)


def test_two_models_may_share_parts(tiny_config: BertConfig) -> None:
    first: Any = ptbert.BertModel(tiny_config).eval()
    second: Any = ptbert.BertModel(tiny_config).eval()
    second.embeddings = first.embeddings
    second.encoder.layer[1] = first.encoder.layer[1]
    second(IDS)[1].sum().backward()
    assert first.embeddings.word_embeddings.weight.grad is not None
    assert first.pooler.dense.weight.grad is None
    before = second(IDS)[1]
    with torch.no_grad():
        first.embeddings.LayerNorm.weight.mul_(2)
    assert not torch.equal(second(IDS)[1], before)
