"""Checkpoints cross between ptbert, pytorch-pretrained-bert 0.6.2 and transformers, outputs equal.

These tests run where the two packages are installed and skip elsewhere.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import ptbert
from model_cases import CASES_BY_KEY, CLASSES, ModelCase, flat_outputs, model_inputs
from support import assert_close, import_or_skip, minilm_directory, seed_weights

# What the other libraries warn about is not this project's business.
pytestmark = pytest.mark.filterwarnings("ignore")
# Classes to which transformers gives no pooler, as nothing reads it.
WITHOUT_POOLER = ("BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering")
every_class = pytest.mark.parametrize("class_name", CLASSES)


@pytest.fixture(scope="module")
def original() -> Any:
    return import_or_skip("pytorch_pretrained_bert")


@pytest.fixture(scope="module")
def transformers() -> Any:
    return import_or_skip("transformers")


def full_case(class_name: str) -> ModelCase:
    return CASES_BY_KEY[f"{class_name}/full"]


def build(library: Any, class_name: str) -> Any:
    """A model of ptbert or of the original, which share their constructors."""
    case = full_case(class_name)
    config = library.BertConfig.from_dict(case.config_fields)
    model = getattr(library, class_name)(config, *case.arguments)
    seed_weights(model)
    return model.eval()


def save(model: Any, folder: Path) -> Path:
    torch.save(model.state_dict(), folder / ptbert.WEIGHTS_NAME)
    model.config.to_json_file(str(folder / ptbert.CONFIG_NAME))
    return folder


def outputs_of(model: Any, class_name: str) -> list[Tensor]:
    with torch.no_grad():
        return flat_outputs(model.eval()(**model_inputs(full_case(class_name))))


def transformers_outputs(model: Any, class_name: str) -> list[Tensor]:
    """The outputs in the order of 2019."""
    wants_layers = class_name == "BertModel"
    with torch.no_grad():
        output = model.eval()(
            **model_inputs(full_case(class_name)), output_hidden_states=wants_layers
        )
    if wants_layers:
        return [*output.hidden_states[1:], output.pooler_output]
    if class_name == "BertForPreTraining":
        return [output.prediction_logits, output.seq_relationship_logits]
    if class_name == "BertForQuestionAnswering":
        return [output.start_logits, output.end_logits]
    return [output.logits]


def assert_all_close(actual: list[Tensor], expected: list[Tensor]) -> None:
    assert len(actual) == len(expected)
    for left, right in zip(actual, expected, strict=True):
        assert_close(left, right, atol=1e-5)


def ptbert_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("ptbert.") and record.levelno >= logging.WARNING
    ]


@every_class
def test_original_loads_what_ptbert_saved(class_name: str, original: Any, tmp_path: Path) -> None:
    model = build(ptbert, class_name)
    arguments = full_case(class_name).arguments
    theirs = getattr(original, class_name).from_pretrained(str(save(model, tmp_path)), *arguments)
    assert list(theirs.state_dict()) == list(model.state_dict())
    assert_all_close(outputs_of(theirs, class_name), outputs_of(model, class_name))


@every_class
def test_ptbert_loads_what_the_original_saved(
    class_name: str, original: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = build(original, class_name)
    arguments = full_case(class_name).arguments
    model = getattr(ptbert, class_name).from_pretrained(save(theirs, tmp_path), *arguments)
    assert ptbert_warnings(caplog) == []
    assert_all_close(outputs_of(model, class_name), outputs_of(theirs, class_name))


def to_transformers(transformers: Any, class_name: str, folder: Path) -> Any:
    options: dict[str, Any] = {}
    if class_name in ("BertForSequenceClassification", "BertForTokenClassification"):
        options["num_labels"] = full_case(class_name).arguments[0]
    return getattr(transformers, class_name).from_pretrained(folder, **options)


@every_class
def test_transformers_loads_what_ptbert_saved(
    class_name: str, transformers: Any, tmp_path: Path
) -> None:
    model = build(ptbert, class_name)
    theirs = to_transformers(transformers, class_name, save(model, tmp_path))
    assert_all_close(transformers_outputs(theirs, class_name), outputs_of(model, class_name))


@every_class
def test_ptbert_loads_what_transformers_saved(
    class_name: str,
    transformers: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    theirs = to_transformers(transformers, class_name, save(build(ptbert, class_name), first))
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(1.25)
    theirs.save_pretrained(second)
    arguments = full_case(class_name).arguments
    model = getattr(ptbert, class_name).from_pretrained(second, *arguments)
    missing = f"`{class_name}`: weights not in the checkpoint, left at their initial values: "
    assert ptbert_warnings(caplog) == (
        [missing + "bert.pooler.dense.weight, bert.pooler.dense.bias"]
        if class_name in WITHOUT_POOLER
        else []
    )
    assert_all_close(outputs_of(model, class_name), transformers_outputs(theirs, class_name))


def test_real_weights_give_what_transformers_gives(transformers: Any) -> None:
    folder = minilm_directory()
    theirs = transformers.BertModel.from_pretrained(folder)
    model = ptbert.BertModel.from_pretrained(folder)
    assert_all_close(outputs_of(model, "BertModel"), transformers_outputs(theirs, "BertModel"))
