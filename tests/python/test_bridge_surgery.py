"""Changes of a model's tree take effect in the next call, as in plain PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import plain_bert
from model_cases import flat_outputs
from ptbert import BertConfig
from support import assert_close, seeded_values

pytestmark = pytest.mark.usefixtures("one_thread")

Change = Callable[[Any], None]
CHANGES: list[Change] = []


def change(function: Change) -> Change:
    CHANGES.append(function)
    return function


def values(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(seeded_values(name, shape)).float()


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    module = nn.Linear(inputs, outputs, bias)
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            parameter.copy_(values(f"{name}.{key}", *parameter.shape))
    return module


class LowRank(nn.Module):
    """A linear layer with a trained correction of low rank, as in LoRA."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = linear("down", base.in_features, 2, bias=False)
        self.up = linear("up", 2, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


class LayerOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = linear("user", 32, 32)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        assert attention_mask is not None
        return hidden_states + self.dense(hidden_states) * (attention_mask[:, 0, 0, :, None] == 0)


class AttentionOfTheUser(nn.Module):
    """Takes the arguments of a self-attention or an attention, and uses only the mask."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = linear("attention", 32, 32)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        weights = torch.softmax(attention_mask[:, 0, 0], -1)
        return hidden_states + self.dense(weights[:, :, None] * hidden_states)


class EmbeddingsOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(values("own", 99, 32), freeze=False)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        assert token_type_ids is not None
        return self.words(input_ids) + token_type_ids[:, :, None]


class EncoderOfTheUser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerOfTheUser()

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, output_all_encoded_layers: bool = True
    ) -> list[Tensor]:
        assert not output_all_encoded_layers
        return [self.layer(hidden_states, attention_mask)]


class PoolerOfTheUser(nn.Module):
    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states.mean(1)


class DoubledLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class Doubled(nn.Module):
    """A parametrization."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def head(model: Any) -> str:
    return "classifier" if hasattr(model, "classifier") else "qa_outputs"


@change
def replace_parameter(model: Any) -> None:
    model.bert.pooler.dense.weight = nn.Parameter(values("pooler", 32, 32))
    model.bert.encoder.layer[1].attention.self.key.weight = nn.Parameter(values("key", 32, 32))


@change
def assign_data(model: Any) -> None:
    model.bert.encoder.layer[0].output.dense.weight.data = values("data", 32, 37)


@change
def remove_bias(model: Any) -> None:
    model.bert.encoder.layer[0].attention.self.query.bias = None


@change
def replace_head_by_sequence(model: Any) -> None:
    setattr(
        model,
        head(model),
        nn.Sequential(
            linear("a", 32, 8), nn.Tanh(), linear("b", 8, getattr(model, "num_labels", 2))
        ),
    )


@change
def replace_head_by_other_width(model: Any) -> None:
    if head(model) == "classifier":
        model.classifier = linear("wide", 32, 7)
        model.num_labels = 7
    else:
        model.qa_outputs = linear("wide", 32, 2, bias=False)


@change
def replace_by_subclass(model: Any) -> None:
    model.bert.pooler.dense = DoubledLinear(32, 32)
    with torch.no_grad():
        model.bert.pooler.dense.weight.copy_(values("subclass", 32, 32))
        model.bert.pooler.dense.bias.zero_()


@change
def add_low_rank(model: Any) -> None:
    for layer in model.bert.encoder.layer:
        layer.attention.self.query = LowRank(layer.attention.self.query)
        layer.attention.self.value = LowRank(layer.attention.self.value)


@change
def dropouts_to_identity(model: Any) -> None:
    for layer in model.bert.encoder.layer:
        layer.output.dropout = nn.Identity()
        layer.attention.self.dropout = nn.Identity()


@change
def widen_feed_forward(model: Any) -> None:
    model.bert.encoder.layer[0].intermediate.dense = linear("into", 32, 50)
    model.bert.encoder.layer[0].output.dense = linear("out", 50, 32)


@change
def change_activation(model: Any) -> None:
    model.bert.encoder.layer[0].intermediate.intermediate_act_fn = torch.tanh
    model.bert.encoder.layer[1].intermediate.intermediate_act_fn = nn.Softplus()


@change
def change_heads(model: Any) -> None:
    attention = model.bert.encoder.layer[0].attention.self
    attention.num_attention_heads = 2
    attention.attention_head_size = 16


@change
def cut_layers(model: Any) -> None:
    model.bert.encoder.layer = model.bert.encoder.layer[:1]


@change
def delete_layer(model: Any) -> None:
    del model.bert.encoder.layer[0]


@change
def extend_layers(model: Any) -> None:
    model.bert.encoder.layer.extend(copy.deepcopy(model.bert.encoder.layer[1]) for _ in range(2))


@change
def insert_layer(model: Any) -> None:
    model.bert.encoder.layer.insert(1, LayerOfTheUser())


@change
def share_layers(model: Any) -> None:
    model.bert.encoder.layer = nn.ModuleList([model.bert.encoder.layer[0]] * 4)


@change
def replace_layer(model: Any) -> None:
    model.bert.encoder.layer[0] = LayerOfTheUser()


@change
def replace_self_attention(model: Any) -> None:
    model.bert.encoder.layer[0].attention.self = AttentionOfTheUser()


@change
def replace_attention(model: Any) -> None:
    model.bert.encoder.layer[1].attention = AttentionOfTheUser()


@change
def replace_all_embeddings(model: Any) -> None:
    model.bert.embeddings = EmbeddingsOfTheUser()


@change
def replace_encoder(model: Any) -> None:
    model.bert.encoder = EncoderOfTheUser()


@change
def replace_pooler(model: Any) -> None:
    model.bert.pooler = PoolerOfTheUser()


@change
def replace_norms(model: Any) -> None:
    model.bert.embeddings.LayerNorm = nn.Identity()
    model.bert.encoder.layer[0].output.LayerNorm = nn.RMSNorm(32)
    model.bert.encoder.layer[1].attention.output.LayerNorm = nn.LayerNorm(32, bias=False)


@change
def swap_embeddings(model: Any) -> None:
    model.bert.embeddings.word_embeddings = nn.Embedding.from_pretrained(
        values("words", 120, 32), freeze=False, padding_idx=0
    )


@change
def resize_embeddings(model: Any) -> None:
    model.bert.embeddings.position_embeddings.weight = nn.Parameter(values("positions", 9, 32))


@change
def scale_by_frequency(model: Any) -> None:
    model.bert.embeddings.token_type_embeddings.scale_grad_by_freq = True


@change
def limit_norms(model: Any) -> None:
    model.bert.embeddings.word_embeddings.max_norm = 0.1


@change
def change_padding_row(model: Any) -> None:
    model.bert.embeddings.word_embeddings.padding_idx = 7


@change
def change_dropout(model: Any) -> None:
    model.bert.encoder.layer[0].output.dropout.p = 0.7
    model.bert.embeddings.dropout.p = 0.0


@change
def dropout_in_place(model: Any) -> None:
    model.bert.encoder.layer[0].output.dropout.inplace = True


@change
def change_epsilon(model: Any) -> None:
    model.bert.encoder.layer[0].output.LayerNorm.eps = 0.5


@change
def evaluate_one_dropout(model: Any) -> None:
    model.bert.encoder.layer[0].attention.self.dropout.eval()


@change
def train_one_layer(model: Any) -> None:
    model.eval()
    model.bert.encoder.layer[1].train()


@change
def patch_forward_of_leaf(model: Any) -> None:
    dense = model.bert.encoder.layer[0].intermediate.dense
    forward = dense.forward
    dense.forward = lambda x: 3 * forward(x)


@change
def patch_forward_of_layer(model: Any) -> None:
    layer = model.bert.encoder.layer[0]
    forward = layer.forward
    layer.forward = lambda hidden_states, mask: 0.5 * forward(hidden_states, mask)


@change
def patch_forward_of_trunk(model: Any) -> None:
    forward = model.bert.forward

    def patched(*args: Any) -> tuple[Tensor, Tensor]:
        hidden, pooled = forward(*args)
        return 2 * hidden, 2 * pooled

    model.bert.forward = patched


@change
def patch_forward_of_encoder(model: Any) -> None:
    forward = model.bert.encoder.forward
    model.bert.encoder.forward = lambda *args: [2 * x for x in forward(*args)]


@change
def freeze_embeddings(model: Any) -> None:
    model.bert.embeddings.requires_grad_(False)


@change
def add_parametrization(model: Any) -> None:
    parametrize.register_parametrization(model.bert.pooler.dense, "weight", Doubled())
    parametrize.register_parametrization(
        model.bert.encoder.layer[0].output.LayerNorm, "bias", Doubled()
    )


@change
def normalise_weight(model: Any) -> None:
    nn.utils.parametrizations.weight_norm(model.bert.encoder.layer[0].intermediate.dense)


@change
def prune_weight(model: Any) -> None:
    dense = model.bert.encoder.layer[0].output.dense
    prune.l1_unstructured(dense, "weight", amount=0.5)


@change
def prune_for_good(model: Any) -> None:
    dense = model.bert.encoder.layer[0].output.dense
    prune.l1_unstructured(dense, "weight", amount=0.5)
    model(torch.tensor([[1, 2, 3]]))
    prune.remove(dense, "weight")


@change
def set_attributes(model: Any) -> None:
    for module in model.modules():
        module.note = object()


@change
def add_unused_parts(model: Any) -> None:
    layer = model.bert.encoder.layer[0]
    layer.register_buffer("statistics", torch.zeros(3))
    layer.attention.self.query.add_module("unused", nn.Linear(2, 2))
    model.bert.pooler.dense.register_parameter("unused", nn.Parameter(torch.zeros(3)))


@change
def add_parameter_to_list(model: Any) -> None:
    model.bert.encoder.layer.scale = nn.Parameter(torch.ones(1))


@change
def to_double(model: Any) -> None:
    model.double()


@change
def to_half(model: Any) -> None:
    model.half()


@change
def to_bfloat16(model: Any) -> None:
    model.to(torch.bfloat16)


TOLERANCES = {"to_half": 2e-3, "to_bfloat16": 2e-2}


@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("class_name", plain_bert.CLASSES)
def test_change_takes_effect(
    class_name: str, change: Change, called_before: bool, tiny_config: BertConfig
) -> None:
    model, plain = plain_bert.make_pair(class_name, tiny_config)
    if called_before:
        plain_bert.assert_agree(model, plain, class_name)
    change(model)
    change(plain)
    plain_bert.assert_agree(model, plain, class_name, TOLERANCES.get(change.__name__, 1e-5))


@pytest.mark.parametrize("class_name", plain_bert.CLASSES)
def test_larger_embeddings_take_larger_inputs(class_name: str, tiny_config: BertConfig) -> None:
    """Ids, token types and lengths past those of the configuration."""
    model, plain = plain_bert.make_pair(class_name, tiny_config)
    batch = {
        "input_ids": torch.tensor([[119, 99, 3, 118] * 150]),
        "token_type_ids": torch.tensor([[4, 0, 2, 3] * 150]),
    }
    with pytest.raises(IndexError, match="`input_ids` must hold at most 512 tokens a row"):
        model(**batch)
    for tree in (model.eval(), plain.eval()):
        embeddings = tree.bert.embeddings
        embeddings.word_embeddings = nn.Embedding.from_pretrained(
            values("words", 120, 32), freeze=False
        )
        embeddings.position_embeddings.weight = nn.Parameter(values("positions", 600, 32))
        embeddings.token_type_embeddings = nn.Embedding.from_pretrained(
            values("types", 5, 32), freeze=False
        )
    results = []
    for tree in (model, plain):
        outputs = flat_outputs(tree(**batch))
        torch.cat(outputs).square().sum().backward()
        results.append((outputs, tree.bert.embeddings.word_embeddings.weight.grad))
    (outputs, gradient), (expected, expected_gradient) = results
    for output, wanted in zip(outputs, expected, strict=True):
        assert_close(output, wanted)
    assert_close(gradient / expected_gradient.norm(), expected_gradient / expected_gradient.norm())
    batch["token_type_ids"][0, 0] = 5
    with pytest.raises(IndexError, match=r"`token_type_ids` must be in \[0, 5\), but holds 5"):
        model(**batch)
