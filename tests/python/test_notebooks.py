"""The notebooks as they are committed: run from top to bottom, without errors, and small.

CONTRIBUTING.md has the command that runs them, with TensorFlow.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
# The goal for hidden states, scores and losses on the operations of the original.
GOAL = 5e-7
# What deviations are, in the texts that the notebooks print.
DEVIATION = re.compile(r"standard deviation (\S+)|(\S+) plain$", re.MULTILINE)


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_the_three_of_2019() -> None:
    assert [path.stem.removeprefix("Comparing-TF-and-PT-models") for path in NOTEBOOKS] == [
        "-MLM-NSP",
        "-SQuAD",
        "",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_was_run_in_order_without_errors(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert "error" not in [output["output_type"] for output in outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_reports_deviations_within_the_goal(path: Path) -> None:
    printed = "".join(
        "".join(output.get("text", "")) for cell in code_cells(path) for output in cell["outputs"]
    )
    found = [float(one or other) for one, other in DEVIATION.findall(printed)]
    assert len(found) >= 2
    assert max(found) <= GOAL
