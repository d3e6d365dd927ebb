"""Fast paths give the results of the plain path."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.autograd.forward_ad as fwAD  # noqa: N812
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

import plain_models
import ptbert
from fast_path_support import (
    CLASSES,
    LENGTHS,
    assert_paths_agree,
    linear_rows,
    make_model,
    padded_batch,
    run,
    weighted_sum,
)
from ptbert.utils import explain
from support import assert_close, assert_equal


@given(
    class_name=st.sampled_from(sorted(CLASSES)),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
    gaps=st.booleans(),
    types=st.booleans(),
)
@example("BertForMultipleChoice", [4, 11], 2109508, False, True)  # scores that nearly cancel
@settings(max_examples=60, deadline=None)
def test_paths_agree(
    class_name: str, lengths: list[int], seed: int, gaps: bool, types: bool
) -> None:
    torch.manual_seed(seed)
    ids, token_types, mask = padded_batch([length for length in lengths for _ in range(2)])
    if gaps:
        mask[:, 1:] *= torch.randint(0, 2, mask[:, 1:].shape)
    inputs = [ids, token_types if types else None, mask]
    if class_name == "BertForMultipleChoice":
        inputs = [x if x is None else x.unflatten(0, (-1, 2)) for x in inputs]
    assert_paths_agree(make_model(class_name).eval(), *inputs)


def test_paths_agree_in_training_without_dropout() -> None:
    model = make_model("BertForSequenceClassification", dropout=0.0)
    assert_paths_agree(model, *padded_batch(LENGTHS))


def test_paths_agree_without_a_mask() -> None:
    ids, types, _ = padded_batch(LENGTHS)
    assert_paths_agree(make_model("BertForSequenceClassification").eval(), ids, types)
    assert_paths_agree(make_model("BertForSequenceClassification").eval(), ids.int())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_paths_agree_in_other_dtypes(dtype: torch.dtype) -> None:
    model = make_model("BertForSequenceClassification").eval().to(dtype)
    batch = padded_batch(LENGTHS)
    logits = model(*batch)
    with plain_models.plain_paths():
        expected = model(*batch)
    assert logits.dtype == dtype
    assert_close(logits, expected, 20 * torch.finfo(dtype).eps)


def test_paths_agree_under_autocast() -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch(LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        logits, gradients = run(model, *batch)
        with plain_models.plain_paths():
            expected, expected_gradients = run(model, *batch)
    assert logits.dtype == expected.dtype
    assert_close(logits, expected, 0.1)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        assert float((gradient - other).norm()) <= 0.1 * max(float(other.norm()), 1.0)


def test_no_work_is_done_for_padding_and_for_what_is_not_used() -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch(LENGTHS)
    # The tokens; the first ones in the last layer and the head. The plain path: every position.
    assert linear_rows(model, *batch) == {sum(LENGTHS), len(LENGTHS)}
    with plain_models.plain_paths():
        assert linear_rows(model, *batch) == {max(LENGTHS) * len(LENGTHS), len(LENGTHS)}


@pytest.mark.parametrize("name", ["bert", "bert.encoder.layer.0.output.dense", "bert.pooler"])
def test_hooks_see_the_whole_batch(name: str) -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch(LENGTHS)
    handle = model.get_submodule(name).register_forward_hook(lambda *_: None)
    assert linear_rows(model, *batch) == {max(LENGTHS) * len(LENGTHS), len(LENGTHS)}
    handle.remove()
    assert linear_rows(model, *batch) == {sum(LENGTHS), len(LENGTHS)}


@pytest.mark.parametrize(
    "mask",
    [
        torch.tensor([[1, 1, 1], [0, 1, 1]]),  # the first token is masked
        torch.tensor([[1, 1, 0], [0, 0, 0]]),  # no token at all
        torch.tensor([[1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]),
    ],
)
def test_masks_that_packing_could_not_honour_take_the_plain_path(mask: Tensor) -> None:
    model = make_model("BertForSequenceClassification").eval()
    ids = torch.randint(1, 99, (2, 3))
    (padding,) = (x for x in explain(model, (ids, None, mask)) if x.step == "padding")
    assert padding.path == "computed"
    logits = model(ids, None, mask)
    with plain_models.plain_paths():
        assert_close(logits, model(ids, None, mask), 1e-6)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_traced_model_serves_other_masks() -> None:
    model = make_model("BertForSequenceClassification").eval()
    with torch.no_grad():
        traced = torch.jit.trace(model, padded_batch(LENGTHS), check_trace=False)
        other = padded_batch([7, 2, 5, 4])
        assert_close(traced(*other), model(*other))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # inside forward mode
def test_mask_has_a_gradient_where_it_asks_for_one() -> None:
    model = make_model("BertForSequenceClassification").eval()
    ids, types, mask = padded_batch(LENGTHS)
    gradients = []
    for _ in range(2):
        float_mask = mask.float().requires_grad_()
        loss = model(ids, types, float_mask).square().sum()
        gradients.append(torch.autograd.grad(loss, [float_mask])[0])
        model.bert.register_forward_hook(lambda *_: None)  # the plain path
    assert_equal(gradients[0], gradients[1])
    with fwAD.dual_level():
        dual = fwAD.make_dual(mask.float(), torch.ones(mask.shape))
        assert fwAD.unpack_dual(model(ids, types, dual)).tangent is not None


def test_activation_of_the_user_sees_the_whole_batch() -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch(LENGTHS)
    expected = model(*batch)
    shapes = []

    def activation(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return nn.functional.gelu(x)

    intermediate = model.bert.encoder.layer[1].intermediate
    known, intermediate.intermediate_act_fn = intermediate.intermediate_act_fn, activation
    assert_close(model(*batch), expected)
    assert shapes == [(4, 7, 37)]
    intermediate.intermediate_act_fn = known
    assert_equal(model(*batch), expected)


def test_hook_may_take_a_mask_that_the_model_refuses() -> None:
    model = make_model("BertForSequenceClassification").eval()
    ids, types, mask = padded_batch(LENGTHS)
    expected = model(ids, types, mask)
    with pytest.raises(ValueError, match="attention_mask"):
        model(ids, types, mask[:, None])

    def squeeze(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*inputs[:2], inputs[2].squeeze(1), *inputs[3:])

    model.bert.register_forward_pre_hook(squeeze)
    assert_close(model(ids, types, mask[:, None]), expected)


def test_transforms_of_torch_func_see_every_gradient() -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch(LENGTHS)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return weighted_sum(functional_call(model, parameters, batch))

    gradients = torch.func.grad(loss)(parameters)
    _, expected = run(model, *batch)
    for gradient, wanted in zip(gradients.values(), expected, strict=True):
        assert float((gradient - wanted).norm()) <= 1e-4 * max(1.0, float(wanted.norm()))
    stacked = {name: torch.stack([p, p]) for name, p in parameters.items()}
    mapped = torch.vmap(torch.func.grad(loss))(stacked)
    for gradient, wanted in zip(mapped.values(), expected, strict=True):
        assert float((gradient[1] - wanted).norm()) <= 1e-4 * max(1.0, float(wanted.norm()))


def test_vmap_refuses_randomness_unless_told() -> None:
    model = make_model("BertForSequenceClassification")
    batch = padded_batch(LENGTHS)

    def logits(weight: Tensor) -> Tensor:
        return functional_call(model, {"classifier.weight": weight}, batch)

    weights = torch.randn(2, 3, 32)
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(logits)(weights)
    assert torch.vmap(logits, randomness="same")(weights).shape == (2, 4, 3)


def test_dropout_has_the_same_distribution() -> None:
    """Means over many draws agree within five standard errors, for outputs and a gradient."""
    model = make_model("BertForSequenceClassification")
    batch = padded_batch(LENGTHS)
    weight = model.bert.encoder.layer[0].attention.self.value.weight

    def draws() -> Tensor:
        rows = []
        for _ in range(300):
            logits = model(*batch)
            (gradient,) = torch.autograd.grad(logits.square().sum(), [weight])
            rows.append(torch.cat([logits.detach().flatten(), gradient[:8].flatten()]))
        return torch.stack(rows)

    fast = draws()
    with plain_models.plain_paths():
        plain = draws()
    error = ((fast.var(0) + plain.var(0)) / len(fast)).sqrt()
    assert float(((fast.mean(0) - plain.mean(0)) / error).abs().max()) < 5
    assert float((fast.var(0) / plain.var(0)).log().abs().max()) < 1


def test_many_gradients_at_once_drop_alike() -> None:
    layer = make_model("BertForSequenceClassification").bert.encoder.layer[0].output
    hidden = torch.randn(6, 37, requires_grad=True)
    output = layer(hidden, torch.zeros(6, 32))
    directions = torch.randn(3, *output.shape)
    (batched,) = torch.autograd.grad(
        output, [hidden], directions, retain_graph=True, is_grads_batched=True
    )
    for gradient, direction in zip(batched, directions, strict=True):
        (expected,) = torch.autograd.grad(output, [hidden], direction, retain_graph=True)
        assert_close(gradient, expected)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # inside forward mode
def test_dropout_has_forward_mode_gradients() -> None:
    layer = make_model("BertForSequenceClassification").bert.encoder.layer[0].output
    with fwAD.dual_level():
        hidden = fwAD.make_dual(torch.randn(6, 37), torch.randn(6, 37))
        assert fwAD.unpack_dual(layer(hidden, torch.zeros(6, 32))).tangent is not None


def test_dropout_keeps_no_tensor_for_its_gradient() -> None:
    kept: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x)
        return x

    def floats_kept(layer: nn.Module) -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            layer(torch.randn(6, 37), torch.zeros(6, 32))
        return sum(x.numel() for x in kept if x.is_floating_point())

    layer = make_model("BertForSequenceClassification").bert.encoder.layer[0].output
    assert floats_kept(layer) == floats_kept(layer.eval())


def test_equal_seeds_repeat_a_training_step() -> None:
    model = make_model("BertForSequenceClassification")
    batch = padded_batch(LENGTHS)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(run(model, *batch)[0])
    assert_equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_checkpointing_repeats_the_dropout_of_a_layer() -> None:
    layer = make_model("BertForSequenceClassification").bert.encoder.layer[0]
    hidden = torch.randn(2, 5, 32, requires_grad=True)
    gradients = []
    for call in (layer, lambda x: checkpoint(layer, x, use_reentrant=False)):
        torch.manual_seed(1)
        gradients.append(torch.autograd.grad(call(hidden).square().sum(), [hidden])[0])
    assert_equal(gradients[0], gradients[1])


@pytest.mark.usefixtures("plain_paths")
def test_plain_path_draws_as_plain_pytorch_does() -> None:
    layer = make_model("BertForSequenceClassification").bert.encoder.layer[0].output
    plain = copy.deepcopy(layer)
    plain.dropout.register_forward_hook(lambda *_: None)  # computed by torch
    hidden, residual = torch.randn(2, 5, 37), torch.randn(2, 5, 32)
    outputs = []
    for module in (layer, plain):
        torch.manual_seed(1)
        outputs.append(module(hidden, residual))
    assert_equal(outputs[0], outputs[1])


def test_switch_is_a_bool() -> None:
    assert ptbert.utils.fast_paths_enabled() is True
    with pytest.raises(TypeError):
        ptbert.utils.enable_fast_paths("no")  # type: ignore[arg-type]
