"""Two processes: DistributedDataParallel, FSDP2, and models sent to another process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

import distributed_worker
import plain_models
from distributed_worker import CHECKS, PROCESSES, make_pair, whole_batch
from process_support import run_together
from support import assert_close


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have written the outcome of every check."""
    folder = tmp_path_factory.mktemp("distributed")
    run_together(distributed_worker.run, PROCESSES, str(folder))
    return folder


@pytest.mark.parametrize("name", CHECKS)
def test_in_two_processes(name: str, folder: Path) -> None:
    for rank in range(PROCESSES):
        problem = (folder / f"{name}.{rank}").read_text(encoding="utf-8")
        assert not problem, f"process {rank}: {problem}"


SENT = [(class_name, changed) for class_name in plain_models.CLASSES for changed in (False, True)]


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, bool], list[Any]]:
    """The loss and the gradients of each model that another process was sent."""
    models = [(make_pair(*case)[0], whole_batch(case[0])) for case in SENT]
    context = mp.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=distributed_worker.serve, args=(models, other))
    process.start()
    assert mine.poll(timeout=120)
    received = mine.recv()
    process.join()
    assert process.exitcode == 0
    return dict(zip(SENT, received, strict=True))


@pytest.mark.parametrize("case", SENT, ids=str)
def test_model_is_sent_to_another_process(
    case: tuple[str, bool], answers: dict[tuple[str, bool], list[Any]]
) -> None:
    """It gives the results of plain PyTorch, with a replaced part and a hook as well."""
    class_name, changed = case
    _, plain = make_pair(class_name, changed)
    expected = distributed_worker.step(plain, whole_batch(class_name))
    for value, wanted in zip(answers[case], expected, strict=True):
        assert (value is None) == (wanted is None)
        if value is not None:
            assert_close(torch.tensor(value), torch.tensor(wanted))
