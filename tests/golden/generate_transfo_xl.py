"""Writes transfo_xl.npz and transfo_xl.json: what pytorch-pretrained-bert 0.6.2 computes for the
cases of tests/python/transfo_xl_cases.py, in double precision. README.md in this folder says how to
run it.

Its attention masks are made bool, as today's torch wants them, and its losses are asked for in the
order of the tokens.
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

import support  # noqa: E402
import transfo_xl_cases as cases  # noqa: E402

REFERENCE = "0.6.2"


def build(case: cases.TransfoXLCase) -> Any:
    config = pytorch_pretrained_bert.TransfoXLConfig.from_dict(case.config_fields)
    model = pytorch_pretrained_bert.TransfoXLLMHeadModel(config)
    support.seed_weights(model)
    model.crit.keep_order = True
    if case.lengths:
        model.reset_length(*case.lengths)
    return model.double().eval()


def run_case(case: cases.TransfoXLCase, arrays: dict[str, Any]) -> None:
    model, mems, losses = build(case), None, []
    for input_ids, target in case.segments:
        before = mems
        loss, mems = model(input_ids, target, mems=mems and [memory.clone() for memory in mems])
        losses.append(loss)
    last = before and [memory.clone() for memory in before]
    with torch.no_grad():
        scores = model(input_ids, mems=last)[0]
    torch.stack(losses).mean().backward()
    arrays[f"{case.name}/losses"] = torch.stack(losses).detach().float().numpy()
    arrays[f"{case.name}/log_probs"] = scores[:, -1].float().numpy()
    if mems is not None:
        arrays[f"{case.name}/mems"] = torch.stack(mems).float().numpy()
    gradients = [support.gradient_or_zeros(p).flatten() for p in model.parameters()]
    arrays[f"{case.name}/gradients"] = torch.cat(gradients).float().numpy()


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    torch.Tensor.byte = torch.Tensor.bool  # type: ignore[method-assign, assignment]
    arrays: dict[str, Any] = {}
    for case in cases.CASES:
        run_case(case, arrays)
    np.savez_compressed(FOLDER / "transfo_xl.npz", **arrays)
    states = {
        case.name: {key: list(tensor.shape) for key, tensor in build(case).state_dict().items()}
        for case in cases.CASES
    }
    record = {
        "generated_by": "tests/golden/generate_transfo_xl.py",
        "pytorch-pretrained-bert": REFERENCE,
        "torch": torch.__version__,
        "precision": "float64",
        "states": states,
    }
    (FOLDER / "transfo_xl.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
