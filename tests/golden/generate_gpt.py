"""Writes gpt.npz and gpt.json: what pytorch-pretrained-bert 0.6.2 computes for the cases of
tests/python/gpt_cases.py, in double precision. README.md in this folder says how to run it.

Release 0.6.2 returns the last hidden states only, and its GPT-2 shifts the labels of the wrong
dimension where inputs have more than two: such losses are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_pretrained_bert
import torch

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "python"))

import gpt_cases as cases  # noqa: E402
import support  # noqa: E402
from model_cases import flat_outputs, probe_loss  # noqa: E402

REFERENCE = "0.6.2"
# What 0.6.2's configurations do not know; dropout of 0 makes its GPT a model in evaluation.
UNKNOWN = {"predict_special_tokens"}


def build(case: cases.GPTCase) -> Any:
    fields = {name: value for name, value in case.config_fields.items() if name not in UNKNOWN}
    if case.family == "gpt2":  # whose 0.6.2 has no special tokens
        fields["vocab_size"] += fields.pop("n_special")
        config = pytorch_pretrained_bert.GPT2Config.from_dict(fields)
    else:
        config = pytorch_pretrained_bert.OpenAIGPTConfig.from_dict(fields)
    model = getattr(pytorch_pretrained_bert, case.class_name)(config)
    support.seed_weights(model)
    return model.double().eval()


def last_outputs(outputs: Any, case: cases.GPTCase) -> list[torch.Tensor]:
    """Hidden states or scores, without presents."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [output for output in outputs if isinstance(output, torch.Tensor)]


def run_case(case: cases.GPTCase, arrays: dict[str, Any]) -> None:
    model = build(case)
    inputs, labels = cases.gpt_inputs(case), cases.gpt_labels(case)
    if case.past:
        earlier = model(**cases.first_part(case, inputs))
        inputs["past"] = [present.detach() for present in earlier[-1]]
    outputs = model(**inputs)
    for index, output in enumerate(last_outputs(outputs, case)):
        arrays[f"{case.key}/output.{index}"] = output.detach().float().numpy()
    if case.family == "gpt2" and case.name == "ids_only":
        presents = torch.stack(outputs[-1])
        arrays[f"{case.key}/presents"] = presents.detach().float().numpy()
    if not case.has_right_loss:
        return
    if labels:
        losses = flat_outputs(model(**inputs, **labels))
        arrays[f"{case.key}/losses"] = np.array([loss.item() for loss in losses])
        total = sum(losses, torch.zeros(()))
    else:
        total = probe_loss(last_outputs(outputs, case))
        arrays[f"{case.key}/losses"] = np.array([total.item()])
    total.backward()
    arrays[f"{case.key}/gradient_norms"] = np.array(list(support.gradient_norms(model).values()))
    if case.name == "ids_only":
        flat = [support.gradient_or_zeros(parameter).flatten() for parameter in model.parameters()]
        arrays[f"{case.key}/gradients"] = torch.cat(flat).float().numpy()


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    arrays: dict[str, Any] = {}
    for case in cases.CASES:
        run_case(case, arrays)
    np.savez_compressed(FOLDER / "gpt.npz", **arrays)
    states = {
        name: {
            key: list(tensor.shape)
            for key, tensor in build(cases.CASES_BY_KEY[f"{name}/ids_only"]).state_dict().items()
        }
        for name in cases.CLASSES
    }
    record = {
        "generated_by": "tests/golden/generate_gpt.py",
        "pytorch-pretrained-bert": REFERENCE,
        "torch": torch.__version__,
        "precision": "float64",
        "states": states,
    }
    (FOLDER / "gpt.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
