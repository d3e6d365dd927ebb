"""Models leave PyTorch: torch.export and ONNX, with fixed and with dynamic shapes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.export import Dim

import plain_models
import ptbert
from model_cases import flat_outputs
from ptbert import BertConfig
from support import assert_close, import_or_skip, seeded_ids


@pytest.fixture
def pair(class_name: str) -> tuple[Any, Any]:
    model, plain = plain_models.make_pair(class_name)
    return model.eval(), plain.eval()


def inputs_of(class_name: str, batch: int, seq: int) -> tuple[Tensor, ...]:
    """For BERT ids, token types and a mask whose last row has padding."""
    if not class_name.startswith("Bert"):
        return plain_models.ids(class_name, batch, seq)
    ids = seeded_ids("ids", (batch, seq), 1, 99)
    types = seeded_ids("types", (batch, seq), 0, 2)
    mask = torch.ones_like(ids)
    mask[-1, seq // 2 :] = 0
    return ids, types, mask


def dynamic_shapes(
    class_name: str, shortest: int = 2, longest: int | None = 512
) -> tuple[dict[int, Dim], ...]:
    batch, seq = Dim("batch", max=1024), Dim("seq", min=shortest, max=longest)
    if "DoubleHeads" in class_name:
        return {0: batch, 2: seq}, {0: batch}
    return ({0: batch, 1: seq},) * (3 if class_name.startswith("Bert") else 1)


def assert_equal_outputs(actual: Any, plain: Any, inputs: tuple[Tensor, ...]) -> None:
    for output, expected in zip(actual, flat_outputs(plain(*inputs)), strict=True):
        assert_close(torch.as_tensor(output), expected)


def test_exported_program_has_the_arithmetic(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair
    inputs = inputs_of(class_name, 4, 6)
    program = torch.export.export(model, inputs, strict=False)
    assert_equal_outputs(flat_outputs(program.module()(*inputs)), plain, inputs)
    names = {str(node.target) for node in program.graph.nodes}
    assert {"aten.linear.default", "aten.softmax.int", "aten.layer_norm.default"} <= names


@pytest.mark.parametrize("shape", [(1, 2), (3, 5), (7, 40), (2, 512)])
def test_exported_program_serves_other_shapes(
    shape: tuple[int, int], pair: tuple[Any, Any], class_name: str
) -> None:
    model, plain = pair
    program = torch.export.export(
        model,
        inputs_of(class_name, 4, 6),
        dynamic_shapes=dynamic_shapes(class_name),
        strict=False,
    )
    inputs = inputs_of(class_name, *shape)
    assert_equal_outputs(flat_outputs(program.module()(*inputs)), plain, inputs)


@pytest.mark.parametrize(
    "name",
    [
        "BertModel",
        "BertForPreTraining",
        "BertForMaskedLM",
        "BertForNextSentencePrediction",
        "BertForTokenClassification",
    ],
)
def test_every_model_serves_other_shapes(name: str, tiny_config: BertConfig) -> None:
    model: Any = getattr(ptbert, name)(tiny_config).eval()
    program = torch.export.export(
        model, inputs_of(name, 4, 6), dynamic_shapes=dynamic_shapes(name), strict=False
    )
    inputs = inputs_of(name, 3, 9)
    actual, expected = flat_outputs(program.module()(*inputs)), flat_outputs(model(*inputs))
    for output, wanted in zip(actual, expected, strict=True):
        assert_close(output, wanted)


def test_losses_serve_other_shapes(pair: tuple[Any, Any], class_name: str) -> None:
    model, plain = pair

    shapes = dynamic_shapes(class_name, shortest=3)  # a language model then has two labels
    rows = {0: shapes[0][0]}
    of_labels: tuple[Any, ...] = {
        "BertForSequenceClassification": (rows,),
        "BertForQuestionAnswering": (rows, rows),
        "GPT2LMHeadModel": (None, None, shapes[0]),
        "OpenAIGPTDoubleHeadsModel": (shapes[0], rows),
        "TransfoXLLMHeadModel": (shapes[0],),
    }[class_name]

    def inputs_and_labels(batch: int, seq: int) -> tuple[Any, ...]:
        inputs = inputs_of(class_name, batch, seq)
        if class_name == "GPT2LMHeadModel":  # behind positions and token types
            return (*inputs, None, None, seeded_ids("lm", (batch, seq), 0, 99))
        if class_name == plain_models.TRANSFO_XL:
            return (*inputs, seeded_ids("target", (batch, seq), 0, 99))
        if class_name == "OpenAIGPTDoubleHeadsModel":
            choices = seeded_ids("mc", (batch,), 0, 2)
            return (*inputs, seeded_ids("lm", (batch, 2, seq), 0, 99), choices)
        return (*inputs, *(seeded_ids(f"labels{n}", (batch,), 0, 3) for n in range(len(of_labels))))

    program = torch.export.export(
        model,
        inputs_and_labels(4, 6),
        dynamic_shapes=(*shapes, *of_labels),
        strict=False,
    )
    inputs = inputs_and_labels(3, 9)
    assert_equal_outputs(flat_outputs(program.module()(*inputs)), plain, inputs)


def test_exported_choices_serve_other_shapes(tiny_config: BertConfig) -> None:
    model: Any = ptbert.BertForMultipleChoice(tiny_config, 2).eval()
    batch, seq = Dim("batch", max=1024), Dim("seq", min=2, max=512)
    program = torch.export.export(
        model,
        (seeded_ids("ids", (4, 2, 6), 1, 99),),
        dynamic_shapes=({0: batch, 2: seq},),
        strict=False,
    )
    ids = seeded_ids("others", (3, 2, 9), 1, 99)
    assert_close(program.module()(ids), model(ids))


@pytest.mark.parametrize("class_name", plain_models.BERT_CLASSES)
def test_length_past_the_positions_is_refused(class_name: str) -> None:
    model = plain_models.make_pair(class_name)[0].eval()
    program = torch.export.export(
        model,
        inputs_of(class_name, 4, 6),
        dynamic_shapes=dynamic_shapes(class_name, longest=None),
        strict=False,
    )
    with pytest.raises(IndexError, match="index out of range"):
        program.module()(*inputs_of(class_name, 1, 513))


@pytest.mark.filterwarnings("ignore")  # torch's tracer warns of itself
@pytest.mark.parametrize("class_name", ["GPT2LMHeadModel", "OpenAIGPTDoubleHeadsModel"])
def test_traced_model_serves_other_shapes(class_name: str) -> None:
    model = plain_models.make_pair(class_name)[0].eval()
    traced: Any = torch.jit.trace(model, inputs_of(class_name, 2, 5), check_trace=False)
    for batch, seq in ((2, 5), (1, 5), (2, 9), (4, 3), (3, 17)):
        inputs = inputs_of(class_name, batch, seq)
        outputs = flat_outputs(traced(*inputs)), flat_outputs(model(*inputs))
        for output, expected in zip(*outputs, strict=True):
            assert_close(output, expected)


def test_strict_export_is_refused(pair: tuple[Any, Any], class_name: str) -> None:
    """Strict export traces Python code, and a model has none to trace."""
    with pytest.raises(torch._dynamo.exc.Unsupported, match="method `__call__` of class `Run`"):
        torch.export.export(pair[0], inputs_of(class_name, 4, 6), strict=True)


@pytest.mark.filterwarnings("ignore")  # torch's exporter raises warnings about itself
@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx_runtime_gives_equal_outputs(
    dynamic: bool, pair: tuple[Any, Any], class_name: str, tmp_path: Path
) -> None:
    import_or_skip("onnxscript")
    onnxruntime = import_or_skip("onnxruntime")
    model, plain = pair
    path = tmp_path / "model.onnx"
    names = list(inspect.signature(model.forward).parameters)[: len(dynamic_shapes(class_name))]
    torch.onnx.export(
        model,
        inputs_of(class_name, 4, 6),
        path,
        input_names=names,
        dynamic_shapes=dynamic_shapes(class_name) if dynamic else None,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in [(4, 6), (3, 9)] if dynamic else [(4, 6)]:
        inputs = inputs_of(class_name, *shape)
        given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        assert_equal_outputs(session.run(None, given), plain, inputs)
