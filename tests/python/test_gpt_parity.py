"""GPT and GPT-2 against recorded results of pytorch-pretrained-bert 0.6.2, and where it is wrong or
lacks an option against plain PyTorch (plain_gpt.py)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import ptbert
from gpt_cases import (
    CASES,
    CASES_BY_KEY,
    CLASSES,
    MODELS,
    GPTCase,
    first_part,
    gpt_inputs,
    gpt_labels,
)
from model_cases import flat_outputs, probe_loss
from plain_gpt import PLAIN, Attention, WithHeads
from support import (
    GOLDEN,
    assert_close,
    assert_gradient_norms_close,
    assert_gradients_close,
    seed_weights,
)

Arrays = dict[str, npt.NDArray[Any]]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
every_class = pytest.mark.parametrize("class_name", CLASSES)
CONFIGS: dict[str, Any] = {"openai-gpt": ptbert.OpenAIGPTConfig, "gpt2": ptbert.GPT2Config}


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    with np.load(GOLDEN / "gpt.npz") as file:
        return dict(file)


def build(case: GPTCase, **options: Any) -> Any:
    config = CONFIGS[case.family].from_dict(case.config_fields)
    model = getattr(ptbert, case.class_name)(config, **options)
    seed_weights(model)
    return model.eval()


def build_plain(case: GPTCase, output_attentions: bool = False) -> Any:
    plain = PLAIN[case.class_name](CONFIGS[case.family].from_dict(case.config_fields))
    seed_weights(plain)
    for module in plain.modules():
        if isinstance(module, Attention):
            module.output_attentions = output_attentions
    return plain.eval()


def inputs_of(case: GPTCase, model: Any) -> dict[str, Any]:
    inputs = gpt_inputs(case)
    if case.past:
        earlier = model(**first_part(case, inputs))[-1]
        inputs["past"] = [present.detach() for present in earlier]
    return inputs


def last_outputs(outputs: Any, case: GPTCase) -> list[Tensor]:
    """The last hidden states of a trunk, or the scores."""
    if case.class_name == "OpenAIGPTModel":
        return [outputs[-1]]
    if case.class_name == "GPT2Model":
        return [outputs[0][-1]]
    return [one for one in flat_outputs(outputs) if one.dim() != 5]  # without presents


def total_loss(model: Any, case: GPTCase) -> Tensor:
    inputs, labels = inputs_of(case, model), gpt_labels(case)
    if labels:
        return torch.stack(flat_outputs(model(**inputs, **labels))).sum()
    return probe_loss(last_outputs(model(**inputs), case))


def golden_norms(arrays: Arrays, case: GPTCase, model: nn.Module) -> dict[str, float]:
    names = [name for name, _ in model.named_parameters()]
    return dict(zip(names, arrays[f"{case.key}/gradient_norms"].tolist(), strict=True))


def check_zeros(model: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Checks, sets to zeros and returns the gradients that are rounding only: the bias of a
    multiple-choice head changes all scores alike."""
    zeros = {}
    for name, parameter in model.named_parameters():
        if name == "multiple_choice_head.linear.bias":
            assert parameter.grad is not None
            assert_close(parameter.grad, torch.zeros(1), atol=1e-6)
            zeros[name] = parameter.grad.zero_().numpy()
    return zeros


@every_class
def test_state_dict_has_the_reference_keys_and_shapes(class_name: str) -> None:
    record = json.loads((GOLDEN / "gpt.json").read_text())
    state = build(CASES_BY_KEY[f"{class_name}/ids_only"]).state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    assert list(shapes.items()) == list(record["states"][class_name].items())


@every_case
def test_outputs_equal_the_reference(case: GPTCase, arrays: Arrays) -> None:
    model = build(case)
    outputs = last_outputs(model(**inputs_of(case, model)), case)
    for index, output in enumerate(outputs):
        assert_close(output, arrays[f"{case.key}/output.{index}"])
    assert f"{case.key}/output.{len(outputs)}" not in arrays


@pytest.mark.parametrize("class_name", MODELS["gpt2"])
def test_presents_equal_the_reference(class_name: str, arrays: Arrays) -> None:
    case = CASES_BY_KEY[f"{class_name}/ids_only"]
    presents = build(case)(**gpt_inputs(case))[-1]
    assert_close(torch.stack(presents), arrays[f"{case.key}/presents"])


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.has_right_loss], ids=lambda case: case.key
)
def test_losses_and_gradients_equal_the_reference(case: GPTCase, arrays: Arrays) -> None:
    model = build(case)
    loss = total_loss(model, case)
    expected = float(arrays[f"{case.key}/losses"].sum())
    scale = 1.0 if gpt_labels(case) else max(1.0, abs(expected))
    assert_close(loss, torch.tensor(expected), atol=1e-5 * scale)
    loss.backward()
    norms = golden_norms(arrays, case, model)
    assert_gradient_norms_close(model, norms | {name: 0.0 for name in check_zeros(model)})


@pytest.mark.parametrize(
    "class_name", [name for name in CLASSES if CASES_BY_KEY[f"{name}/ids_only"].has_right_loss]
)
def test_every_gradient_equals_the_reference(class_name: str, arrays: Arrays) -> None:
    case = CASES_BY_KEY[f"{class_name}/ids_only"]
    model = build(case)
    total_loss(model, case).backward()
    flat, start, gradients = arrays[f"{case.key}/gradients"], 0, {}
    for name, parameter in model.named_parameters():
        gradients[name] = flat[start : start + parameter.numel()].reshape(parameter.shape)
        start += parameter.numel()
    assert start == flat.size
    assert_gradients_close(model, gradients | check_zeros(model))


@every_case
def test_everything_equals_plain_pytorch(case: GPTCase) -> None:
    """All hidden states, attention weights, presents, scores, losses and gradients."""
    model, plain = build(case, output_attentions=True), build_plain(case, output_attentions=True)
    inputs = gpt_inputs(case)
    if case.past:
        inputs["past"] = plain_past(plain, case)
    outputs, expected = model(**inputs), plain(**inputs)
    if case.family == "openai-gpt" and not isinstance(plain, WithHeads):
        assert isinstance(outputs, tuple)
    assert len(outputs) == len(expected)
    for mine, theirs in zip(flat_outputs(outputs), flat_outputs(expected), strict=True):
        assert_close(mine, theirs)

    model = build(case)
    labels = gpt_labels(case)
    if not labels:
        return
    losses = flat_outputs(model(**inputs, **labels))
    wanted = flat_outputs(plain(**inputs, **labels))
    for mine, theirs in zip(losses, wanted, strict=True):
        assert_close(mine, theirs)
    torch.stack(losses).sum().backward()
    torch.stack(wanted).sum().backward()
    assert_gradients_close(model, gradients_of(plain) | check_zeros(model))


def plain_past(plain: Any, case: GPTCase) -> list[Tensor]:
    presents: list[Tensor] = plain(**first_part(case, {}))[-1]
    return [present.detach() for present in presents]


def gradients_of(model: nn.Module) -> dict[str, npt.NDArray[Any]]:
    return {
        name: torch.zeros_like(p).numpy() if p.grad is None else p.grad.numpy()
        for name, p in model.named_parameters()
    }


@every_class
@pytest.mark.parametrize("mask", ["heads", "layers"])
def test_head_mask_equals_plain_pytorch(class_name: str, mask: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/ids_only"]
    model, plain = build(case), build_plain(case)
    head_mask = torch.tensor([1.0, 0.0, 0.5, 1.0])
    if mask == "layers":
        head_mask = torch.stack([head_mask, head_mask.flip(0)])
    labels = gpt_labels(case)
    mine = flat_outputs(model(**gpt_inputs(case), **labels, head_mask=head_mask))
    outputs = plain(**gpt_inputs(case), **labels, head_mask=head_mask)
    for one, other in zip(mine, flat_outputs(outputs), strict=True):
        assert_close(one, other)


@every_class
def test_dropout_is_that_of_plain_pytorch(class_name: str) -> None:
    """On the plain path both draw the same random numbers in the same order."""
    case = CASES_BY_KEY[f"{class_name}/all_inputs"]
    model, plain = build(case).train(), build_plain(case).train()
    before = ptbert.utils.fast_paths_enabled()
    ptbert.utils.enable_fast_paths(False)
    try:
        results = []
        for tree in (model, plain):
            torch.manual_seed(3)
            outputs = tree(**gpt_inputs(case), **gpt_labels(case))
            results.append(flat_outputs(outputs))
    finally:
        ptbert.utils.enable_fast_paths(before)
    for one, other in zip(*results, strict=True):
        assert_close(one, other)


@every_class
def test_labels_that_are_all_ignored_give_no_number(class_name: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/ids_only"]
    labels = gpt_labels(case)
    if "lm_labels" not in labels:
        return
    labels["lm_labels"].fill_(-1)
    losses = flat_outputs(build(case)(**gpt_inputs(case), **labels))
    assert losses[0].isnan()
