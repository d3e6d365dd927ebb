"""Processes that find each other, or say why they do not: started as on two machines."""

from __future__ import annotations

import os
import socket
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

import run_swag
from process_support import be_process, context, free_ports
from ptbert.training import processes

# Another address than that of the machine itself.
ADDRESS = "127.0.0.2"


def work(rank: int, port: int, timeout: float, folder: Path, word: str) -> None:
    """One of two processes, as `--local_rank 0` of a machine of its own; prints to files."""
    sys.stdout = (folder / f"printed.{rank}").open("w", encoding="utf-8")
    sys.stderr = (folder / f"errors.{rank}").open("w", encoding="utf-8")
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    be_process(rank, 2, port, ADDRESS)
    processes.start(0, no_cuda=True, timeout_s=timeout)
    print(processes.rank(), processes.count(), processes.gather(word), flush=True)
    if word == "dies":
        os._exit(3)
    for _ in range(3):
        processes.barrier()
    processes.stop()


def start(
    rank: int, port: int, folder: Path, *, timeout: float = 30, word: str = "word"
) -> BaseProcess:
    """Start `work` in a process."""
    process = context.Process(target=work, args=(rank, port, timeout, folder, word))
    process.start()
    return process


def end_of(process: BaseProcess, rank: int, folder: Path) -> tuple[int | None, str]:
    """The code that a process ends with, and its errors."""
    process.join(timeout=60)
    return process.exitcode, (folder / f"errors.{rank}").read_text(encoding="utf-8")


def test_processes_of_two_addresses_find_each_other(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    running = [start(rank, port, tmp_path, word=f"word{rank}") for rank in range(2)]
    for rank, process in enumerate(running):
        code, errors = end_of(process, rank, tmp_path)
        assert code == 0, errors
        printed = (tmp_path / f"printed.{rank}").read_text(encoding="utf-8")
        assert printed == f"{rank} 2 ['word0', 'word1']\n"


def test_process_that_does_not_come_is_told_in_time(tmp_path: Path) -> None:
    """The second one, and the first, which the others ask: two runs, each of one process."""
    running = [start(rank, port, tmp_path, timeout=1) for rank, port in enumerate(free_ports(2))]
    for rank, process in enumerate(running):
        code, errors = end_of(process, rank, tmp_path)
        assert code == 1
        assert f"Process {rank} of 2 could not join the others at {ADDRESS}:" in errors
        assert "(it waits 1 s): start all of them, each with its own RANK" in errors


def test_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, errors = end_of(start(0, port, tmp_path, timeout=5), 0, tmp_path)
    assert code == 1
    assert f"MASTER_PORT ({port}) is already in use on" in errors
    assert "choose another port" in errors


def test_process_that_dies_ends_the_others(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    running = [start(rank, port, tmp_path, word="dies" if rank else "word") for rank in range(2)]
    (code, errors), (code_of_dead, _) = (
        end_of(process, rank, tmp_path) for rank, process in enumerate(running)
    )
    assert code_of_dead == 3
    assert code not in (0, None)
    assert "Process 0 of 2 has lost another one" in errors


@pytest.mark.parametrize("flag", ["--local_rank", "--local-rank"])
def test_flag_of_both_launchers_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    """That of torchrun and that of 2019."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    argv = ["--data_dir", "d", "--bert_model", "m", "--output_dir", str(tmp_path), "--do_train"]
    with pytest.raises(ValueError, match=r"`local_rank` \(0\): RANK, WORLD_SIZE, MASTER_ADDR, .*"):
        run_swag.main([*argv, flag, "0"])
