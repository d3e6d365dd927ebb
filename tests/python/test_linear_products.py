"""Linear layers that use another library than torch does, and how to observe that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

import plain_models
from fast_path_support import (
    CLASSES,
    LENGTHS,
    TOKEN_CLASSES,
    assert_paths_agree,
    make_model,
    padded_batch,
    run,
    token_labels,
    weighted_sum,
)
from ptbert.utils import explain, use_product_library
from support import assert_close, assert_equal

HAVE = {
    "oneDNN": torch.backends.mkldnn.is_available(),
    "ptbert": torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"),
}


@pytest.fixture(autouse=True, params=HAVE)
def library(request: pytest.FixtureRequest) -> Iterator[str]:
    if not HAVE[request.param]:
        pytest.skip(f"neither this torch nor this processor has what {request.param} needs")
    use_product_library(request.param)
    yield request.param
    use_product_library("measured")


def libraries(model: Any, batch: Any) -> set[str]:
    return {choice.path for choice in explain(model, batch) if choice.step == "linear layers"}


@given(
    class_name=st.sampled_from(sorted(CLASSES)),
    lengths=st.lists(st.integers(1, 12), min_size=4, max_size=8),
    seed=st.integers(0, 2**31),
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_sentence_models_agree_with_the_plain_path(
    library: str, class_name: str, lengths: list[int], seed: int
) -> None:
    torch.manual_seed(seed)
    inputs = padded_batch([length for length in lengths for _ in range(2)])
    if class_name == "BertForMultipleChoice":
        inputs = tuple(x.unflatten(0, (-1, 2)) for x in inputs)
    model = make_model(class_name).eval()
    if int(inputs[2].sum()) >= 16:
        assert library in libraries(model, inputs)
    assert_paths_agree(model, *inputs, atol=2e-5)


@pytest.mark.parametrize("class_name", TOKEN_CLASSES)
def test_losses_of_tokens_agree_with_the_plain_path(library: str, class_name: str) -> None:
    ids, types, mask = padded_batch([9, 30, 4, 17])
    model = make_model(class_name).eval()
    labels = token_labels(class_name, mask)
    assert library in libraries(model, (ids, types, mask, *labels))
    assert_paths_agree(model, ids, types, mask, *labels, atol=2e-5)


@pytest.mark.parametrize("strided", [False, True])
def test_hidden_states_of_any_strides(library: str, strided: bool) -> None:
    layer = make_model("BertForSequenceClassification").eval().bert.encoder.layer[0]
    hidden = torch.randn(5, 7, 64)[..., ::2] if strided else torch.randn(7, 5, 32).transpose(0, 1)
    assert library in libraries(layer, hidden)
    assert_paths_agree(layer, hidden, atol=2e-5)


def test_changed_weights_are_seen_however_they_were_changed() -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch([20, 10])
    weight = model.bert.encoder.layer[0].output.dense.weight
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        for change in (
            lambda: None,
            lambda: weight.mul_(2),
            lambda: weight.data.mul_(2),
            lambda: weight.detach().numpy().__imul__(2),
            lambda: setattr(weight, "data", weight.data * 2),
        ):
            change()
            logits = model(*batch)
            with plain_models.plain_paths():
                assert_close(logits, model(*batch))
            assert not any(torch.equal(logits, before) for before in seen)
            seen.append(logits)


def test_frozen_parts_have_no_gradient() -> None:
    model = make_model("BertForSequenceClassification").eval()
    model.bert.embeddings.requires_grad_(False)
    model.bert.encoder.layer[0].requires_grad_(False)
    model(*padded_batch([20, 10])).square().sum().backward()
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("bert.embeddings", "bert.encoder.layer.0"))
        assert (parameter.grad is None) is frozen


def test_a_frozen_layer_keeps_no_input_for_its_gradient() -> None:
    layer = make_model("BertForSequenceClassification").eval().bert.encoder.layer[0].output
    layer.dense.weight.requires_grad_(False)
    hidden = torch.randn(20, 37)
    output = layer(hidden, torch.zeros(20, 32))
    with torch.no_grad():
        hidden.add_(1)  # autograd must not have saved it
    output.square().sum().backward()
    assert layer.dense.weight.grad is None
    assert layer.dense.bias.grad is not None


def test_many_gradients_at_once() -> None:
    model = make_model("BertForSequenceClassification").eval()
    logits = model(*padded_batch([20, 10]))
    weight = model.bert.encoder.layer[0].output.dense.weight
    directions = torch.randn(3, *logits.shape)
    (batched,) = torch.autograd.grad(
        logits, [weight], directions, retain_graph=True, is_grads_batched=True
    )
    for gradient, direction in zip(batched, directions, strict=True):
        (expected,) = torch.autograd.grad(logits, [weight], direction, retain_graph=True)
        assert_close(gradient, expected, 1e-4)


def test_gradients_accumulate_and_graphs_are_freed() -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch([20, 10])
    loss = model(*batch).square().sum()
    loss.backward(retain_graph=True)
    once = model.classifier.weight.grad.clone()
    loss.backward()
    assert_close(model.classifier.weight.grad, 2 * once)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_changing_a_weight_before_backward_raises() -> None:
    model = make_model("BertForSequenceClassification").eval()
    loss = model(*padded_batch([20, 10])).square().sum()
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_checkpointing_computes_the_same_gradient() -> None:
    layer = make_model("BertForSequenceClassification").eval().bert.encoder.layer[0]
    hidden = torch.randn(4, 6, 32, requires_grad=True)
    expected = torch.autograd.grad(layer(hidden).square().sum(), [hidden])[0]
    output = checkpoint(layer, hidden, use_reentrant=False)
    assert_equal(torch.autograd.grad(output.square().sum(), [hidden])[0], expected)


def test_transforms_and_other_dtypes_take_torch(library: str) -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch([20, 10])
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    gradients = torch.func.grad(lambda p: weighted_sum(functional_call(model, p, batch)))(
        parameters
    )
    _, expected = run(model, *batch)
    for gradient, wanted in zip(gradients.values(), expected, strict=True):
        assert float((gradient - wanted).norm()) <= 1e-4 * max(1.0, float(wanted.norm()))
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        # The switch is torch's, and the package's own product is not.
        expected_libraries = {"ATen"} if library == "oneDNN" else {"ATen", "ptbert"}
        assert libraries(model, batch) == expected_libraries
    assert libraries(model.double(), batch) == {"ATen"}
    with torch.autocast("cpu", torch.bfloat16):
        assert libraries(model.float(), batch) == {"ATen"}


def test_replaced_layers_compute_in_torch() -> None:
    model = make_model("BertForSequenceClassification").eval()
    batch = padded_batch([20, 10])
    expected = model(*batch)
    old = model.bert.encoder.layer[0].output.dense

    class Own(nn.Linear):
        """A class that the core does not know."""

    own = Own(old.in_features, old.out_features)
    own.load_state_dict(old.state_dict())
    model.bert.encoder.layer[0].output.dense = own
    assert_close(model(*batch), expected)


def test_names_of_libraries() -> None:
    with pytest.raises(ValueError, match='"ATen", "oneDNN" or "ptbert", but is "MKL"'):
        use_product_library("MKL")  # type: ignore[arg-type]
    model = make_model("BertForSequenceClassification").eval()
    use_product_library("ATen")
    assert libraries(model, padded_batch(LENGTHS)) == {"ATen"}
