"""The eight BERT classes against recorded results of pytorch-pretrained-bert 0.6.2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import ptbert
from model_cases import (
    CASES,
    CASES_BY_KEY,
    CLASSES,
    LONGEST,
    MINILM_HEADS,
    ModelCase,
    flat_outputs,
    minilm_inputs,
    minilm_labels,
    model_inputs,
    model_labels,
    probe_loss,
    recorded,
)
from support import (
    GOLDEN,
    assert_close,
    assert_equal,
    assert_gradient_norms_close,
    assert_gradients_close,
    minilm_directory,
    seed_weights,
)

Arrays = dict[str, npt.NDArray[Any]]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
every_class = pytest.mark.parametrize("class_name", CLASSES)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    with np.load(GOLDEN / "models.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def record() -> Any:
    return json.loads((GOLDEN / "models.json").read_text())


def build(case: ModelCase) -> nn.Module:
    config = ptbert.BertConfig.from_dict(case.config_fields)
    model: nn.Module = getattr(ptbert, case.class_name)(config, *case.arguments)
    seed_weights(model)
    return model.eval()


def golden_outputs(arrays: Arrays, key: str) -> Iterator[npt.NDArray[Any]]:
    index = 0
    while f"{key}/output.{index}" in arrays:
        yield arrays[f"{key}/output.{index}"]
        index += 1


def golden_norms(arrays: Arrays, key: str, model: nn.Module) -> dict[str, float]:
    names = [name for name, _ in model.named_parameters()]
    return dict(zip(names, arrays[f"{key}/gradient_norms"].tolist(), strict=True))


def case_loss(model: nn.Module, case: ModelCase) -> Tensor:
    inputs, labels = model_inputs(case), model_labels(case)
    loss = model(**inputs, **labels) if labels else probe_loss(flat_outputs(model(**inputs)))
    assert isinstance(loss, Tensor)
    return loss


@every_class
def test_state_dict_has_the_reference_keys_and_shapes(class_name: str, record: Any) -> None:
    state = build(CASES_BY_KEY[f"{class_name}/full"]).state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    assert list(shapes.items()) == list(record["states"][class_name].items())


@every_case
def test_outputs_equal_the_reference(case: ModelCase, arrays: Arrays) -> None:
    model = build(case)
    with torch.no_grad():
        outputs = flat_outputs(model(**model_inputs(case)))
    golden = list(golden_outputs(arrays, case.key))
    assert len(outputs) == len(golden)
    for output, expected in zip(outputs, golden, strict=True):
        assert output.dtype == torch.float32
        assert_close(recorded(case, output), expected, atol=1e-5)
    if case.seq == LONGEST:
        norms = [output.double().norm().item() for output in outputs]
        np.testing.assert_allclose(norms, arrays[f"{case.key}/output_norms"], rtol=1e-5)


@every_case
def test_loss_and_gradients_equal_the_reference(
    case: ModelCase, arrays: Arrays, record: Any
) -> None:
    model = build(case)
    loss = case_loss(model, case)
    expected = arrays[f"{case.key}/loss"]
    # BertModel's probe sums thousands of outputs, so its rounding grows with its value.
    scale = 1.0 if model_labels(case) else max(1.0, abs(float(expected)))
    assert_close(loss, expected, atol=1e-5 * scale)
    loss.backward()
    assert_gradient_norms_close(model, golden_norms(arrays, case.key, model))
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert unused == record["without_gradient"][case.class_name]


@every_class
def test_every_gradient_equals_the_reference(class_name: str, arrays: Arrays) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    model = build(case)
    case_loss(model, case).backward()
    flat = arrays[f"{case.key}/gradients"]
    gradients, start = {}, 0
    for name, parameter in model.named_parameters():
        gradients[name] = flat[start : start + parameter.numel()].reshape(parameter.shape)
        start += parameter.numel()
    assert start == flat.size
    assert_gradients_close(model, gradients)


@every_class
def test_training_without_dropout_equals_evaluation(class_name: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    model = build(case)
    expected = flat_outputs(model(**model_inputs(case)))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    actual = flat_outputs(model.train()(**model_inputs(case)))
    for left, right in zip(actual, expected, strict=True):
        assert_close(left, right, atol=1e-6)


@every_class
def test_dropout_is_active_in_training_only(class_name: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    model = build(case)
    first, second = (flat_outputs(model(**model_inputs(case)))[0] for _ in range(2))
    assert_equal(first, second)
    model.train()
    first, second = (flat_outputs(model(**model_inputs(case)))[0] for _ in range(2))
    assert not torch.equal(first, second)


@every_class
def test_arguments_are_positional_in_the_order_of_2019(class_name: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    model = build(case)
    inputs, labels = model_inputs(case), model_labels(case)
    named = flat_outputs(model(**inputs, **labels))
    positional = flat_outputs(model(*inputs.values(), *labels.values()))
    for left, right in zip(positional, named, strict=True):
        assert_equal(left, right)


@every_class
def test_inputs_and_labels_are_not_modified(class_name: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    arguments = {**model_inputs(case), **model_labels(case)}
    copies = {name: tensor.clone() for name, tensor in arguments.items()}
    build(case)(**arguments)
    for name, tensor in arguments.items():
        assert_equal(tensor, copies[name])


def test_model_returns_the_last_layer_alone_when_asked() -> None:
    case = CASES_BY_KEY["BertModel/full"]
    model = build(case)
    layers, pooled = model(**model_inputs(case))
    last, same_pooled = model(**model_inputs(case), output_all_encoded_layers=False)
    assert isinstance(layers, list)
    assert len(layers) == 2
    assert_close(last, layers[-1], atol=1e-6)
    assert_close(same_pooled, pooled, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float32, torch.float64])
def test_attention_mask_may_have_any_real_dtype(dtype: torch.dtype) -> None:
    case = CASES_BY_KEY["BertForTokenClassification/full"]
    model = build(case)
    inputs, labels = model_inputs(case), model_labels(case)
    expected = model(**inputs, **labels)
    inputs["attention_mask"] = inputs["attention_mask"].to(dtype)
    assert_equal(model(**inputs, **labels), expected)


def test_ids_may_be_int32() -> None:
    case = CASES_BY_KEY["BertForPreTraining/full"]
    model = build(case)
    inputs = model_inputs(case)
    expected = flat_outputs(model(**inputs))
    actual = flat_outputs(model(**{name: tensor.int() for name, tensor in inputs.items()}))
    for left, right in zip(actual, expected, strict=True):
        assert_equal(left, right)


def test_padding_does_not_change_what_it_follows() -> None:
    case = CASES_BY_KEY["BertForQuestionAnswering/full"]
    model = build(case)
    inputs = model_inputs(case)
    padded = {name: nn.functional.pad(tensor, (0, 9)) for name, tensor in inputs.items()}
    for left, right in zip(model(**padded), model(**inputs), strict=True):
        real = inputs["attention_mask"] == 1
        assert_close(left[:, : case.seq][real], right[real], atol=1e-5)


def test_row_without_any_real_token_attends_to_everything() -> None:
    case = CASES_BY_KEY["BertModel/full"]
    model = build(case)
    inputs = model_inputs(case)
    inputs["attention_mask"][1] = 0
    masked = flat_outputs(model(**inputs))
    inputs["attention_mask"][1] = 1
    free = flat_outputs(model(**inputs))
    for left, right in zip(masked, free, strict=True):
        # Single precision keeps three decimals of a score to which -10000 was added.
        assert_close(left[1], right[1], atol=2e-2)


@pytest.mark.parametrize(
    ("class_name", "label"),
    [
        ("BertForPreTraining", "masked_lm_labels"),
        ("BertForPreTraining", "next_sentence_label"),
        ("BertForQuestionAnswering", "start_positions"),
        ("BertForQuestionAnswering", "end_positions"),
    ],
)
def test_one_of_two_labels_gives_the_outputs(class_name: str, label: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    model = build(case)
    inputs = model_inputs(case)
    outputs = model(**inputs, **{label: model_labels(case)[label]})
    assert isinstance(outputs, tuple)
    for left, right in zip(outputs, model(**inputs), strict=True):
        assert_equal(left, right)


@pytest.mark.parametrize(
    "class_name",
    [
        "BertForNextSentencePrediction",
        "BertForSequenceClassification",
        "BertForMultipleChoice",
        "BertForQuestionAnswering",
    ],
)
def test_labels_may_have_a_trailing_dimension_of_one(class_name: str) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    model = build(case)
    inputs, labels = model_inputs(case), model_labels(case)
    columns = {name: label.unsqueeze(-1) for name, label in labels.items()}
    assert_equal(model(**inputs, **columns), model(**inputs, **labels))


@pytest.mark.parametrize(
    ("class_name", "ignored"),
    [
        ("BertForMaskedLM", -1),
        ("BertForNextSentencePrediction", -1),
        ("BertForSequenceClassification", -100),
        ("BertForMultipleChoice", -100),
        ("BertForTokenClassification", -100),
        ("BertForQuestionAnswering", 1000),
    ],
)
def test_loss_of_ignored_labels_alone_is_nan(class_name: str, ignored: int) -> None:
    case = CASES_BY_KEY[f"{class_name}/full"]
    labels = {name: torch.full_like(label, ignored) for name, label in model_labels(case).items()}
    assert build(case)(**model_inputs(case), **labels).isnan()


def test_ignored_label_does_not_count() -> None:
    case = CASES_BY_KEY["BertForSequenceClassification/full"]
    model = build(case)
    inputs, label = model_inputs(case), model_labels(case)["labels"]
    expected = model(**{name: tensor[1:] for name, tensor in inputs.items()}, labels=label[1:])
    label[0] = -100
    assert_close(model(**inputs, labels=label), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("class_name", "arguments", "head"), MINILM_HEADS, ids=[head[0] for head in MINILM_HEADS]
)
def test_real_weights_give_the_reference_results(
    class_name: str, arguments: tuple[int, ...], head: str, arrays: Arrays
) -> None:
    model = getattr(ptbert, class_name).from_pretrained(minilm_directory(), *arguments)
    seed_weights(model, only=head)
    model.eval()
    key = f"minilm/{class_name}"
    with torch.no_grad():
        outputs = flat_outputs(model(**minilm_inputs()))
    for output, expected in zip(outputs, golden_outputs(arrays, key), strict=True):
        assert_close(output, expected, atol=1e-5)
    loss = model(**minilm_inputs(), **minilm_labels(class_name))
    assert_close(loss, arrays[f"{key}/loss"], atol=1e-5)
    loss.backward()
    assert_gradient_norms_close(model, golden_norms(arrays, key, model))
