"""Attention weights, head masks, outputs of heads, and pruning of heads."""

from __future__ import annotations

import copy
import pickle
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import plain_models
import ptbert
from model_cases import CASES_BY_KEY, CLASSES, flat_outputs, model_inputs, model_labels
from ptbert import BertConfig, BertModel
from ptbert.modeling import BertLayer, BertSelfAttention, prune_linear_layer
from support import assert_close, assert_equal, seed_weights

HEADS, LAYERS, HEAD_SIZE = 4, 2, 8
ROWS = torch.tensor([[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 1.0, 2.0]])
CLASS = "BertForSequenceClassification"


def make_model(class_name: str, config: BertConfig, **options: bool) -> Any:
    """A model of seeded weights in evaluation mode."""
    case = CASES_BY_KEY[f"{class_name}/full"]
    model = getattr(ptbert, class_name)(config, *case.arguments, **options)
    seed_weights(model)
    return model.eval()


def inputs_of(class_name: str) -> dict[str, Tensor]:
    return model_inputs(CASES_BY_KEY[f"{class_name}/full"])


def trunk_of(model: Any) -> Any:
    return model if isinstance(model, BertModel) else model.bert


def layers_of(model: Any) -> Any:
    return trunk_of(model).encoder.layer


def mask_heads(plain: nn.Module, rows: Tensor) -> None:
    """Makes the plain PyTorch model multiply the output of each head by its entry in `rows`."""
    for layer, row in zip(layers_of(plain), rows, strict=True):
        factors = row.repeat_interleave(HEAD_SIZE)
        layer.attention.self.register_forward_hook(
            lambda _, inputs, output, factors=factors: output * factors
        )


@pytest.mark.parametrize("class_name", plain_models.BERT_CLASSES)
@pytest.mark.parametrize("one_row", [True, False])
def test_head_mask_multiplies_what_heads_give(class_name: str, one_row: bool) -> None:
    model, plain = plain_models.make_pair(class_name)
    mask, other = ((ROWS[0] if one_row else ROWS).clone().requires_grad_() for _ in range(2))
    mask_heads(plain, other.expand(LAYERS, HEADS))
    results = []
    for tree, more in ((model, {"head_mask": mask}), (plain, {})):
        outputs = flat_outputs(tree.eval()(**plain_models.batch(class_name), **more))
        torch.stack([output.square().sum() for output in outputs]).sum().backward()
        results.append(outputs)
    for output, expected in zip(*results, strict=True):
        assert_close(output, expected)
    assert mask.grad is not None
    assert other.grad is not None
    assert_close(mask.grad, other.grad, 1e-5 * float(other.grad.abs().max()))
    for (name, parameter), expected in zip(
        model.named_parameters(), plain.parameters(), strict=True
    ):
        assert (parameter.grad is None) is (expected.grad is None), name
        if expected.grad is not None:
            limit = 1e-5 * max(1.0, float(expected.grad.abs().max()))
            assert_close(parameter.grad, expected.grad, limit)


@pytest.mark.parametrize("class_name", CLASSES)
def test_attentions_come_first(class_name: str, tiny_config: BertConfig) -> None:
    plain = make_model(class_name, tiny_config)
    model = make_model(class_name, tiny_config, output_attentions=True)
    inputs = inputs_of(class_name)
    outputs, expected = model(**inputs), plain(**inputs)
    assert isinstance(outputs, tuple)
    attentions = outputs[0]
    assert isinstance(attentions, list)
    assert len(attentions) == LAYERS
    *_, seq = inputs["input_ids"].shape
    rows = inputs["input_ids"].numel() // seq
    for attention in attentions:
        assert attention.shape == (rows, HEADS, seq, seq)
        assert_close(attention.sum(-1), torch.ones(rows, HEADS, seq))
    rest = outputs[1:] if isinstance(expected, tuple) else outputs[1]
    assert_close_all(flat_outputs(rest), flat_outputs(expected))
    labels = model_labels(CASES_BY_KEY[f"{class_name}/full"])
    if labels:
        assert_close(model(**inputs, **labels), plain(**inputs, **labels))


def assert_close_all(actual: list[Tensor], expected: list[Tensor]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other)


def test_attentions_are_the_weights_after_dropout_and_head_mask(tiny_config: BertConfig) -> None:
    _, plain = plain_models.make_pair(CLASS)
    model = make_model(CLASS, tiny_config, output_attentions=True).train()
    seen: list[Tensor] = []
    for layer in layers_of(plain):
        layer.attention.self.dropout.register_forward_hook(
            lambda _, inputs, output: seen.append(output)
        )
    mask_heads(plain, ROWS)
    with plain_models.plain_paths():
        torch.manual_seed(1)
        attentions, _ = model(**plain_models.batch(CLASS), head_mask=ROWS)
    torch.manual_seed(1)
    plain(**plain_models.batch(CLASS))
    for attention, weights, row in zip(attentions, seen, ROWS, strict=True):
        assert_close(attention, weights * row[:, None, None])


def test_a_part_gives_its_attention(tiny_config: BertConfig) -> None:
    hidden = torch.randn(2, 5, 32)
    layer = BertLayer(tiny_config, output_attentions=True).eval()
    attention, output = layer(hidden, None, torch.tensor([1.0, 1, 0, 1]).view(1, HEADS, 1, 1))
    assert attention.shape == (2, HEADS, 5, 5)
    assert float(attention.detach()[:, 2].abs().max()) == 0
    assert output.shape == hidden.shape


def test_attention_may_be_asked_for_later_and_of_one_layer(tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config)
    inputs = inputs_of("BertModel")
    assert len(model(**inputs)) == 2
    model.encoder.layer[1].attention.self.output_attentions = True
    attentions, _, _ = model(**inputs)
    assert attentions[0] is None
    assert attentions[1].shape[1] == HEADS
    model.encoder.layer[1].attention.self.output_attentions = False
    assert len(model(**inputs)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "bert",
        "bert.encoder",
        "bert.encoder.layer.1",
        "bert.encoder.layer.0.attention",
        "bert.encoder.layer.0.attention.self",
        "bert.encoder.layer.0.attention.self.query",
    ],
)
def test_hooked_nodes_pass_masks_and_attentions_on(name: str, tiny_config: BertConfig) -> None:
    model = make_model(CLASS, tiny_config, output_attentions=True)
    expected_attentions, expected = model(**plain_models.batch(CLASS), head_mask=ROWS)
    fired = []
    model.get_submodule(name).register_forward_hook(lambda *_: fired.append(True))
    attentions, logits = model(**plain_models.batch(CLASS), head_mask=ROWS)
    assert fired == [True]
    assert_close(logits, expected)
    assert_close_all(attentions, expected_attentions)


def test_layers_of_users_need_not_know_head_masks(tiny_config: BertConfig) -> None:
    class Layer(nn.Module):
        def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
            return 2 * hidden_states

    model = make_model("BertModel", tiny_config, output_attentions=True)
    model.encoder.layer[0] = Layer()
    inputs = inputs_of("BertModel")
    attentions, _, _ = model(**inputs)
    assert attentions[0] is None
    assert attentions[1].shape[1] == HEADS
    with pytest.raises(TypeError, match="positional argument"):
        model(**inputs, head_mask=ROWS)


@pytest.mark.parametrize("class_name", CLASSES)
def test_what_heads_give_is_kept_with_its_gradient(
    class_name: str, tiny_config: BertConfig
) -> None:
    model = make_model(class_name, tiny_config, keep_multihead_output=True)
    plain = make_model(class_name, tiny_config)
    trunk = trunk_of(model)
    assert trunk.get_multihead_outputs() == [None, None]
    inputs = inputs_of(class_name)
    outputs = flat_outputs(model(**inputs))
    assert_close_all(outputs, flat_outputs(plain(**inputs)))
    sum(output.sum() for output in outputs).backward()  # type: ignore[union-attr]
    *_, seq = inputs["input_ids"].shape
    rows = inputs["input_ids"].numel() // seq
    for kept in trunk.get_multihead_outputs():
        assert kept.shape == (rows, HEADS, seq, HEAD_SIZE)
        assert float(kept.grad.abs().max()) > 0


def test_kept_output_is_that_of_the_heads(tiny_config: BertConfig) -> None:
    model = make_model(CLASS, tiny_config, keep_multihead_output=True)
    plain = make_model(CLASS, tiny_config)
    contexts: list[Tensor] = []
    layers_of(plain)[1].attention.self.register_forward_hook(
        lambda _, inputs, output: contexts.append(output)
    )
    layers_of(plain)[1].attention.self.register_full_backward_hook(
        lambda _, inputs, outputs: contexts.append(outputs[0])
    )
    for tree in (model, plain):
        tree(**plain_models.batch(CLASS), head_mask=ROWS).square().sum().backward()
    kept = model.bert.get_multihead_outputs()[1]
    assert_close(kept.transpose(1, 2).flatten(2), contexts[0])
    assert_close(kept.grad.transpose(1, 2).flatten(2), contexts[1])


def test_kept_output_follows_every_pass_and_stays_out_of_copies(tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config, keep_multihead_output=True)
    model(torch.tensor([[1, 2, 3]]))
    first = model.get_multihead_outputs()
    model(torch.tensor([[1, 2, 3, 4]]))
    assert first[0].size(2) == 3
    assert model.get_multihead_outputs()[0].size(2) == 4
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.get_multihead_outputs() == [None, None]
        other(torch.tensor([[1, 2]]))
        assert other.get_multihead_outputs()[0].size(2) == 2
    with torch.no_grad():
        model(torch.tensor([[1, 2]]))
    assert not model.get_multihead_outputs()[0].requires_grad


@pytest.mark.parametrize("class_name", CLASSES)
def test_pruned_heads_are_masked_heads(class_name: str, tiny_config: BertConfig) -> None:
    model = make_model(class_name, tiny_config, output_attentions=True)
    pruned = copy.deepcopy(model)
    trunk = trunk_of(pruned)
    inputs = inputs_of(class_name)
    pruned(**inputs)
    trunk.prune_heads({0: [1, 2], -1: [0]})
    mask = torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]])
    attentions, *outputs = pruned(**inputs)
    expected_attentions, *expected = model(**inputs, head_mask=mask)
    assert_close_all(flat_outputs(tuple(outputs)), flat_outputs(tuple(expected)))
    assert_close(attentions[0], expected_attentions[0][:, [0, 3]])
    assert_close(attentions[1], expected_attentions[1][:, 1:])
    attention = trunk.encoder.layer[0].attention
    assert attention.self.query.weight.shape == (2 * HEAD_SIZE, 32)
    assert attention.output.dense.weight.shape == (32, 2 * HEAD_SIZE)
    assert (attention.self.num_attention_heads, attention.self.all_head_size) == (2, 16)
    # Heads are numbered anew: 2 of the last layer was 3.
    trunk.prune_heads({1: [2], 0: []})
    mask[1, 3] = 0
    _, *expected = model(**inputs, head_mask=mask)
    pruned.output_attentions = False  # the fast path
    output = pruned(**inputs)
    assert_close_all(flat_outputs(output), flat_outputs(tuple(expected)))
    gradients = [
        torch.autograd.grad(
            torch.stack([one.square().sum() for one in flat_outputs(outputs)]).sum(),
            layers_of(tree)[0].output.dense.weight,
        )[0]
        for tree, outputs in ((pruned, output), (model, tuple(expected)))
    ]
    assert_close(gradients[0], gradients[1], 1e-5 * max(1.0, float(gradients[1].abs().max())))


def test_pruned_model_trains_saves_and_copies(tiny_config: BertConfig) -> None:
    model = make_model(CLASS, tiny_config)
    model.bert.prune_heads({0: [0], 1: [1, 3]})
    model.bert.encoder.layer[0].attention.self.key.bias.requires_grad_(False)
    model.bert.prune_heads({0: [0]})
    assert not model.bert.encoder.layer[0].attention.self.key.bias.requires_grad
    expected = model(**plain_models.batch(CLASS))
    again = copy.deepcopy(model)
    again.load_state_dict(model.state_dict())
    assert_equal(again(**plain_models.batch(CLASS)), expected)
    model.train()(**plain_models.batch(CLASS), **plain_models.labels(CLASS)).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) is not parameter.requires_grad, name


def test_heads_that_cannot_be_pruned(tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keys = [*before]
    for heads, message in [
        ({2: [0]}, r"`heads_to_prune` must name layers in \[-2, 2\), but has 2\."),
        ({1: [0], 0: [4]}, r"`heads_to_prune\[0\]` must be in \[0, 4\), but 4 is among them\."),
        ({0: [-1]}, r"`heads_to_prune\[0\]` must be in \[0, 4\), but -1 is among them\."),
        (
            {1: [0, 1], -1: [2, 3]},
            r"`heads_to_prune\[1\]` must leave at least one of 4 heads, but names all\.",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            model.prune_heads(heads)
    assert [*model.state_dict()] == keys
    for name, value in model.state_dict().items():
        assert_equal(value, before[name])
    with pytest.raises(TypeError, match=r"`heads_to_prune\[0\]` must be ints, but are of dtype"):
        model.prune_heads({0: [0.5]})
    wrong: Any
    for wrong, message in [
        ({"0": [0]}, r"`heads_to_prune` must be a dict of lists of heads, .* is \{'0': \[0\]\}\."),
        ([0], r"`heads_to_prune` must be a dict of lists of heads, .* but is \[0\]\."),
        ({0: 1}, r"`heads_to_prune\[0\]` must be a list of heads, but is 1\."),
        ({0: ["a"]}, r"`heads_to_prune\[0\]` must be a list of heads, but is \['a'\]\."),
    ]:
        with pytest.raises(TypeError, match=message):
            model.prune_heads(wrong)
    model.encoder.layer[1].attention.self.value = nn.Identity()
    with pytest.raises(TypeError, match=r"`layer` must be an nn\.Linear, but is an Identity\."):
        model.prune_heads({0: [0], 1: [0]})
    assert model.encoder.layer[0].attention.self.num_attention_heads == HEADS
    with pytest.raises(ValueError, match=r"`heads` must be in \[0, 4\), but 7 is among them\."):
        model.encoder.layer[0].attention.prune_heads([7])


def test_one_layer_under_two_names_is_pruned_once(tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config)
    model.encoder.layer[1] = model.encoder.layer[0]
    model.prune_heads({0: [0], 1: [1], -2: [0]})
    assert model.encoder.layer[0].attention.self.num_attention_heads == 2
    assert model(torch.tensor([[1, 2, 3]]))[1].shape == (1, 32)


@pytest.mark.parametrize(
    "heads", [torch.tensor([1, 3]), [[1], [3]], (1, 3), {1, 3}, [torch.tensor(1), torch.tensor(3)]]
)
def test_heads_may_be_any_ints(heads: Any, tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config)
    kept = model.encoder.layer[0].attention.self.query.bias.view(HEADS, HEAD_SIZE)[[0, 2]].flatten()
    model.prune_heads({0: heads})
    assert_equal(model.encoder.layer[0].attention.self.query.bias, kept)


def test_prune_linear_layer_keeps_rows_or_columns() -> None:
    layer = nn.Linear(4, 3).double().eval()
    index = torch.tensor([2, 0])
    rows = prune_linear_layer(layer, index)
    assert (rows.in_features, rows.out_features, rows.training) == (4, 2, False)
    assert_equal(rows.weight, layer.weight[[2, 0]])
    assert rows.bias is not None
    assert_equal(rows.bias, layer.bias[[2, 0]])
    columns = prune_linear_layer(layer, index, dim=1)
    assert_equal(columns.weight, layer.weight[:, [2, 0]])
    assert_equal(columns.bias, layer.bias)
    assert prune_linear_layer(nn.Linear(4, 3, bias=False), index).bias is None


def test_head_masks_of_another_shape_are_refused(tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config)
    ids = torch.tensor([[1, 2, 3]])
    for mask, message in [
        (
            torch.ones(2, 4, 1),
            r"of shape \[heads\] or \[layers, heads\], but is of shape \[2, 4, 1\]",
        ),
        (torch.ones(3, 4), r"a row for each of 2 layers, but has 3\."),
        (torch.ones(3), r"for the 4 heads that the layer has, but is for 3\."),
    ]:
        with pytest.raises(ValueError, match=f"`head_mask` must .*{message}"):
            model(ids, head_mask=mask)
    with pytest.raises(TypeError, match=r"`head_mask` must be a torch\.Tensor, but is a list\."):
        model(ids, head_mask=[1, 1, 1, 1])


def test_head_masks_of_parts_are_checked(tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config)
    hidden = torch.randn(2, 4, 32)
    with pytest.raises(ValueError) as error:
        model.encoder.layer[0](hidden, None, torch.ones(4))
    assert str(error.value) == (
        "`head_mask` of a layer must be of shape [1, heads, 1, 1], but is of shape [4]."
    )
    with pytest.raises(ValueError) as error:
        model.encoder(hidden, None, True, torch.ones(2, 4))
    assert str(error.value) == (
        "`head_mask` of an encoder must be of shape [layers, 1, heads, 1, 1], but is of shape "
        "[2, 4]."
    )


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("hooked", [False, True])
def test_one_head_mask_serves_any_number_of_layers(
    count: int, hooked: bool, tiny_config: BertConfig
) -> None:
    model = make_model("BertModel", tiny_config)
    layers = [model.encoder.layer[0], model.encoder.layer[1], model.encoder.layer[0]]
    model.encoder.layer = nn.ModuleList(layers[:count])
    if hooked:
        model.encoder.register_forward_hook(lambda *_: None)
    ids = torch.tensor([[1, 2, 3]])
    expected = model(ids, head_mask=ROWS[0].expand(count, HEADS))[1]
    assert_equal(model(ids, head_mask=ROWS[0])[1], expected)


def test_options_may_be_set_later(tiny_config: BertConfig) -> None:
    model = make_model(CLASS, tiny_config)
    assert not model.output_attentions
    model.bert.encoder.output_attentions = True
    model.keep_multihead_output = True
    assert model.output_attentions
    assert model.bert.keep_multihead_output
    attentions, _ = model(**plain_models.batch(CLASS))
    assert len(attentions) == LAYERS
    assert model.bert.get_multihead_outputs()[0] is not None
    kept = weakref.ref(model.bert.get_multihead_outputs()[0])
    model.keep_multihead_output = model.output_attentions = False
    assert model.bert.get_multihead_outputs() == [None, None]
    assert isinstance(model(**plain_models.batch(CLASS)), Tensor)
    del attentions, _
    assert kept() is None


def test_kept_outputs_do_not_work_within_transforms(tiny_config: BertConfig) -> None:
    model = make_model(CLASS, tiny_config, keep_multihead_output=True)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(model, parameters, (torch.tensor([[1, 2]]),)).sum()

    with pytest.raises(RuntimeError, match="retain_grad"):
        torch.func.grad(loss)(parameters)


def test_head_masks_of_any_dtype(tiny_config: BertConfig) -> None:
    model = make_model("BertModel", tiny_config)
    ids = torch.tensor([[1, 2, 3]])
    mask = torch.tensor([1, 0, 1, 1])
    expected = model(ids, head_mask=mask.float())[1]
    for dtype in (torch.bool, torch.int64, torch.float16):
        assert_equal(model(ids, head_mask=mask.to(dtype))[1], expected)


def test_self_attention_alone_keeps_its_heads(tiny_config: BertConfig) -> None:
    attention = BertSelfAttention(tiny_config, keep_multihead_output=True)
    output = attention(torch.randn(2, 5, 32))
    assert output.shape == (2, 5, 32)
    assert attention.multihead_output is not None
    assert attention.multihead_output.shape == (2, HEADS, 5, HEAD_SIZE)
    attention.keep_multihead_output = False
    assert attention(torch.randn(2, 3, 32)).shape == (2, 3, 32)
    assert attention.multihead_output is None


def test_from_pretrained_takes_the_options(tiny_config: BertConfig, tmp_path: Path) -> None:
    model = make_model(CLASS, tiny_config)
    torch.save(model.state_dict(), tmp_path / ptbert.WEIGHTS_NAME)
    tiny_config.to_json_file(str(tmp_path / ptbert.CONFIG_NAME))
    loaded = ptbert.BertForSequenceClassification.from_pretrained(
        tmp_path, num_labels=3, output_attentions=True, keep_multihead_output=True
    ).eval()
    attentions, logits = loaded(**plain_models.batch(CLASS))
    assert len(attentions) == LAYERS
    assert_close(logits, model(**plain_models.batch(CLASS)))
    assert trunk_of(loaded).get_multihead_outputs()[0] is not None
