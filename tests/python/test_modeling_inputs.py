"""Errors of the BERT classes for invalid inputs, labels and configurations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptbert
from model_cases import CASES_BY_KEY, CLASSES, ModelCase, model_inputs, model_labels
from support import seed_weights

every_class = pytest.mark.parametrize("class_name", CLASSES)


def full_case(class_name: str) -> ModelCase:
    return CASES_BY_KEY[f"{class_name}/full"]


def build(class_name: str) -> nn.Module:
    case = full_case(class_name)
    config = ptbert.BertConfig.from_dict(case.config_fields)
    model: nn.Module = getattr(ptbert, class_name)(config, *case.arguments)
    seed_weights(model)
    return model.eval()


def arguments_of(class_name: str) -> dict[str, Tensor]:
    """Good inputs and labels of [3, 7] tokens; [3, 2, 7] for multiple choice."""
    case = full_case(class_name)
    return {**model_inputs(case), **model_labels(case)}


def shape_text(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def assert_raises(
    error_type: type[Exception], message: str, class_name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(error_type) as error:
        build(class_name)(**arguments)
    assert type(error.value) is error_type
    assert str(error.value) == message


def with_value(tensor: Tensor, value: int) -> Tensor:
    """The tensor with one element of its first row, which no mask hides, replaced."""
    changed = tensor.clone()
    changed.reshape(-1)[0] = value
    return changed


# Values.


@every_class
@pytest.mark.parametrize("value", [99, 30000, -1])
def test_input_id_out_of_range_raises(class_name: str, value: int) -> None:
    arguments = arguments_of(class_name)
    arguments["input_ids"] = with_value(arguments["input_ids"], value)
    message = f"`input_ids` must be in [0, 99), but holds {value}."
    assert_raises(IndexError, message, class_name, arguments)


@every_class
@pytest.mark.parametrize("value", [2, -1])
def test_token_type_out_of_range_raises(class_name: str, value: int) -> None:
    arguments = arguments_of(class_name)
    arguments["token_type_ids"] = with_value(arguments["token_type_ids"], value)
    message = f"`token_type_ids` must be in [0, 2), but holds {value}."
    assert_raises(IndexError, message, class_name, arguments)


def test_id_out_of_range_behind_the_mask_raises_too() -> None:
    arguments = arguments_of("BertModel")
    arguments["input_ids"][2, -1] = 99
    message = "`input_ids` must be in [0, 99), but holds 99."
    assert_raises(IndexError, message, "BertModel", arguments)


def test_negative_id_is_named_before_one_that_is_too_large() -> None:
    message = "`input_ids` must be in [0, 99), but holds -3."
    ids = torch.tensor([[5, 200, -3, -2]])
    assert_raises(IndexError, message, "BertModel", {"input_ids": ids})


@every_class
def test_sequence_beyond_the_positions_raises(class_name: str) -> None:
    shape = (1, 2, 513) if class_name == "BertForMultipleChoice" else (1, 513)
    message = (
        "`input_ids` must hold at most 512 tokens a row (`max_position_embeddings`), but holds 513."
    )
    arguments = {"input_ids": torch.ones(shape, dtype=torch.long)}
    assert_raises(IndexError, message, class_name, arguments)


# Types.


@every_class
@pytest.mark.parametrize("name", ["input_ids", "token_type_ids", "attention_mask"])
def test_input_that_is_no_tensor_raises(class_name: str, name: str) -> None:
    arguments: dict[str, Any] = dict(arguments_of(class_name))
    arguments[name] = arguments[name].tolist()
    message = f"`{name}` must be a torch.Tensor, but is a list."
    assert_raises(TypeError, message, class_name, arguments)


def test_missing_input_ids_raise() -> None:
    message = "`input_ids` must be a torch.Tensor, but is a NoneType."
    assert_raises(TypeError, message, "BertModel", {"input_ids": None})


@every_class
@pytest.mark.parametrize("name", ["input_ids", "token_type_ids"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_ids_of_another_dtype_raise(class_name: str, name: str, dtype: torch.dtype) -> None:
    arguments = arguments_of(class_name)
    arguments[name] = arguments[name].to(dtype)
    text = str(dtype).removeprefix("torch.")
    message = f"`{name}` must be of dtype int64 or int32, but is {text}."
    assert_raises(TypeError, message, class_name, arguments)


def test_complex_attention_mask_raises() -> None:
    arguments = arguments_of("BertModel")
    arguments["attention_mask"] = arguments["attention_mask"].to(torch.complex64)
    message = "`attention_mask` must be of a real dtype, but is complex64."
    assert_raises(TypeError, message, "BertModel", arguments)


# Shapes.


@pytest.mark.parametrize("class_name", [name for name in CLASSES if "Choice" not in name])
@pytest.mark.parametrize("shape", [(), (5,), (2, 2, 5)], ids=str)
def test_input_ids_of_another_rank_raise(class_name: str, shape: tuple[int, ...]) -> None:
    ids = torch.ones(shape, dtype=torch.long)
    message = f"`input_ids` must be of shape [batch, seq], but is of shape {shape_text(ids)}."
    assert_raises(ValueError, message, class_name, {"input_ids": ids})


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 3, 5), (2, 1, 5), (1, 2, 2, 5)], ids=str)
def test_choices_that_are_not_num_choices_raise(shape: tuple[int, ...]) -> None:
    ids = torch.ones(shape, dtype=torch.long)
    message = (
        "`input_ids` must be of shape [batch, choices, seq] with 2 `num_choices`, "
        f"but is of shape {shape_text(ids)}."
    )
    assert_raises(ValueError, message, "BertForMultipleChoice", {"input_ids": ids})


@every_class
@pytest.mark.parametrize("name", ["token_type_ids", "attention_mask"])
@pytest.mark.parametrize("change", ["shorter", "one row", "flat", "one more dimension"])
def test_input_of_another_shape_than_the_ids_raises(
    class_name: str, name: str, change: str
) -> None:
    arguments = arguments_of(class_name)
    good = arguments[name]
    changed = {
        "shorter": good[..., :-1],
        "one row": good[:1],
        "flat": good.reshape(-1),
        "one more dimension": good.unsqueeze(0),
    }
    arguments[name] = changed[change]
    message = (
        f"`{name}` must be of the shape of `input_ids`, {shape_text(good)}, "
        f"but is of shape {shape_text(arguments[name])}."
    )
    assert_raises(ValueError, message, class_name, arguments)


@every_class
@pytest.mark.parametrize("empty", ["batch", "sequence"])
def test_empty_input_raises(class_name: str, empty: str) -> None:
    ids = arguments_of(class_name)["input_ids"]
    ids = ids[:0] if empty == "batch" else ids[..., :0]
    message = f"`input_ids` must hold at least one token, but is of shape {shape_text(ids)}."
    assert_raises(ValueError, message, class_name, {"input_ids": ids})


# Labels.

SENTENCE_LABELS = [
    ("BertForPreTraining", "next_sentence_label"),
    ("BertForNextSentencePrediction", "next_sentence_label"),
    ("BertForSequenceClassification", "labels"),
    ("BertForMultipleChoice", "labels"),
    ("BertForQuestionAnswering", "start_positions"),
    ("BertForQuestionAnswering", "end_positions"),
]
TOKEN_LABELS = [
    ("BertForPreTraining", "masked_lm_labels"),
    ("BertForMaskedLM", "masked_lm_labels"),
    ("BertForTokenClassification", "labels"),
]
every_label = pytest.mark.parametrize(("class_name", "name"), SENTENCE_LABELS + TOKEN_LABELS)


@every_label
def test_label_that_is_no_tensor_raises(class_name: str, name: str) -> None:
    arguments: dict[str, Any] = dict(arguments_of(class_name))
    arguments[name] = arguments[name].tolist()
    message = f"`{name}` must be a torch.Tensor, but is a list."
    assert_raises(TypeError, message, class_name, arguments)


@every_label
@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.bool])
def test_label_of_another_dtype_raises(class_name: str, name: str, dtype: torch.dtype) -> None:
    arguments = arguments_of(class_name)
    arguments[name] = arguments[name].to(dtype)
    text = str(dtype).removeprefix("torch.")
    message = f"`{name}` must be of dtype int64, but is {text}."
    assert_raises(TypeError, message, class_name, arguments)


def test_regression_targets_raise() -> None:
    config = ptbert.BertConfig.from_dict(full_case("BertForSequenceClassification").config_fields)
    model = ptbert.BertForSequenceClassification(config, num_labels=1)
    with pytest.raises(TypeError) as error:
        model(torch.ones(2, 5, dtype=torch.long), labels=torch.tensor([0.5, 1.5]))
    assert str(error.value) == "`labels` must be of dtype int64, but is float32."


@pytest.mark.parametrize(("class_name", "name"), SENTENCE_LABELS)
@pytest.mark.parametrize("shape", [(2,), (3, 2), (1, 3), (3, 7), ()], ids=str)
def test_sentence_label_of_another_shape_raises(
    class_name: str, name: str, shape: tuple[int, ...]
) -> None:
    arguments = arguments_of(class_name)
    arguments[name] = torch.zeros(shape, dtype=torch.long)
    message = f"`{name}` must be of shape [3], but is of shape {shape_text(arguments[name])}."
    assert_raises(ValueError, message, class_name, arguments)


@pytest.mark.parametrize(("class_name", "name"), TOKEN_LABELS)
@pytest.mark.parametrize("shape", [(3,), (3, 6), (7, 3), (1, 7)], ids=str)
def test_token_label_of_another_shape_raises(
    class_name: str, name: str, shape: tuple[int, ...]
) -> None:
    arguments = arguments_of(class_name)
    arguments[name] = torch.zeros(shape, dtype=torch.long)
    message = (
        f"`{name}` must be of the shape of `input_ids`, [3, 7], "
        f"but is of shape {shape_text(arguments[name])}."
    )
    assert_raises(ValueError, message, class_name, arguments)


@pytest.mark.parametrize(
    ("class_name", "name", "rule", "value"),
    [
        ("BertForPreTraining", "masked_lm_labels", "[0, 99) or -1 (ignored)", 99),
        ("BertForPreTraining", "masked_lm_labels", "[0, 99) or -1 (ignored)", -100),
        ("BertForPreTraining", "next_sentence_label", "[0, 2) or -1 (ignored)", 2),
        ("BertForMaskedLM", "masked_lm_labels", "[0, 99) or -1 (ignored)", 99),
        ("BertForMaskedLM", "masked_lm_labels", "[0, 99) or -1 (ignored)", -2),
        ("BertForNextSentencePrediction", "next_sentence_label", "[0, 2) or -1 (ignored)", 2),
        ("BertForSequenceClassification", "labels", "[0, 3) or -100 (ignored)", 3),
        ("BertForSequenceClassification", "labels", "[0, 3) or -100 (ignored)", -1),
        ("BertForMultipleChoice", "labels", "[0, 2) or -100 (ignored)", 2),
        ("BertForMultipleChoice", "labels", "[0, 2) or -100 (ignored)", -1),
        ("BertForTokenClassification", "labels", "[0, 3) or -100 (ignored)", 3),
        ("BertForTokenClassification", "labels", "[0, 3) or -100 (ignored)", -1),
    ],
)
def test_label_out_of_range_raises(class_name: str, name: str, rule: str, value: int) -> None:
    arguments = arguments_of(class_name)
    arguments[name] = with_value(arguments[name], value)
    message = f"`{name}` must be in {rule}, but holds {value}."
    assert_raises(IndexError, message, class_name, arguments)


def test_token_label_of_any_value_is_fine_behind_the_mask() -> None:
    arguments = arguments_of("BertForTokenClassification")
    model = build("BertForTokenClassification")
    expected = model(**arguments)
    hidden = arguments["attention_mask"] == 0
    arguments["labels"] = arguments["labels"].masked_fill(hidden, 12345)
    assert model(**arguments).item() == expected.item()


def test_bad_input_leaves_the_model_usable() -> None:
    model = build("BertModel")
    with pytest.raises(IndexError):
        model(torch.tensor([[99]]))
    layers, _ = model(torch.tensor([[98]]))
    assert layers[-1].isfinite().all()


# Configurations.


@every_class
@pytest.mark.parametrize("config", ["bert-base-uncased", {"vocab_size": 99}, None, 99], ids=repr)
def test_config_of_another_class_raises(class_name: str, config: Any) -> None:
    kind = type(config).__name__
    article = "an" if kind == "int" else "a"
    with pytest.raises(ValueError) as error:
        getattr(ptbert, class_name)(config)
    assert str(error.value) == (
        f"`config` must be a BertConfig, but is {article} {kind}; "
        f"use `{class_name}.from_pretrained` to load by name."
    )


@every_class
@pytest.mark.parametrize(
    ("field", "value", "error_type", "message"),
    [
        (
            "hidden_size",
            37,
            ValueError,
            "`hidden_size` (37) must be a multiple of `num_attention_heads` (4).",
        ),
        (
            "hidden_act",
            "tanh",
            KeyError,
            '`hidden_act` must be "gelu", "relu", "swish" or a callable, but is "tanh".',
        ),
        (
            "hidden_act",
            3,
            TypeError,
            '`hidden_act` must be "gelu", "relu", "swish" or a callable, but is an int.',
        ),
        ("hidden_size", "32", TypeError, "`hidden_size` must be an int, but is a str."),
        ("vocab_size", 99.0, TypeError, "`vocab_size` must be an int, but is a float."),
        (
            "num_hidden_layers",
            None,
            TypeError,
            "`num_hidden_layers` must be an int, but is a NoneType.",
        ),
        ("vocab_size", -1, ValueError, "`vocab_size` must be at least 1, but is -1."),
        ("hidden_size", 0, ValueError, "`hidden_size` must be at least 1, but is 0."),
        ("num_hidden_layers", 0, ValueError, "`num_hidden_layers` must be at least 1, but is 0."),
        (
            "num_attention_heads",
            0,
            ValueError,
            "`num_attention_heads` must be at least 1, but is 0.",
        ),
        ("intermediate_size", -4, ValueError, "`intermediate_size` must be at least 1, but is -4."),
        (
            "max_position_embeddings",
            0,
            ValueError,
            "`max_position_embeddings` must be at least 1, but is 0.",
        ),
        ("type_vocab_size", 0, ValueError, "`type_vocab_size` must be at least 1, but is 0."),
        (
            "hidden_dropout_prob",
            1.5,
            ValueError,
            "`hidden_dropout_prob` must be in [0, 1], but is 1.5.",
        ),
        (
            "attention_probs_dropout_prob",
            -0.5,
            ValueError,
            "`attention_probs_dropout_prob` must be in [0, 1], but is -0.5.",
        ),
        (
            "hidden_dropout_prob",
            "0.1",
            TypeError,
            "`hidden_dropout_prob` must be a number, but is a str.",
        ),
        (
            "layer_norm_eps",
            None,
            TypeError,
            "`layer_norm_eps` must be a number, but is a NoneType.",
        ),
        ("layer_norm_eps", -1, ValueError, "`layer_norm_eps` must be above 0, but is -1."),
        ("layer_norm_eps", 0.0, ValueError, "`layer_norm_eps` must be above 0, but is 0."),
        ("layer_norm_eps", math.nan, ValueError, "`layer_norm_eps` must be finite, but is nan."),
        (
            "initializer_range",
            -1.0,
            ValueError,
            "`initializer_range` must be at least 0, but is -1.",
        ),
        (
            "initializer_range",
            math.inf,
            ValueError,
            "`initializer_range` must be finite, but is inf.",
        ),
    ],
)
def test_config_field_that_no_model_can_have_raises(
    class_name: str, field: str, value: Any, error_type: type[Exception], message: str
) -> None:
    fields = {**full_case(class_name).config_fields, field: value}
    config = ptbert.BertConfig.from_dict(fields)
    with pytest.raises(error_type) as error:
        getattr(ptbert, class_name)(config)
    # str() of a KeyError adds quotes.
    assert error.value.args[0] == message


@pytest.mark.parametrize(
    ("class_name", "argument"),
    [
        ("BertForSequenceClassification", "num_labels"),
        ("BertForTokenClassification", "num_labels"),
        ("BertForMultipleChoice", "num_choices"),
    ],
)
def test_head_without_outputs_raises(class_name: str, argument: str) -> None:
    config = ptbert.BertConfig.from_dict(full_case(class_name).config_fields)
    with pytest.raises(ValueError) as error:
        getattr(ptbert, class_name)(config, 0)
    assert str(error.value) == f"`{argument}` must be at least 1, but is 0."


@pytest.mark.parametrize(
    ("class_name", "attribute"),
    [
        ("BertForSequenceClassification", "num_labels"),
        ("BertForTokenClassification", "num_labels"),
        ("BertForMultipleChoice", "num_choices"),
    ],
)
def test_head_has_two_outputs_by_default(class_name: str, attribute: str) -> None:
    config = ptbert.BertConfig.from_dict(full_case(class_name).config_fields)
    assert getattr(getattr(ptbert, class_name)(config), attribute) == 2
