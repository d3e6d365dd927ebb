"""Writes optimization.npz and optimization.json: what the optimizers and schedules of
pytorch-pretrained-bert 0.6.2 compute for the cases of tests/python/optimization_cases.py, in double
precision. README.md in this folder says how to run it.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_pretrained_bert
import torch

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "python"))

import optimization_cases as cases  # noqa: E402

REFERENCE = "0.6.2"


def main() -> None:
    if pytorch_pretrained_bert.__version__ != REFERENCE:
        raise SystemExit(f"needs pytorch-pretrained-bert {REFERENCE}")
    # Its in-place operations use signatures that torch has deprecated since.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    arrays: dict[str, Any] = {}
    for case in cases.SCHEDULE_CASES:
        schedule = case.build(pytorch_pretrained_bert.optimization)
        arrays[f"schedule/{case.key}"] = np.array([schedule.get_lr(step) for step in case.steps])
    for case in cases.TRAJECTORY_CASES:
        values, rates = cases.run_trajectory(pytorch_pretrained_bert, case, torch.float64)
        arrays[f"trajectory/{case.key}/values"] = values.numpy()
        arrays[f"trajectory/{case.key}/rates"] = rates
    for name in ("BertAdam", "OpenAIAdam"):
        losses = cases.train(pytorch_pretrained_bert, name, torch.float64)
        arrays[f"training/{name}/losses"] = np.array(losses)
    np.savez_compressed(FOLDER / "optimization.npz", **arrays)

    record = {
        "generated_by": "tests/golden/generate_optimization.py",
        "pytorch-pretrained-bert": REFERENCE,
        "torch": torch.__version__,
        "precision": "float64",
    }
    (FOLDER / "optimization.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
