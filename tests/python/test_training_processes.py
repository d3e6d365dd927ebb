"""`ptbert.training` in two processes computes what one does."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest

import training_cases
import training_worker
from process_support import free_ports, run_together
from training_cases import CASES
from training_worker import PROCESSES, SHARDED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have written their losses."""
    folder = tmp_path_factory.mktemp("processes")
    (port,) = free_ports(1)
    run_together(training_worker.run, PROCESSES, str(folder), port)
    return folder


def losses(folder: Path, name: str) -> list[float]:
    """The losses that every process has noted: those of the whole batches."""
    first, second = (
        (folder / f"{name}.{rank}").read_text(encoding="utf-8") for rank in range(PROCESSES)
    )
    assert first.startswith("["), first
    assert second == first
    result: list[float] = ast.literal_eval(first)
    return result


@pytest.mark.parametrize("name", [*CASES, *(f"{name}-sharded" for name in SHARDED)])
def test_losses_are_those_of_one_process(name: str, folder: Path, one_thread: None) -> None:
    _, log = training_cases.train(name.removesuffix("-sharded"))
    # In 16 bits the rounding of a row depends on the rows beside it.
    precision = CASES[name.removesuffix("-sharded")][2].get("precision", "float32")
    tolerance = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 5e-3}[precision]
    assert losses(folder, name) == pytest.approx(log.losses, abs=tolerance)


@pytest.mark.parametrize("name", ["resumed", "resumed-sharded"])
def test_run_that_one_process_is_asked_to_stop_goes_on(
    name: str, folder: Path, one_thread: None
) -> None:
    _, log = training_cases.train("rows")
    assert losses(folder, name) == pytest.approx(log.losses, abs=1e-5)
    run = folder / ("run" if name == "resumed" else "sharded")
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        noted = [float(row["loss"]) for row in csv.DictReader(file)]
    assert noted == losses(folder, name)  # one process has written


def test_batch_needs_a_row_for_each_process(folder: Path) -> None:
    assert losses(folder, "few_rows") == []
