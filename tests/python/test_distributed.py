"""Two processes: DistributedDataParallel, FSDP2, and a model sent to another process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

import distributed_worker
from distributed_worker import CHECKS, PROCESSES, make_model, whole_batch
from support import assert_close


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have written the outcome of every check."""
    folder = tmp_path_factory.mktemp("distributed")
    mp.spawn(distributed_worker.run, (str(folder),), nprocs=PROCESSES)  # type: ignore[attr-defined, no-untyped-call]
    return folder


@pytest.mark.parametrize("name", CHECKS)
def test_in_two_processes(name: str, folder: Path) -> None:
    for rank in range(PROCESSES):
        problem = (folder / f"{name}.{rank}").read_text(encoding="utf-8")
        assert not problem, f"process {rank}: {problem}"


def test_model_is_sent_to_another_process() -> None:
    model = make_model("BertForSequenceClassification")
    ids = whole_batch("BertForSequenceClassification")["input_ids"]
    with torch.no_grad():
        expected = model(ids)
    context = mp.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=distributed_worker.call, args=(model, ids, other))
    process.start()
    assert mine.poll(timeout=120)
    assert_close(torch.tensor(mine.recv()), expected)
    process.join()
    assert process.exitcode == 0
