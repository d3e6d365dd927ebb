"""Models are ordinary `nn.Module` trees: parts, dtypes, copies, state, ownership."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref
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


def test_meta_model_is_filled_by_loading(tiny_config: BertConfig, model: Any) -> None:
    with torch.device("meta"):
        empty = ptbert.BertForSequenceClassification(tiny_config, 3)
    assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
    assert empty(IDS.to("meta")).device.type == "meta"
    empty.to_empty(device="cpu").load_state_dict(model.state_dict())
    assert_equal(empty.eval()(IDS), model(IDS))


def test_meta_model_takes_assigned_tensors(tiny_config: BertConfig, model: Any) -> None:
    with torch.device("meta"):
        empty = ptbert.BertForSequenceClassification(tiny_config, 3)
    state = model.state_dict()
    empty.load_state_dict(state, assign=True)
    assert_equal(empty.eval()(IDS), model(IDS))
    assert empty.classifier.weight.data_ptr() == state["classifier.weight"].data_ptr()  # type: ignore[union-attr, operator]


def copies_of(model: Any) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return {
        "deepcopy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
        "torch.save": torch.load(file, weights_only=False),
    }


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save"])
def test_copy_is_equal_and_independent(way: str, class_name: str, tiny_config: BertConfig) -> None:
    model, _ = twin.make_pair(class_name, tiny_config)
    model(IDS)
    model.bert.embeddings.requires_grad_(False)
    model.bert.note = "kept"
    model.bert.encoder.layer[0].output.dropout = nn.Identity()
    model.eval()
    other = copies_of(model)[way]
    assert_equal(twin.outputs_of(other, class_name)[0], twin.outputs_of(model, class_name)[0])
    assert other.bert.note == "kept"
    assert not other.bert.embeddings.word_embeddings.weight.requires_grad
    assert isinstance(other.bert.encoder.layer[0].output.dropout, nn.Identity)
    assert not other.training
    before = twin.outputs_of(model, class_name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    assert not torch.equal(twin.outputs_of(other, class_name)[0], before[0])
    assert_equal(twin.outputs_of(model, class_name)[0], before[0])


def test_copy_keeps_hooks_and_tied_weights(tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertForMaskedLM(tiny_config).eval()
    model.bert.encoder.layer[0].register_forward_hook(double_output)
    expected = model(IDS)
    for other in copies_of(model).values():
        assert_equal(other(IDS), expected)
        assert other.cls.predictions.decoder.weight is other.bert.embeddings.word_embeddings.weight


def double_output(node: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return 2 * output


def test_shallow_copy_shares_parts_and_has_its_own_attributes(model: Any) -> None:
    other = copy.copy(model)
    assert_equal(other(IDS), model(IDS))
    assert other.bert is model.bert
    other.dropout = nn.Identity()
    assert_equal(other(IDS), model(IDS))


def test_state_dict_round_trip(class_name: str, tiny_config: BertConfig) -> None:
    model, plain = twin.make_pair(class_name, tiny_config)
    other, _ = twin.make_pair(class_name, tiny_config)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other(IDS)
    assert str(other.load_state_dict(plain.state_dict())) == "<All keys matched successfully>"
    twin.assert_agree(other, model, class_name)


@pytest.mark.parametrize("assign", [False, True])
def test_loading_names_what_does_not_fit(assign: bool, model: Any) -> None:
    state = model.state_dict()
    before = model(IDS)
    state["stranger"] = state.pop("classifier.bias")
    with pytest.raises(
        RuntimeError, match=r'Missing key\(s\) in state_dict: "classifier.bias"'
    ) as e:
        model.load_state_dict(state, assign=assign)
    assert 'Unexpected key(s) in state_dict: "stranger"' in str(e.value)
    missing, unexpected = model.load_state_dict(state, strict=False, assign=assign)
    assert (missing, unexpected) == (["classifier.bias"], ["stranger"])
    assert_equal(model(IDS), before)
    state["classifier.weight"] = torch.zeros(4, 32)
    with pytest.raises(RuntimeError, match=r"size mismatch for classifier\.weight"):
        model.load_state_dict(state, strict=False, assign=assign)


def test_assigned_state_is_used(model: Any) -> None:
    state = {name: 0.5 * tensor for name, tensor in model.state_dict().items()}
    other = copy.deepcopy(model)
    other.load_state_dict(state)
    model.load_state_dict(state, assign=True)
    assert_equal(model(IDS), other(IDS))


def test_deleted_part_is_missed_only_when_called(class_name: str, tiny_config: BertConfig) -> None:
    model, _ = twin.make_pair(class_name, tiny_config)
    model(IDS)
    pooler = model.bert.pooler
    for removed in (True, False):
        if removed:
            del model.bert.pooler
        else:
            model.bert.pooler = None
        hidden = torch.zeros(1, 3, 32)
        assert model.bert.encoder(hidden)[0].shape == (1, 3, 32)
        for _ in range(2):
            with pytest.raises(AttributeError, match=r"^The model has no module `bert\.pooler`\.$"):
                model(IDS)
            with pytest.raises(AttributeError, match=r"^The model has no module `pooler`\.$"):
                model.bert(IDS)
        model.bert.pooler = pooler
        model(IDS)


class Returns(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, *inputs: Any) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "classifier",
            None,
            "The output of `classifier` must be a torch.Tensor, but is a NoneType.",
        ),
        (
            "bert.encoder.layer.1",
            (torch.zeros(1),),
            "The output of `bert.encoder.layer.1` must be a torch.Tensor, but is a tuple.",
        ),
        (
            "bert.encoder",
            torch.zeros(2, 3, 32),
            "The output of `bert.encoder` must be a list of tensors, but is a Tensor.",
        ),
        (
            "bert.encoder",
            [],
            "The output of `bert.encoder` must hold at least one tensor, but is empty.",
        ),
        (
            "bert.encoder",
            [1],
            "The output of `bert.encoder` must be a torch.Tensor, but is an int.",
        ),
        (
            "bert",
            torch.zeros(2, 32),
            "The output of `bert` must be a tuple of two, but is a Tensor.",
        ),
        (
            "bert",
            (None, None),
            "The output of `bert` must be a list of tensors, but is a NoneType.",
        ),
    ],
)
def test_part_that_returns_something_else_is_named(
    path: str, value: Any, message: str, model: Any
) -> None:
    model.set_submodule(path, Returns(value))
    for _ in range(2):
        with pytest.raises(
            ValueError if isinstance(value, list) and not value else TypeError
        ) as error:
            model(IDS)
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("path", "attribute", "value", "kind", "message"),
    [
        ("dropout", "p", "much", TypeError, "`dropout.p` must be a number, but is a str."),
        (
            "bert.encoder.layer.0.attention.self",
            "num_attention_heads",
            2.0,
            TypeError,
            "`bert.encoder.layer.0.attention.self.num_attention_heads` must be an int, "
            "but is a float.",
        ),
        (
            "bert.encoder",
            "layer",
            nn.Sequential(nn.Identity()),
            TypeError,
            "`bert.encoder.layer` must be an nn.ModuleList, but is a Sequential.",
        ),
        (
            "bert.encoder",
            "layer",
            nn.ModuleList(),
            ValueError,
            "`bert.encoder.layer` must hold at least one module, but is empty.",
        ),
    ],
)
def test_change_that_the_core_cannot_follow_is_refused(
    path: str, attribute: str, value: Any, kind: type[Exception], message: str, model: Any
) -> None:
    node = model.get_submodule(path)
    before = getattr(node, attribute)
    expected = model(IDS)
    setattr(node, attribute, value)
    for _ in range(2):
        with pytest.raises(kind) as error:
            model(IDS)
        assert str(error.value) == message
    setattr(node, attribute, before)
    assert_equal(model(IDS), expected)


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


def test_model_is_freed_at_once(class_name: str, tiny_config: BertConfig) -> None:
    gc.disable()
    try:
        model, _ = twin.make_pair(class_name, tiny_config)
        twin.gradients_of(model, class_name)
        model.bert.encoder.layer[0](torch.zeros(1, 2, 32))
        model.classifier = nn.Linear(32, 3)
        model.bert.pooler.register_forward_hook(double_output)
        model(IDS)
        alive = [weakref.ref(module) for module in model.modules()]
        alive += [weakref.ref(parameter) for parameter in model.parameters()]
        del model
        assert not any(reference() is not None for reference in alive)
    finally:
        gc.enable()
