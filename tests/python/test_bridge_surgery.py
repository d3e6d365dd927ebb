"""Changes of a model's tree take effect in the next call, as in plain PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

import plain_models
from model_cases import flat_outputs
from parts_of_users import (
    AttentionOfTheUser,
    Doubled,
    DoubledLinear,
    EmbeddingsOfTheUser,
    EncoderOfTheUser,
    GPT2OfTheUser,
    GPTOfTheUser,
    LowRank,
    PoolerOfTheUser,
    PositionsOfTheUser,
    SoftmaxOfTheUser,
    TableOfTheUser,
    block_of_the_user,
    doubled,
    linear,
    sizes_of,
    values,
)
from plain_models import activation_of, family_of, part_of, put
from support import assert_close

pytestmark = pytest.mark.usefixtures("one_thread")

Change = Callable[[Any], None]
CHANGES: list[tuple[tuple[str, ...], Change]] = []


def change_of(*families: str) -> Callable[[Change], Change]:
    def register(function: Change) -> Change:
        CHANGES.append((families, function))
        return function

    return register


# Of any model, of those with a table of positions and an attribute for the activation, and of one
# family.
change = change_of("Bert", "GPT", "TransfoXL")
change_with_positions = change_of("Bert", "GPT")
change_of_bert = change_of("Bert")
change_of_gpt = change_of("GPT")
change_of_transfo_xl = change_of("TransfoXL")


def head(model: Any) -> str:
    if hasattr(model, "lm_head"):
        return "lm_head.decoder"
    return "classifier" if hasattr(model, "classifier") else "qa_outputs"


@change
def replace_parameter(model: Any) -> None:
    for role in ("dense", "queries"):
        part = part_of(model, role, 1)
        part.weight = nn.Parameter(values(role, *part.weight.shape))


@change
def assign_data(model: Any) -> None:
    dense = part_of(model, "dense")
    dense.weight.data = values("data", *dense.weight.shape)


@change_of_bert
def remove_bias(model: Any) -> None:
    model.bert.encoder.layer[0].attention.self.query.bias = None


@change_with_positions
def replace_head_by_sequence(model: Any) -> None:
    _, outputs = sizes_of(model.get_submodule(head(model)))
    layers = linear("a", 32, 8), nn.Tanh(), linear("b", 8, outputs)
    model.set_submodule(head(model), nn.Sequential(*layers))


@change_with_positions
def replace_head_by_other_width(model: Any) -> None:
    if head(model) == "classifier":
        model.classifier = linear("wide", 32, 7)
        model.num_labels = 7
    elif head(model) == "qa_outputs":
        model.qa_outputs = linear("wide", 32, 2, bias=False)
    else:
        model.lm_head.decoder = linear("wide", 32, 120)


@change
def replace_by_subclass(model: Any) -> None:
    dense = DoubledLinear(*sizes_of(part_of(model, "dense")))
    with torch.no_grad():
        dense.weight.copy_(values("subclass", *dense.weight.shape))
        dense.bias.zero_()
    put(model, "dense", dense)


@change
def add_low_rank(model: Any) -> None:
    for block in range(2):
        for role in ("queries", "dense"):
            put(model, role, LowRank(part_of(model, role, block)), block)


@change
def dropouts_to_identity(model: Any) -> None:
    for block in range(2):
        put(model, "dropout", nn.Identity(), block)
        put(model, "attention_dropout", nn.Identity(), block)


@change
def widen_feed_forward(model: Any) -> None:
    put(model, "inner", linear("into", 32, 50))
    put(model, "dense", linear("out", 50, 32))


@change_of_gpt
def replace_conv1d_by_linear(model: Any) -> None:
    for block in range(2):
        for role in ("queries", "attention_output", "inner", "dense"):
            conv = part_of(model, role, block)
            dense = nn.Linear(*sizes_of(conv))
            dense.weight, dense.bias = nn.Parameter(conv.weight.detach().t()), conv.bias
            put(model, role, dense, block)


@change_with_positions
def change_activation(model: Any) -> None:
    setattr(*activation_of(model, 0), torch.tanh)
    setattr(*activation_of(model, 1), nn.Softplus())


@change_with_positions
def change_heads(model: Any) -> None:
    attention = part_of(model, "attention")
    if family_of(model) == "bert":
        attention.num_attention_heads = 2
        attention.attention_head_size = 16
    else:
        attention.n_head = 2


@change
def cut_layers(model: Any) -> None:
    put(model, "blocks", part_of(model, "blocks")[:1])


@change
def delete_layer(model: Any) -> None:
    del part_of(model, "blocks")[0]


@change
def extend_layers(model: Any) -> None:
    blocks = part_of(model, "blocks")
    blocks.extend(copy.deepcopy(blocks[1]) for _ in range(2))


@change
def insert_layer(model: Any) -> None:
    part_of(model, "blocks").insert(1, block_of_the_user(model))


@change
def share_layers(model: Any) -> None:
    put(model, "blocks", nn.ModuleList([part_of(model, "block")] * 4))


@change
def replace_layer(model: Any) -> None:
    part_of(model, "blocks")[0] = block_of_the_user(model)


@change_with_positions
def replace_self_attention(model: Any) -> None:
    bert = family_of(model) == "bert"
    put(model, "attention", AttentionOfTheUser() if bert else block_of_the_user(model))


@change_of_bert
def replace_attention(model: Any) -> None:
    model.bert.encoder.layer[1].attention = AttentionOfTheUser()


@change_of_bert
def replace_all_embeddings(model: Any) -> None:
    model.bert.embeddings = EmbeddingsOfTheUser()


@change_of_gpt
def replace_embeddings(model: Any) -> None:
    put(model, "words", TableOfTheUser())
    put(model, "positions", TableOfTheUser())


@change_of_bert
def replace_encoder(model: Any) -> None:
    model.bert.encoder = EncoderOfTheUser()


@change_of_bert
def replace_pooler(model: Any) -> None:
    model.bert.pooler = PoolerOfTheUser()


@change_of_gpt
def replace_trunk(model: Any) -> None:
    model.transformer = GPT2OfTheUser() if family_of(model) == "gpt2" else GPTOfTheUser()


@change_of_gpt
def replace_feed_forward(model: Any) -> None:
    model.transformer.h[1].mlp = nn.Sequential(linear("m", 32, 40), nn.GELU(), linear("n", 40, 32))


@change_with_positions
def replace_norms(model: Any) -> None:
    put(model, "norm", nn.RMSNorm(32))
    put(model, "norm", nn.LayerNorm(32, bias=False), 1)
    if family_of(model) == "bert":
        model.bert.embeddings.LayerNorm = nn.Identity()
    else:
        model.transformer.h[1].ln_1 = nn.Identity()


@change
def swap_embeddings(model: Any) -> None:
    words = nn.Embedding.from_pretrained(values("words", 120, 32), freeze=False, padding_idx=0)
    put(model, "words", words)


@change_of_gpt
def swap_embeddings_and_tie_the_head_again(model: Any) -> None:
    swap_embeddings(model)
    model.lm_head.decoder.weight = part_of(model, "words").weight


@change_of_gpt
def untie_the_head(model: Any) -> None:
    model.lm_head.decoder.weight = nn.Parameter(values("decoder", 99, 32))


@change_with_positions
def resize_embeddings(model: Any) -> None:
    part_of(model, "positions").weight = nn.Parameter(values("positions", 9, 32))


@change_with_positions
def scale_by_frequency(model: Any) -> None:
    part_of(model, "positions").scale_grad_by_freq = True


@change
def limit_norms(model: Any) -> None:
    part_of(model, "words").max_norm = 0.1


@change
def change_padding_row(model: Any) -> None:
    part_of(model, "words").padding_idx = 7


@change
def change_dropout(model: Any) -> None:
    part_of(model, "dropout").p = 0.7
    part_of(model, "embeddings_dropout").p = 0.0


@change
def dropout_in_place(model: Any) -> None:
    part_of(model, "dropout").inplace = True


@change
def change_epsilon(model: Any) -> None:
    part_of(model, "norm").eps = 0.5


@change
def evaluate_one_dropout(model: Any) -> None:
    part_of(model, "attention_dropout").eval()


@change
def train_one_layer(model: Any) -> None:
    model.eval()
    part_of(model, "block", 1).train()


@change
def patch_forward_of_leaf(model: Any) -> None:
    inner = part_of(model, "inner")
    forward = inner.forward
    inner.forward = lambda x: 3 * forward(x)


@change
def patch_forward_of_layer(model: Any) -> None:
    layer = part_of(model, "block")
    forward = layer.forward
    layer.forward = lambda *inputs: doubled(forward(*inputs))


@change
def patch_forward_of_trunk(model: Any) -> None:
    trunk = part_of(model, "trunk")
    forward = trunk.forward
    trunk.forward = lambda *inputs: doubled(forward(*inputs))


@change_of_bert
def patch_forward_of_encoder(model: Any) -> None:
    forward = model.bert.encoder.forward
    model.bert.encoder.forward = lambda *args: [2 * x for x in forward(*args)]


@change_with_positions
def freeze_embeddings(model: Any) -> None:
    part_of(model, "words").requires_grad_(False)
    part_of(model, "positions").requires_grad_(False)


@change
def add_parametrization(model: Any) -> None:
    parametrize.register_parametrization(part_of(model, "dense"), "weight", Doubled())
    parametrize.register_parametrization(part_of(model, "norm"), "bias", Doubled())


@change
def normalise_weight(model: Any) -> None:
    nn.utils.parametrizations.weight_norm(part_of(model, "inner"))


@change
def prune_weight(model: Any) -> None:
    prune.l1_unstructured(part_of(model, "dense"), "weight", amount=0.5)


@change
def prune_for_good(model: Any) -> None:
    dense = part_of(model, "dense")
    prune.l1_unstructured(dense, "weight", amount=0.5)
    part_of(model, "trunk")(torch.tensor([[1, 2, 3]]))
    prune.remove(dense, "weight")


@change_of_transfo_xl
def freeze_tables(model: Any) -> None:
    part_of(model, "embeddings").requires_grad_(False)


@change_of_transfo_xl
def change_lengths(model: Any) -> None:
    trunk = model.transformer
    trunk.mem_len, trunk.clamp_len, trunk.same_length = 4, 2, False


@change_of_transfo_xl
def untie_biases_tables_and_projections(model: Any) -> None:
    part_of(model, "attention").r_w_bias = nn.Parameter(values("r_w_bias", 4, 8))
    model.crit.out_layers[1].weight = nn.Parameter(values("table", 40, 16))
    model.crit.out_projs[2] = nn.Parameter(values("projection", 32, 8))


@change_of_transfo_xl
def replace_activation(model: Any) -> None:
    model.transformer.layers[0].pos_ff.CoreNet[1] = nn.Softplus()


@change_of_transfo_xl
def extend_feed_forward(model: Any) -> None:
    model.transformer.layers[0].pos_ff.CoreNet.append(nn.Tanh())


@change_of_transfo_xl
def shorten_feed_forward(model: Any) -> None:
    del model.transformer.layers[1].pos_ff.CoreNet[2]


@change_of_transfo_xl
def replace_part_of_the_output(model: Any) -> None:
    model.crit.out_layers[0] = nn.Sequential(linear("a", 32, 8), nn.Tanh(), linear("b", 8, 20))


@change_of_transfo_xl
def replace_output(model: Any) -> None:
    model.crit = SoftmaxOfTheUser()


@change_of_transfo_xl
def replace_table_of_positions(model: Any) -> None:
    model.transformer.pos_emb.inv_freq = torch.rand(16, generator=torch.Generator().manual_seed(1))


@change_of_transfo_xl
def replace_positions(model: Any) -> None:
    model.transformer.pos_emb = PositionsOfTheUser()


@change_of_gpt
def change_mask(model: Any) -> None:
    part_of(model, "attention").bias[..., 2] = 1  # all may see the third token


@change_of_gpt
def replace_mask(model: Any) -> None:
    for block in range(2):
        attention = part_of(model, "attention", block)
        attention.register_buffer("bias", attention.bias.triu(-1) * attention.bias)


@change_of_gpt
def replace_mask_by_attribute(model: Any) -> None:
    attention = part_of(model, "attention")
    mask = attention.bias.flip(-1).flip(-2)  # future tokens only
    del attention.bias
    attention.bias = mask


@change
def set_attributes(model: Any) -> None:
    for module in model.modules():
        module.note = object()


@change
def add_unused_parts(model: Any) -> None:
    part_of(model, "block").register_buffer("statistics", torch.zeros(3))
    part_of(model, "queries").add_module("unused", nn.Linear(2, 2))
    part_of(model, "dense").register_parameter("unused", nn.Parameter(torch.zeros(3)))


@change
def add_parameter_to_list(model: Any) -> None:
    part_of(model, "blocks").scale = nn.Parameter(torch.ones(1))


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
@pytest.mark.parametrize(
    ("class_name", "change"),
    [
        (name, function)
        for name in plain_models.CLASSES
        for families, function in CHANGES
        if any(family in name for family in families)
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_change_takes_effect(
    class_name: str, change: Change, called_before: bool, pair: tuple[Any, Any]
) -> None:
    model, plain = pair
    if called_before:
        plain_models.assert_agree(model, plain, class_name)
    change(model)
    change(plain)
    atol = TOLERANCES.get(change.__name__)
    relative = atol is not None
    if class_name == plain_models.TRANSFO_XL:  # whose log-probabilities are numbers of about 5
        atol, relative = 2 * (atol or 5e-6), True
    plain_models.assert_agree(model, plain, class_name, atol or 1e-5, relative=relative)


@pytest.mark.parametrize("class_name", plain_models.BERT_CLASSES)
def test_larger_embeddings_take_larger_inputs(class_name: str) -> None:
    """Ids, token types and lengths past those of the configuration."""
    model, plain = plain_models.make_pair(class_name)
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


def test_larger_embeddings_and_mask_of_gpt2_take_larger_inputs() -> None:
    model, plain = plain_models.make_pair("GPT2LMHeadModel", n_positions=12, n_ctx=12)
    ids = torch.tensor([[119, 99, 3, 118] * 4])
    with pytest.raises(IndexError, match="`input_ids` must be in"):
        model(ids)
    with pytest.raises(IndexError, match="`input_ids` must hold at most 12 tokens a row"):
        model(ids % 99)
    for tree in (model.eval(), plain.eval()):
        swap_embeddings_and_tie_the_head_again(tree)
        part_of(tree, "positions").weight = nn.Parameter(values("positions", 20, 32))
        for block in range(2):
            part_of(tree, "attention", block).bias = torch.ones(1, 1, 20, 20).tril()
    for output, wanted in zip(flat_outputs(model(ids)), flat_outputs(plain(ids)), strict=True):
        assert_close(output, wanted)
    plain_models.assert_agree(model, plain, "GPT2LMHeadModel")
