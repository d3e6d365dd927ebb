"""Parts of GPT and GPT-2 on their own, special tokens, pruning, and messages about wrong input."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
from gpt_cases import CASES_BY_KEY, CLASSES, MODELS, TINY_GPT, gpt_inputs, gpt_labels
from model_cases import flat_outputs
from plain_gpt import gelu as plain_gelu
from ptbert import GPT2Config, OpenAIGPTConfig, modeling_gpt2, modeling_openai
from support import assert_close, assert_equal, seed_weights
from test_gpt_parity import build, build_plain

MODULES: dict[str, Any] = {"openai-gpt": modeling_openai, "gpt2": modeling_gpt2}
FAMILIES = list(MODULES)
every_class = pytest.mark.parametrize("class_name", CLASSES)
every_family = pytest.mark.parametrize("family", FAMILIES)
HEADED = [name for name in CLASSES if "HeadModel" in name or "DoubleHeads" in name]


def config_of(family: str, **fields: Any) -> Any:
    config = GPT2Config if family == "gpt2" else OpenAIGPTConfig
    afn = {} if family == "gpt2" else {"afn": "gelu"}
    return config.from_dict({**TINY_GPT, **afn, **fields})


def model_of(class_name: str, **fields: Any) -> Any:
    family = "gpt2" if class_name in MODELS["gpt2"] else "openai-gpt"
    model = getattr(ptbert, class_name)(config_of(family, **fields))
    seed_weights(model)
    return model.eval()


def trunk_of(model: Any) -> Any:
    return getattr(model, "transformer", model)


def embeddings_of(model: Any) -> nn.Embedding:
    trunk = trunk_of(model)
    found = trunk.wte if hasattr(trunk, "wte") else trunk.tokens_embed
    assert isinstance(found, nn.Embedding)
    return found


def case_of(class_name: str) -> Any:
    return CASES_BY_KEY[f"{class_name}/ids_only"]


def test_activations_are_those_of_2019() -> None:
    x = torch.linspace(-6, 6, 101)
    assert_close(modeling_gpt2.gelu(x), plain_gelu(x), atol=1e-6)
    assert_close(modeling_openai.gelu(x), plain_gelu(x), atol=1e-6)
    assert_close(modeling_openai.swish(x), nn.functional.silu(x), atol=1e-6)
    assert_equal(modeling_openai.ACT_FNS["relu"](x), x.relu())


def test_conv1d_is_a_linear_layer_of_transposed_weight() -> None:
    layer = modeling_gpt2.Conv1D(5, 3)
    assert (layer.nf, layer.weight.shape, layer.bias.shape) == (5, (3, 5), (5,))
    assert modeling_openai.Conv1D(5, 1, 3).weight.shape == (3, 5)
    x = torch.randn(2, 4, 3)
    assert_close(layer(x), nn.functional.linear(x, layer.weight.t(), layer.bias), atol=1e-6)
    assert 0.01 < modeling_gpt2.Conv1D(100, 100).weight.std() < 0.03
    with pytest.raises(NotImplementedError, match=r"^`rf` must be 1, but is 3\.$"):
        modeling_openai.Conv1D(5, 3, 3)


@pytest.mark.parametrize("dim", [0, 1])
def test_pruned_conv1d_has_the_chosen_part(dim: int) -> None:
    layer, index = modeling_gpt2.Conv1D(5, 3), torch.tensor([0, 2])
    pruned = modeling_gpt2.prune_conv1d_layer(layer, index, dim)
    assert_equal(pruned.weight.detach(), layer.weight.detach().index_select(dim, index))
    assert_equal(pruned.bias.detach(), layer.bias.detach()[index if dim == 1 else slice(None)])
    assert pruned.nf == pruned.weight.size(1)
    assert pruned(torch.ones(1, pruned.weight.size(0))).shape == (1, pruned.nf)
    with pytest.raises(TypeError, match=r"^`layer` must be a Conv1D, but is a Linear\.$"):
        modeling_gpt2.prune_conv1d_layer(nn.Linear(2, 2), index)  # type: ignore[arg-type]


@every_family
def test_parts_can_be_built_copied_and_called_alone(family: str) -> None:
    module, config = MODULES[family], config_of(family)
    width, length = config.n_embd, config.n_ctx
    table = nn.Embedding(config.vocab_size, width)
    head = "GPT2" if family == "gpt2" else "OpenAIGPT"
    x = torch.randn(2, 5, width)
    calls: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
        "Attention": (module.Attention(width, length, config, scale=True), (x,)),
        "MLP": (module.MLP(4 * width, config), (x,)),
        "Block": (module.Block(length, config, scale=True), (x,)),
        "LMHead": (getattr(module, f"{head}LMHead")(table.weight, config), (x,)),
        "MultipleChoiceHead": (
            getattr(module, f"{head}MultipleChoiceHead")(config),
            (x.unsqueeze(1), torch.tensor([[1], [4]])),
        ),
    }
    for part, inputs in calls.values():
        part.eval()
        expected = flat_outputs(part(*inputs))
        for other in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
            for mine, theirs in zip(flat_outputs(other(*inputs)), expected, strict=True):
                assert_equal(mine, theirs)
    assert calls["LMHead"][0].decoder.weight is table.weight
    without_scale = module.Attention(width, length, config).eval()
    assert without_scale.scale is False
    without_scale.load_state_dict(calls["Attention"][0].state_dict())
    assert not torch.allclose(
        flat_outputs(without_scale(10 * x))[0], flat_outputs(calls["Attention"][0](10 * x))[0]
    )


@every_class
def test_parts_of_a_model_are_of_the_classes_of_2019(class_name: str) -> None:
    model = model_of(class_name)
    module = MODULES["gpt2" if class_name in MODELS["gpt2"] else "openai-gpt"]
    block = trunk_of(model).h[0]
    assert type(block) is module.Block
    assert type(block.attn) is module.Attention
    assert type(block.mlp) is module.MLP
    assert type(block.attn.c_attn) is module.Conv1D
    assert type(block.ln_1) is module.LayerNorm
    assert block.mlp.act is module.gelu
    assert isinstance(embeddings_of(model), nn.Embedding)
    if class_name in HEADED:
        assert model.lm_head.decoder.weight is embeddings_of(model).weight


@every_class
def test_equal_seeds_give_equal_models(class_name: str) -> None:
    original = pytest.importorskip("pytorch_pretrained_bert")
    family = "gpt2" if class_name in MODELS["gpt2"] else "openai-gpt"
    fields = {k: v for k, v in TINY_GPT.items() if k != "predict_special_tokens"}
    if family == "openai-gpt":
        fields["afn"] = "gelu"
    name = "GPT2Config" if family == "gpt2" else "OpenAIGPTConfig"
    torch.manual_seed(5)
    theirs = getattr(original, class_name)(getattr(original, name).from_dict(fields))
    torch.manual_seed(5)
    mine = getattr(ptbert, class_name)(config_of(family))
    expected = theirs.state_dict()
    assert list(mine.state_dict()) == list(expected)
    for key, tensor in mine.state_dict().items():
        assert_equal(tensor, expected[key])


@every_class
def test_special_tokens_resize_the_embeddings_and_tie_the_head_again(class_name: str) -> None:
    model = model_of(class_name)
    before = embeddings_of(model).weight
    model.set_num_special_tokens(0)
    assert embeddings_of(model).weight is before
    model.set_num_special_tokens(3)
    after = embeddings_of(model).weight
    rows = model.config.vocab_size
    assert model.config.n_special == 3
    assert after.shape == (rows + 3, model.config.n_embd)
    assert_equal(after[:rows].detach(), before.detach())
    assert 0 < float(after[rows:].detach().std()) < 0.1
    if class_name in HEADED:
        assert model.lm_head.decoder.weight is after
    inputs = gpt_inputs(CASES_BY_KEY[f"{class_name}/special_tokens"])
    outputs = model(**inputs)
    if class_name in HEADED:
        scores = flat_outputs(outputs)[0]
        assert scores.size(-1) == rows + 3
        model.set_num_special_tokens(4, predict_special_tokens=False)
        assert flat_outputs(model(**inputs))[0].size(-1) == rows
        assert model.config.predict_special_tokens is False
    with pytest.raises(ValueError, match=r"^`num_special_tokens` must be at least 0, but is -1\.$"):
        model.set_num_special_tokens(-1)


@pytest.mark.parametrize("class_name", HEADED)
def test_configuration_may_leave_special_tokens_unpredicted(class_name: str) -> None:
    model = model_of(class_name, n_special=2, predict_special_tokens=False)
    scores = flat_outputs(model(**gpt_inputs(case_of(class_name))))[0]
    assert scores.size(-1) == model.config.vocab_size


@every_class
def test_pruned_heads_are_masked_heads(class_name: str) -> None:
    case = case_of(class_name)
    model, pruned = build(case), build(case)
    trunk = trunk_of(pruned)
    trunk.prune_heads({0: [1], -1: [0, 3]})
    mask = torch.ones(2, 4)
    mask[0, 1] = mask[1, 0] = mask[1, 3] = 0
    expected = flat_outputs(model(**gpt_inputs(case), head_mask=mask))
    actual = flat_outputs(pruned(**gpt_inputs(case)))
    assert trunk.h[0].attn.n_head == 3
    assert trunk.h[1].attn.c_attn.weight.shape == (16, 3 * 8)
    for mine, theirs in zip(actual, expected, strict=True):
        if mine.shape == theirs.shape:  # presents have fewer heads
            assert_close(mine, theirs)
    trunk.h[1].attn.prune_heads([0])
    assert trunk.h[1].attn.n_head == 1
    flat_outputs(pruned(**gpt_inputs(case)))[0].sum().backward()
    for heads, message in (
        ({2: [0]}, r"`heads_to_prune` must name layers in \[-2, 2\), but has 2\."),
        ({0: [9]}, r"`heads_to_prune\[0\]` must be in \[0, 3\), but 9 is among them\."),
        ({0: [0, 1, 2]}, "must leave at least one of 3 heads, but names all"),
    ):
        with pytest.raises(ValueError, match=message):
            trunk.prune_heads(heads)


@every_class
def test_outputs_of_heads_are_kept_with_their_gradients(class_name: str) -> None:
    case = case_of(class_name)
    model = build(case, keep_multihead_output=True, output_attentions=True)
    outputs = flat_outputs(model(**gpt_inputs(case)))
    trunk = trunk_of(model)
    kept = trunk.get_multihead_outputs()
    batch = int(torch.tensor(case.shape[:-1]).prod())
    assert [one.shape for one in kept] == 2 * [(batch, 4, case.seq, 4)]
    torch.stack([one.sum() for one in outputs]).sum().backward()
    assert all(one.grad is not None and one.grad.any() for one in kept)
    assert_close(kept[0], values_times_attentions(trunk, outputs[0], case), atol=1e-5)
    model.keep_multihead_output = False
    assert trunk.get_multihead_outputs() == [None, None]


def values_times_attentions(trunk: Any, attentions: Tensor, case: Any) -> Tensor:
    """What the heads of the first block give, from its attention weights."""
    states = trunk(gpt_inputs(case)["input_ids"])
    states = states[1] if isinstance(states, tuple) else states
    first = states[0].reshape(-1, case.seq, 16)
    attention: Any = trunk.h[0].attn
    if isinstance(trunk, ptbert.GPT2Model):
        block: Any = trunk.h[0]
        first = block.ln_1(first)
    values = attention.c_attn(first)[..., 32:].unflatten(-1, (4, -1)).transpose(1, 2)
    result: Tensor = attentions @ values
    return result


@pytest.mark.parametrize("class_name", ["OpenAIGPTDoubleHeadsModel", "GPT2DoubleHeadsModel"])
def test_documented_names_of_arguments_are_accepted(class_name: str) -> None:
    model, case = model_of(class_name), case_of(class_name)
    inputs, labels = gpt_inputs(case), gpt_labels(case)
    expected = model(**inputs, **labels)
    losses = model(
        inputs["input_ids"],
        multiple_choice_token_ids=inputs["mc_token_ids"],
        lm_labels=labels["lm_labels"],
        multiple_choice_labels=labels["mc_labels"],
    )
    assert isinstance(losses, list)
    for mine, theirs in zip(losses, expected, strict=True):
        assert_equal(mine, theirs)
    assert len(model(**inputs, mc_labels=labels["mc_labels"])) == 1
    with pytest.raises(TypeError, match="`mc_token_ids` must be given once, but is given as"):
        model(**inputs, multiple_choice_token_ids=inputs["mc_token_ids"])
    with pytest.raises(TypeError, match=r"^`mc_token_ids` must be a torch.Tensor, but is a None"):
        model(inputs["input_ids"])


@every_family
@pytest.mark.parametrize("step", ["_attn", "split_heads", "merge_heads", None])
def test_steps_of_an_attention_may_be_replaced(
    family: str, step: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = MODULES[family]
    base = module.Attention
    calls = []

    def own(self: Any, *inputs: Any, **options: Any) -> Any:
        calls.append(step)
        return getattr(base, str(step))(self, *inputs, **options)

    mine = type("Mine", (base,), {} if step is None else {step: own})
    name = "GPT2Model" if family == "gpt2" else "OpenAIGPTModel"
    expected = model_of(name)
    with monkeypatch.context() as patch:
        patch.setattr(module, "Attention", mine)
        model = model_of(name)
    ids = torch.tensor([[1, 2, 3, 4]])
    mask = torch.tensor([1.0, 0.0, 0.5, 1.0])
    for options in ({}, {"head_mask": mask}):
        theirs = flat_outputs(expected(ids, **options))
        for one, other in zip(flat_outputs(model(ids, **options)), theirs, strict=True):
            assert_close(one, other)
    assert bool(calls) == (step is not None)
    if family == "gpt2":
        past = expected(ids)[1]
        assert_close(model(ids, past=past)[0][-1], expected(ids, past=past)[0][-1])
    for tree in (model, expected):
        for block in tree.h:
            block.attn.output_attentions = block.attn.keep_multihead_output = True
    for one, other in zip(flat_outputs(model(ids)), flat_outputs(expected(ids)), strict=True):
        assert_close(one, other)
    kept, wanted = model.get_multihead_outputs()[1], expected.get_multihead_outputs()[1]
    assert_close(kept, wanted)


@every_family
def test_part_that_is_replaced_takes_effect(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = MODULES[family]
    name = "GPT2Model" if family == "gpt2" else "OpenAIGPTModel"
    for part in ("Attention", "MLP", "Block", "Conv1D", "LayerNorm"):
        kind = getattr(module, part)
        mine = type(f"My{part}", (kind,), {})
        with monkeypatch.context() as patch:
            patch.setattr(module, part, mine)
            model = getattr(module, name)(config_of(family))
        found = [one for one in model.modules() if type(one) is mine]
        assert len(found) >= 2, part
        model(torch.tensor([[1, 2, 3]]))
    if family == "gpt2":
        with monkeypatch.context() as patch:
            patch.setattr(module, "gelu", torch.relu)
            assert module.GPT2Model(config_of(family)).h[0].mlp.act is torch.relu


@pytest.mark.parametrize("afn", ["relu", "swish", torch.tanh])
def test_afn_may_be_a_name_or_a_function(afn: Any) -> None:
    model = ptbert.OpenAIGPTModel(config_of("openai-gpt", afn=afn)).eval()
    seed_weights(model)
    plain = build_plain(CASES_BY_KEY["OpenAIGPTModel/ids_only"])
    for block in plain.h:
        block.mlp.act = modeling_openai.ACT_FNS.get(afn, afn)
    ids = torch.tensor([[1, 2, 3]])
    assert_close(model(ids)[-1], plain(ids)[-1])


def test_changed_mask_takes_effect() -> None:
    model, plain = (make(CASES_BY_KEY["GPT2Model/ids_only"]) for make in (build, build_plain))
    ids = torch.tensor([[1, 2, 3, 4]])
    for tree in (model, plain):
        tree.h[0].attn.bias[..., 2] = 1  # all may see the third token
        tree.h[1].attn.register_buffer("bias", torch.ones_like(tree.h[1].attn.bias))
    assert_close(model(ids)[0][-1], plain(ids)[0][-1])


WRONG: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "id": (
        lambda model: model(torch.tensor([[1, 49]])),
        IndexError,
        r"^`input_ids` must be in \[0, 49\), but holds 49\.$",
    ),
    "dtype": (
        lambda model: model(torch.ones(1, 2)),
        TypeError,
        r"^`input_ids` must be of dtype int64 or int32, but is float32\.$",
    ),
    "no tokens": (
        lambda model: model(torch.ones(1, 0).long()),
        ValueError,
        r"^`input_ids` must be of shape \[\*, seq\] and hold at least one token, but is of shape",
    ),
    "too long": (
        lambda model: model(torch.ones(1, 25).long()),
        IndexError,
        r"^`input_ids` must hold at most 24 tokens a row \(`n_positions`\), those of `past` "
        r"included, but holds 25\.$",
    ),
    "position": (
        lambda model: model(torch.ones(1, 2).long(), torch.tensor([[0, 24]])),
        IndexError,
        r"^`position_ids` must be in \[0, 24\), but holds 24\.$",
    ),
    "shape of positions": (
        lambda model: model(torch.ones(2, 2).long(), torch.zeros(2, 3).long()),
        ValueError,
        r"^`position_ids` must be of the shape of `input_ids`, \[2, 2\], or hold one row, but is "
        r"of shape \[2, 3\]\.$",
    ),
    "token type": (
        lambda model: model(torch.ones(1, 2).long(), None, torch.tensor([[0, 99]])),
        IndexError,
        r"^`token_type_ids` must be in \[0, 49\), but holds 99\.$",
    ),
    "head mask": (
        lambda model: model(torch.ones(1, 2).long(), head_mask=torch.ones(3, 4)),
        ValueError,
        r"^`head_mask` must have a row for each of 2 layers, but has 3\.$",
    ),
}


@pytest.mark.parametrize("class_name", [names[0] for names in MODELS.values()])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_named(class_name: str, case: str) -> None:
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call(model_of(class_name))


def test_wrong_past_is_named() -> None:
    model, ids = model_of("GPT2Model"), torch.ones(1, 2).long()
    past = model(ids)[1]
    for wrong, error, message in (
        (past[:1], ValueError, r"^`past` must have an entry for each of 2 blocks, but has 1\.$"),
        (past[0], TypeError, r"^`past` must be a list of tensors, but is a Tensor\.$"),
        ([past[0], None], TypeError, r"^`past\[\.\.\.\]` must be a torch\.Tensor, but is a None"),
        ([p[0] for p in past], ValueError, r"^`past` must hold tensors of shape \[2, batch, heads"),
        (
            [p[:, :, :2] for p in past],
            ValueError,
            r"^`layer_past` must be of shape \[2, 1, 4, past, 4\], but is of shape \[2, 1, 2, 2, 4",
        ),
        (
            [p.double() for p in past],
            TypeError,
            r"^`layer_past` must be of dtype float32, but is float64\.$",
        ),
        (
            [p.repeat(1, 1, 1, 12, 1) for p in past],
            IndexError,
            "those of `past` included, but holds",
        ),
    ):
        with pytest.raises(error, match=message):
            model(ids, past=wrong)


def test_past_may_be_pairs_as_in_today_s_libraries() -> None:
    model, ids = model_of("GPT2Model"), torch.tensor([[1, 2, 3]])
    past = model(ids)[1]
    expected = model(ids, past=past)[0][-1]
    pairs = tuple((present[0], present[1]) for present in past)
    assert_equal(model(ids, past=pairs)[0][-1], expected)
    whole = model(torch.tensor([[1, 2, 3, 1, 2, 3]]))[0][-1]
    assert_close(expected, whole[:, 3:])


@pytest.mark.parametrize("class_name", HEADED)
def test_wrong_labels_are_named(class_name: str) -> None:
    model, case = model_of(class_name), case_of(class_name)
    inputs, labels = gpt_inputs(case), gpt_labels(case)
    for name, value, error, message in (
        ("lm_labels", labels["lm_labels"].float(), TypeError, "must be of dtype int64"),
        (
            "lm_labels",
            labels["lm_labels"][..., :2],
            ValueError,
            "must be of the shape of `input_ids`",
        ),
        ("lm_labels", labels["lm_labels"].clamp_min(49), IndexError, r"must be in \[0, 49\) or -1"),
    ):
        with pytest.raises(error, match=rf"^`{name}` {message}"):
            model(**inputs, **{**labels, name: value})
    if "mc_labels" in labels:
        for name, value, error, message in (
            ("mc_labels", torch.tensor([0, 1, 2]), IndexError, r"must be in \[0, 2\) or -100"),
            ("mc_labels", torch.tensor([0]), ValueError, r"must be of shape \[3\], but is"),
        ):
            with pytest.raises(error, match=rf"^`{name}` {message}"):
                model(**inputs, **{**labels, name: value})
        with pytest.raises(
            IndexError, match=r"^`mc_token_ids` must be in \[0, 9\), but holds 9\.$"
        ):
            model(inputs["input_ids"], torch.full((3, 2), 9))
        with pytest.raises(
            ValueError, match=r"^`mc_token_ids` must be of shape \[batch, choices\]"
        ):
            model(inputs["input_ids"], torch.zeros(3, 3).long())
        with pytest.raises(
            ValueError, match=r"^`input_ids` must be of shape \[batch, choices, seq\]"
        ):
            model(inputs["input_ids"][0], torch.zeros(2).long())


@every_family
def test_wrong_configuration_is_named(family: str) -> None:
    trunk: Any = ptbert.GPT2Model if family == "gpt2" else ptbert.OpenAIGPTModel
    for fields, error, message in (
        ({"n_head": 5}, ValueError, r"`n_embd` \(16\) must be a multiple of `n_head` \(5\)\."),
        ({"n_layer": 0}, ValueError, "`n_layer` must be at least 1, but is 0"),
        ({"n_special": -1}, ValueError, "`n_special` must be at least 0, but is -1"),
        ({"attn_pdrop": 2.0}, ValueError, r"`attn_pdrop` must be in \[0, 1\], but is 2"),
        ({"predict_special_tokens": 1}, TypeError, "`predict_special_tokens` must be a bool"),
        ({"layer_norm_epsilon": 0.0}, ValueError, "`layer_norm_epsilon` must be above 0"),
        ({"tie_word_embeddings": False}, ValueError, "`tie_word_embeddings` must be true, which"),
    ):
        with pytest.raises(error, match=f"^{message}"):
            trunk(config_of(family, **fields))
    name = "GPT2Model" if family == "gpt2" else "OpenAIGPTModel"
    with pytest.raises(
        ValueError,
        match=rf"^`config` must be a \w+Config, but is a dict; use "
        rf"`{name}.from_pretrained`",
    ):
        trunk({})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("activation_function", "relu"),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
        ("reorder_and_upcast_attn", True),
        ("add_cross_attention", True),
    ],
)
def test_option_that_is_not_computed_is_refused(option: str, value: object) -> None:
    config = config_of("gpt2", **{option: value})
    with pytest.raises(ValueError, match=rf"^`{option}` must be .*, which is what this library"):
        ptbert.GPT2Model(config)
    assert config.to_dict()[option] == value
    model: Any = ptbert.GPT2Model(config_of("gpt2", activation_function="gelu_new", n_inner=None))
    assert model.h[0].mlp.c_fc.nf == 64
    model = ptbert.GPT2Model(config_of("gpt2", n_inner=24))
    assert model.h[0].mlp.c_fc.nf == 24


def test_unknown_afn_is_a_key_error() -> None:
    with pytest.raises(KeyError, match=r'`afn` must be "gelu", "relu", "swish" or a callable'):
        ptbert.OpenAIGPTModel(config_of("openai-gpt", afn="selu"))
