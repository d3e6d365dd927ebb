"""Transformer-XL's models and parts: what 0.6.2 cannot run, inputs that are refused, lengths,
initialisation, parts on their own."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import ptbert
from ptbert import modeling_transfo_xl, modeling_transfo_xl_utilities
from ptbert.modeling_transfo_xl_utilities import (
    LogUniformSampler,
    ProjectedAdaptiveLogSoftmax,
)
from support import assert_close, assert_equal, seed_weights, seeded_ids, seeded_values
from transfo_xl_cases import CASES_BY_NAME, NEW_CASES, TINY_TRANSFO_XL, TransfoXLCase

IDS = torch.tensor([[3, 28, 0], [15, 7, 6]])


def make(head: bool = True, **fields: Any) -> Any:
    config = ptbert.TransfoXLConfig.from_dict({**TINY_TRANSFO_XL, **fields})
    model = (ptbert.TransfoXLLMHeadModel if head else ptbert.TransfoXLModel)(config)
    seed_weights(model)
    return model.eval()


# Gradients where there is no reference


def scalar(model: Any, case: TransfoXLCase) -> Tensor:
    """A loss behind a given memory that is random only through the seed."""
    torch.manual_seed(1)
    input_ids, target = case.segments[0]
    mems = [torch.from_numpy(seeded_values(f"mems.{i}", (6, 2, 8))) for i in range(2)]
    loss: Tensor = model(input_ids, target, mems)[0].sum()
    return loss


@pytest.mark.parametrize("case", NEW_CASES, ids=lambda case: case.name)
def test_gradients_are_those_of_the_loss(case: TransfoXLCase) -> None:
    """Along a random direction, by central differences in float64."""
    model = make(**case.config, dropout=0.0, dropatt=0.0).double().train()
    scalar(model, case).backward()
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.double)
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        sides = []
        with torch.no_grad():
            for step in (1e-6, -2e-6):
                parameter.add_(direction, alpha=step)
                sides.append(scalar(model, case))
            parameter.add_(direction, alpha=1e-6)
        measured = float(sides[0] - sides[1]) / 2e-6
        assert math.isclose(
            float((gradient * direction).sum()), measured, rel_tol=1e-5, abs_tol=1e-6
        ), name


def test_softmax_without_clusters_is_plain() -> None:
    softmax = ProjectedAdaptiveLogSoftmax(11, 8, 8, [])
    hidden, target = torch.randn(5, 8), torch.tensor([0, 10, 3, 3, 7])
    layer: Any = softmax.out_layers[0]
    expected = F.linear(hidden, layer.weight, layer.bias).log_softmax(-1)
    assert_close(softmax(hidden), expected)
    assert_close(softmax.log_prob(hidden), expected)
    assert_close(softmax(hidden, target), F.cross_entropy(expected, target, reduction="none"))


def test_own_biases_of_learned_positions_differ_by_layer() -> None:
    """With equal rows in all of them they are the shared ones."""
    own, shared = make(attn_type=1), make(attn_type=1, untie_r=False)
    state = own.state_dict()
    state |= {k: v for k, v in shared.state_dict().items() if k in state and "r_w_bias" not in k}
    rows = shared.transformer.r_w_bias
    for layer in range(2):
        name = f"transformer.layers.{layer}.dec_attn.r_w_bias"
        state[name] = rows[layer].expand(3, 4)
    own.load_state_dict(state)
    for output, expected in zip(own(IDS, IDS)[0], shared(IDS, IDS)[0], strict=True):
        assert_close(output, expected)


# The sampled softmax


def test_log_uniform_sampler_draws_low_ids_more_often() -> None:
    sampler = LogUniformSampler(100, 200)
    expected = torch.tensor([math.log((i + 2) / (i + 1)) / math.log(101) for i in range(100)])
    assert_close(sampler.dist, expected)
    # As 2019 wrote it.
    expected = torch.log(-torch.expm1(-expected.double().log1p() * 400))
    assert_close(sampler.log_q, expected, atol=1e-4)
    labels = torch.tensor([[1, 99]])
    true_log_probs, samp_log_probs, ids = sampler.sample(labels)
    assert_equal(true_log_probs, sampler.log_q[labels])
    assert_equal(samp_log_probs, sampler.log_q[ids])
    assert_equal(ids, ids.unique())
    assert len(ids) < 100


def test_sampler_is_that_of_the_original_and_draws_alike() -> None:
    original = pytest.importorskip("pytorch_pretrained_bert.modeling_transfo_xl_utilities")
    labels = torch.tensor([[1, 99]])
    results = []
    for module in (modeling_transfo_xl_utilities, original):
        torch.manual_seed(1)
        results.append(module.LogUniformSampler(100, 20).sample(labels))
    for mine, theirs in zip(*results, strict=True):
        assert_close(mine, theirs)


def test_sample_logits_are_those_of_the_original() -> None:
    original = pytest.importorskip("pytorch_pretrained_bert.modeling_transfo_xl_utilities")
    table, bias = nn.Embedding(50, 8), torch.randn(50)
    labels, inputs = seeded_ids("labels", (2, 3), 0, 50), torch.randn(2, 3, 8)
    results = []
    for module in (modeling_transfo_xl_utilities, original):
        torch.manual_seed(1)
        sampler = module.LogUniformSampler(50, 9)
        results.append(module.sample_logits(table, bias, labels, inputs, sampler))
    assert_close(results[0], results[1])


def test_sampler_is_pickled_by_its_sizes() -> None:
    sampler = pickle.loads(pickle.dumps(LogUniformSampler(100, 7)))
    assert (sampler.range_max, sampler.n_sample) == (100, 7)


@pytest.mark.parametrize(("sizes", "name"), [((0, 5), "range_max"), ((5, 0), "n_sample")])
def test_sampler_of_impossible_sizes_is_refused(sizes: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^`{name}` must be at least 1, but is 0\.$"):
        LogUniformSampler(*sizes)


def test_sampled_loss_comes_close_to_the_dense_one_with_more_samples() -> None:
    fields = {**CASES_BY_NAME["sampled"].config, "dropout": 0.0, "dropatt": 0.0}
    dense = make(**fields)(IDS, IDS)[0].detach()
    distances = []
    for samples in (20, 200, 20000):
        model = make(**{**fields, "sample_softmax": samples}).train()
        losses = torch.stack([model(IDS, IDS)[0].detach() for _ in range(20)]).mean(0)
        distances.append(float((losses - dense).abs().mean()))
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 1e-4


def test_sampled_model_gives_all_probabilities_in_evaluation() -> None:
    model = make(**CASES_BY_NAME["sampled"].config)
    log_probs, _ = model(IDS)
    assert_close(log_probs.exp().sum(-1), torch.ones(2, 3))
    assert_close(model(IDS, IDS)[0], -log_probs.gather(-1, IDS[..., None]).squeeze(-1))
    assert model.out_layer.weight is model.transformer.word_emb.emb_layers[0].weight
    assert (model.sampler.range_max, model.sampler.n_sample) == (29, 20)
    with pytest.raises(AttributeError, match="sampler"):
        _ = make().sampler


def test_sampled_softmax_refuses_a_replaced_output_in_training() -> None:
    model = make(**CASES_BY_NAME["sampled"].config).train()
    model.out_layer = nn.Sequential(nn.Linear(8, 29))
    with pytest.raises(TypeError, match=r"^`out_layer` must be an nn.Linear with bias"):
        model(IDS, IDS)
    assert model.eval()(IDS, IDS)[0].shape == (2, 3)


# Inputs


BAD_INPUTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"input_ids": torch.tensor([[1, 29]])},
        IndexError,
        "`input_ids` must be in [0, 29), but holds 29.",
    ),
    (
        {"input_ids": torch.tensor([[1, -1]])},
        IndexError,
        "`input_ids` must be in [0, 29), but holds -1.",
    ),
    (
        {"input_ids": torch.tensor([1, 2])},
        ValueError,
        "`input_ids` must be of shape [batch, seq], but is of shape [2].",
    ),
    (
        {"input_ids": torch.ones(2, 3)},
        TypeError,
        "`input_ids` must be of dtype int64 or int32, but is float32.",
    ),
    ({"input_ids": [[1]]}, TypeError, "`input_ids` must be a torch.Tensor, but is a list."),
    (
        {"target": torch.full((2, 3), 29)},
        IndexError,
        "`target` must be in [0, 29), but holds 29.",
    ),
    (
        {"target": torch.full((2, 3), -1)},
        IndexError,
        "`target` must be in [0, 29), but holds -1.",
    ),
    (
        {"target": torch.ones(2, 2, dtype=torch.long)},
        ValueError,
        "`target` must be of the shape of `input_ids`, [2, 3], but is of shape [2, 2].",
    ),
    (
        {"target": torch.ones(2, 3)},
        TypeError,
        "`target` must be of dtype int64, but is float32.",
    ),
    (
        {"mems": [torch.zeros(6, 2, 8)]},
        ValueError,
        "`mems` must have an entry for each of 2 layers, but has 1.",
    ),
    (
        {"mems": [torch.zeros(6, 3, 8)] * 2},
        ValueError,
        "`mems` must hold tensors of shape [mem_len, 2, 8], but hold one of shape [6, 3, 8].",
    ),
    (
        {"mems": [torch.zeros(6, 2, 8), torch.zeros(5, 2, 8)]},
        ValueError,
        "`mems` must hold tensors of one length, but hold one of 5 after one of 6.",
    ),
    (
        {"mems": [torch.zeros(6, 2, 8, dtype=torch.double)] * 2},
        TypeError,
        "`mems` must hold tensors of dtype float32, but hold one of float64.",
    ),
    ({"mems": 3}, TypeError, "`mems` must be a list of tensors, but is an int."),
]


@pytest.mark.parametrize(("inputs", "error", "message"), BAD_INPUTS)
def test_wrong_input_is_named(inputs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        make()(**{"input_ids": IDS, **inputs})
    assert str(raised.value) == message


def test_memory_of_any_length_is_taken() -> None:
    model = make(same_length=False)
    for length in (0, 1, 11):
        output, mems = model(IDS, mems=[torch.zeros(length, 2, 8)] * 2)
        assert output.shape == (2, 3, 29)
        assert [len(memory) for memory in mems] == [min(length + 3, 6)] * 2


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ((0, 0, 0), ValueError, "`tgt_len` must be at least 1, but is 0."),
        ((4, -1, 0), ValueError, "`ext_len` must be at least 0, but is -1."),
        ((4, 0, -1), ValueError, "`mem_len` must be at least 0, but is -1."),
        ((4, 0, 2.5), TypeError, "`mem_len` must be an int, but is a float."),
    ],
)
def test_impossible_lengths_are_refused(
    lengths: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    model = make()
    with pytest.raises(error) as raised:
        model.reset_length(*lengths)
    assert str(raised.value) == message
    assert model.transformer.mem_len == 6
    if error is ValueError:
        trunk = model.transformer
        trunk.tgt_len, trunk.ext_len, trunk.mem_len = lengths
        with pytest.raises(error) as raised:
            model(IDS)
        assert str(raised.value) == message


def test_lengths_are_changed_for_the_next_call() -> None:
    model = make()
    model.reset_length(3, 1, 9)
    trunk = model.transformer
    assert (trunk.tgt_len, trunk.ext_len, trunk.mem_len) == (3, 1, 9)
    assert model(IDS)[1][0].shape == (9 - 1 + 3 - 2, 2, 8)
    assert [memory.shape for memory in model.init_mems(IDS.t())] == [(9, 2, 8)] * 2
    model.reset_length(3, 0, 0)
    assert model.init_mems(IDS.t()) is None
    assert model(IDS)[1] is None


def test_memory_is_left_as_it_is() -> None:
    """0.6.2 added positions to the caller's."""
    kinds: list[dict[str, Any]] = [{"attn_type": 2}, {"attn_type": 3, "n_head": 2}]
    for fields in kinds:
        model = make(**fields)
        mems = [torch.ones(6, 2, 8) for _ in range(2)]
        with torch.no_grad():
            model(IDS, mems=mems)
        assert all(bool((memory == 1).all()) for memory in mems)


def test_new_memory_has_no_gradient_and_holds_the_hidden_states() -> None:
    """The recipe for all hidden states: embeddings and the outputs of all layers but the last are
    in the memory, the last output is returned."""
    model = make(head=False)
    last_hidden, new_mems = model(IDS)
    assert last_hidden.requires_grad
    assert not any(memory.requires_grad for memory in new_mems)
    seq = IDS.size(1)
    states = [memory[-seq:].transpose(0, 1) for memory in new_mems] + [last_hidden]
    assert [state.shape for state in states] == [(2, 3, 8)] * 3
    assert_close(states[0], model.word_emb(IDS))
    assert_close(
        states[-1],
        model.layers[1](
            states[1].transpose(0, 1),
            model.pos_emb(torch.arange(8.0, -1, -1).clamp(max=7)),
            dec_attn_mask=torch.ones(3, 9).triu(7)[..., None] + torch.ones(3, 9).tril(0)[..., None],
            mems=torch.zeros(6, 2, 8),
        ).transpose(0, 1),
    )


# Initialisation


def test_weights_start_as_the_configuration_says() -> None:
    fields = {"n_token": 4000, "cutoffs": [500, 2000], "d_model": 64, "d_embed": 64}
    fields |= {"proj_init_std": 0.5, "untie_r": False, "n_head": 16, "d_head": 16}
    config = ptbert.TransfoXLConfig.from_dict({**TINY_TRANSFO_XL, **fields})
    model = ptbert.TransfoXLLMHeadModel(config)
    for name, parameter in model.state_dict().items():
        if "layer_norm.weight" in name:
            assert 0 < float(parameter.std()) < 0.05
            assert abs(float(parameter.mean()) - 1) < 0.02
        elif name.endswith("inv_freq"):
            continue
        elif name.endswith("bias") and not name.endswith(("r_w_bias", "r_r_bias")):
            assert not parameter.any(), name
        else:
            expected = 0.5 if "projs" in name else 0.02
            assert float(parameter.std()) == pytest.approx(expected, rel=0.3), name
    uniform: Any = ptbert.TransfoXLModel(
        ptbert.TransfoXLConfig.from_dict({**config.to_dict(), "init": "uniform", "init_range": 0.1})
    )
    weights = uniform.layers[0].dec_attn.qkv_net.weight.detach()
    assert 0.09 < float(weights.abs().max()) <= 0.1


@pytest.mark.parametrize("head", [False, True])
def test_seed_gives_the_weights_of_the_original(head: bool) -> None:
    """But for the biases of positions, which 0.6.2 does not initialise."""
    original = pytest.importorskip("pytorch_pretrained_bert")
    name = "TransfoXLLMHeadModel" if head else "TransfoXLModel"
    states = []
    for library in (ptbert, original):
        torch.manual_seed(3)
        config = library.TransfoXLConfig.from_dict(TINY_TRANSFO_XL)
        states.append(getattr(library, name)(config).state_dict())
    assert list(states[0]) == list(states[1])
    for key, tensor in states[0].items():
        if not key.endswith(("r_w_bias", "r_r_bias")):
            assert_equal(tensor, states[1][key])


# Parts


def test_kinds_of_attention_are_the_classes_of_2019() -> None:
    module = modeling_transfo_xl
    layers: list[tuple[dict[str, Any], Any, Any]] = [
        ({}, module.RelPartialLearnableDecoderLayer, module.RelPartialLearnableMultiHeadAttn),
        ({"attn_type": 1}, module.RelLearnableDecoderLayer, module.RelLearnableMultiHeadAttn),
        ({"attn_type": 2}, module.DecoderLayer, module.MultiHeadAttn),
        ({"attn_type": 3, "n_head": 2}, module.DecoderLayer, module.MultiHeadAttn),
    ]
    for fields, layer, attention in layers:
        first = make(head=False, **fields).layers[0]
        assert type(first) is layer
        assert type(first.dec_attn) is attention
        relative = attention is not module.MultiHeadAttn
        assert isinstance(first.dec_attn, module.RelMultiHeadAttn) is relative


def test_base_of_relative_attention_is_for_classes_of_the_user() -> None:
    class Mine(modeling_transfo_xl.RelMultiHeadAttn):
        def forward(self, w: Any) -> Any:  # type: ignore[override]
            projection: Any = self.qkv_net
            return projection(w)

    assert Mine(3, 8, 4, 0.1)(torch.ones(2, 1, 8)).shape == (2, 1, 36)
    base = modeling_transfo_xl.RelMultiHeadAttn(3, 8, 4, 0.1)
    with pytest.raises(NotImplementedError, match=r"`RelMultiHeadAttn\.forward` must be defined"):
        base(torch.ones(2, 1, 8), torch.ones(2, 1, 8))


@pytest.mark.parametrize("attn_type", [0, 1, 2])
def test_mask_of_keys_hides_them_from_all_queries(attn_type: int) -> None:
    layer = make(head=False, attn_type=attn_type).layers[0]
    x = torch.randn(3, 2, 8)
    given: dict[int, tuple[Any, ...]] = {
        0: (torch.randn(3, 1, 8),),
        1: (torch.randn(3, 3, 4), None, torch.randn(3, 3)),
        2: (),
    }
    mask = torch.tensor([[0, 1], [0, 0], [1, 0]])  # [key, batch]
    output = layer(x, *given[attn_type], dec_attn_mask=mask)
    full = mask.expand(3, 3, 2)  # [query, key, batch]
    assert_close(output, layer(x, *given[attn_type], dec_attn_mask=full))
    changed = x.clone()
    changed[2, 0] += 1
    assert_close(output[:2, 0], layer(changed, *given[attn_type], dec_attn_mask=mask)[:2, 0])
    with pytest.raises(ValueError, match=r"^`attn_mask` must be of shape \[query, key, batch\] or"):
        layer(x, *given[attn_type], dec_attn_mask=mask[0])


def test_losses_are_in_the_order_of_the_targets() -> None:
    softmax = ProjectedAdaptiveLogSoftmax(29, 8, 8, [7, 15], div_val=2)
    seed_weights(softmax)
    hidden, target = torch.randn(6, 8), torch.tensor([28, 0, 8, 7, 6, 15])
    expected = -softmax(hidden).gather(1, target[:, None]).squeeze(1)
    for losses in (softmax(hidden, target), softmax(hidden, target, keep_order=True)):
        assert_close(losses, expected)


def test_softmax_names_what_does_not_fit() -> None:
    softmax = ProjectedAdaptiveLogSoftmax(29, 8, 8, [7, 15])
    with pytest.raises(RuntimeError, match=r"^`target` must have an id for each row of `hidden`"):
        softmax(torch.ones(3, 8), torch.tensor([1, 2]))
    with pytest.raises(IndexError, match=r"^`target` must be in \[0, 29\), but holds 29\.$"):
        softmax(torch.ones(1, 8), torch.tensor([29]))
    clustered = ProjectedAdaptiveLogSoftmax(29, 8, 8, [7, 15], div_val=2)
    del clustered.out_layers[2]
    with pytest.raises(ValueError, match=r"^`out_layers` must have a layer for each of 3 clusters"):
        clustered(torch.ones(1, 8))
    with pytest.raises(ValueError, match=r"^`cutoffs` must grow"):
        ProjectedAdaptiveLogSoftmax(29, 8, 8, [15, 7])


@pytest.mark.usefixtures("one_thread")
def test_only_clusters_with_targets_are_computed() -> None:
    model = make()
    called = []
    for i, layer in enumerate(model.crit.out_layers):
        layer.register_forward_hook(lambda *_, i=i: called.append(i))
    model(IDS, torch.full((2, 3), 20))
    assert called == [0, 2]
    called.clear()
    model(IDS, torch.tensor([[1, 2, 3], [0, 8, 6]]))
    assert called == [0, 1]


def test_model_takes_replaced_classes_of_2019(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes of the user's that stand in the place of ours before a model is built."""
    calls = []
    for name in ("RelPartialLearnableMultiHeadAttn", "PositionwiseFF", "PositionalEmbedding",
                 "AdaptiveEmbedding", "ProjectedAdaptiveLogSoftmax"):  # fmt: skip
        base = getattr(modeling_transfo_xl, name)

        def forward(self: Any, *args: Any, base: Any = base, name: str = name) -> Any:
            calls.append(name)
            return base.forward(self, *args)

        mine = type(f"My{name}", (base,), {"forward": forward})
        monkeypatch.setattr(modeling_transfo_xl, name, mine)
    config = ptbert.TransfoXLConfig.from_dict({**TINY_TRANSFO_XL, "untie_r": False})
    model: Any = ptbert.TransfoXLLMHeadModel(config).eval()
    assert model.transformer.layers[1].dec_attn.r_w_bias is model.transformer.r_w_bias
    assert model.crit.out_layers[2].weight is model.transformer.word_emb.emb_layers[2].weight
    assert model.crit.out_projs[1] is model.transformer.word_emb.emb_projs[1]
    model(IDS)
    assert len(calls) == 2 * 2 + 3
    assert 0 < float(model.transformer.word_emb.emb_projs[0].detach().std()) < 0.05


def test_layer_that_is_replaced_is_built_as_in_2019(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Mine(nn.Module):
        def __init__(self, n_head: int, d_model: int, d_head: int, d_inner: int, dropout: float,
                     **kwargs: Any) -> None:  # fmt: skip
            super().__init__()
            seen.append(((n_head, d_model, d_head, d_inner, dropout), kwargs))

        def forward(self, x: Tensor, r: Tensor, mask: Tensor, mems: Tensor) -> Tensor:
            return x

    monkeypatch.setattr(modeling_transfo_xl, "RelPartialLearnableDecoderLayer", Mine)
    model = make(head=False)
    assert seen[0][0] == (3, 8, 4, 12, 0.1)
    assert seen[0][1] == {
        "tgt_len": 4,
        "ext_len": 0,
        "mem_len": 6,
        "dropatt": 0.1,
        "pre_lnorm": False,
        "r_w_bias": None,
        "r_r_bias": None,
    }
    assert_close(model(IDS)[0], model.word_emb(IDS))


# What is kept between calls


def test_tables_follow_lengths_and_frequencies() -> None:
    """Mask and positions are kept from one call to the next: they must not be stale."""
    model, fresh = make(), make()
    model(IDS)
    for change in ("mem_len", "clamp_len", "same_length"):
        value = {"mem_len": 4, "clamp_len": 2, "same_length": False}[change]
        for one in (model, fresh):
            setattr(one.transformer, change, value)
        assert_close(model(IDS)[0], fresh(IDS)[0])
        fresh = pickle.loads(pickle.dumps(model))
    with torch.no_grad():
        model.transformer.pos_emb.inv_freq.mul_(2)
        fresh.transformer.pos_emb.inv_freq.mul_(2)
    assert_close(model(IDS)[0], fresh(IDS)[0])
    assert_close(model(IDS[:, :2])[0], fresh(IDS[:, :2])[0])
    assert_close(model.double()(IDS)[0], fresh.double()(IDS)[0])


def in_segments(model: Any, case: TransfoXLCase) -> list[Tensor]:
    """All outputs and memories, without gradients."""
    results, mems = [], None
    with torch.no_grad():
        for input_ids, target in case.segments:
            losses, mems = model(input_ids, target, mems)
            results += [losses, *mems]
    return results


@pytest.mark.parametrize(
    "name",
    ["paper", "one_token", "longer_than_memory", "extended", "other_lengths", "any_length",
     "pre_lnorm", "absolute", "learned"],
)  # fmt: skip
def test_kept_keys_of_memory_change_nothing(name: str) -> None:
    case = CASES_BY_NAME[name]
    model = make(**case.config)
    if case.lengths:
        model.reset_length(*case.lengths)
    expected = in_segments(model, case)
    model.transformer.cache_memory = True
    for _ in range(2):
        for output, wanted in zip(in_segments(model, case), expected, strict=True):
            assert_close(output, wanted)


def test_kept_keys_are_those_of_the_memory_that_is_given() -> None:
    model, other = make(), make()
    model.transformer.cache_memory = True
    weight = model.transformer.layers[1].dec_attn.qkv_net.weight
    with torch.no_grad():
        _, first = model(IDS)
        _, second = model(IDS, mems=first)
        assert_close(model(IDS, mems=first)[0], other(IDS, mems=first)[0])
        assert_close(model(IDS, mems=second)[0], other(IDS, mems=second)[0])
        _, mems = model(IDS, mems=second)
        mems[1].mul_(2)
        assert_close(model(IDS, mems=mems)[0], other(IDS, mems=mems)[0])
        _, mems = model(IDS, mems=second)
        for tree in (model, other):
            tree.transformer.layers[1].dec_attn.qkv_net.weight.mul_(2)
        assert_close(model(IDS, mems=mems)[0], other(IDS, mems=mems)[0])
        assert weight is model.transformer.layers[1].dec_attn.qkv_net.weight
        _, mems = model(IDS, mems=second)
        handle = model.transformer.layers[0].dec_attn.qkv_net.register_forward_hook(lambda *_: None)
        assert_close(model(IDS, mems=mems)[0], other(IDS, mems=mems)[0])
        handle.remove()
    with torch.inference_mode():
        _, mems = model(IDS)
        assert_close(model(IDS, mems=mems)[0], other(IDS, mems=mems)[0])
    loss = model(IDS, IDS, [memory.clone() for memory in second])[0].sum()
    loss.backward()
    assert weight.grad.any()


def test_tables_made_in_inference_mode_serve_training() -> None:
    model = make()
    with torch.inference_mode():
        model(IDS)
    model(IDS, IDS)[0].sum().backward()
    assert model.transformer.layers[0].dec_attn.r_net.weight.grad.any()
