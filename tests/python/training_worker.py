"""What each of two processes does for test_training_processes.py; a module that they can import."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import training_cases
from process_support import be_process
from ptbert.training import TrainingOptions, fit, processes
from training_cases import CASES, batches, class_loss, make_model

PROCESSES = 2
SHARDED = ("rows", "accumulated", "clipped", "float16")


def train(name: str, *, shard: bool = False) -> list[float]:
    """The losses of a case, of which each process computes half."""
    _, log = training_cases.train(name, shard=shard)
    return log.losses


def stop_and_go_on(folder: Path, *, shard: bool = False) -> list[float]:
    """The losses of a run that the second process is asked to stop."""

    def after_step(log: Any) -> None:
        if log.global_step == 3 and not processes.is_first():
            os.kill(os.getpid(), 2)

    def go(resume: bool) -> list[float]:
        options = TrainingOptions(
            learning_rate=1e-3, epochs=2.0, output_dir=folder, resume=resume, shard=shard
        )
        model = make_model()
        return fit(model, batches(8), class_loss, options, after_step=after_step).losses

    try:
        go(resume=False)
    except SystemExit:
        return go(resume=True)
    raise AssertionError("The run was not stopped.")


def refuse_few_rows() -> list[float]:
    """A batch must have a row for each process."""
    try:
        training_cases.train("rows", batch_size=1)
    except ValueError as error:
        assert str(error) == (
            "A batch must have at least as many rows as there are processes (2), but has 1."
        )
        return []
    raise AssertionError("The batch was not refused.")


def run(rank: int, folder: str, port: int) -> None:
    """Write the losses of every case to a file of its name, or what went wrong."""
    be_process(rank, PROCESSES, port)
    processes.start(no_cuda=True, timeout_s=60)
    checks: dict[str, Callable[[], list[float]]] = {
        **{name: partial(train, name) for name in CASES},
        **{f"{name}-sharded": partial(train, name, shard=True) for name in SHARDED},
        "resumed": partial(stop_and_go_on, Path(folder, "run")),
        "resumed-sharded": partial(stop_and_go_on, Path(folder, "sharded"), shard=True),
        "few_rows": refuse_few_rows,
    }
    for name, check in checks.items():
        try:
            outcome = repr(check())
        except Exception:
            outcome = traceback.format_exc()
        Path(folder, f"{name}.{rank}").write_text(outcome, encoding="utf-8")
    processes.stop()
