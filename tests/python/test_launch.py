"""Processes that find each other, or say why they do not: started as on two machines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from process_support import free_ports
from support import REPOSITORY

SCRIPT = """
import sys
from ptbert.training import processes
processes.start(int(sys.argv[1]), no_cuda=True, timeout_s=float(sys.argv[2]))
print(processes.rank(), processes.count(), processes.gather(sys.argv[3]), flush=True)
if sys.argv[3] == "dies":
    import os
    os._exit(3)
for _ in range(3):
    processes.barrier()
processes.stop()
"""


def start(
    rank: int,
    port: int,
    *,
    timeout: float = 30,
    count: int = 2,
    word: str = "word",
) -> subprocess.Popen[str]:
    """A process as `--local_rank 0` of a machine with the given address."""
    environment = {
        **os.environ,
        "RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.2",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "0", str(timeout), word],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_of_two_addresses_find_each_other() -> None:
    """The first is 127.0.0.2: another address than that of the machine itself."""
    port = free_ports(1)[0]
    running = [start(rank, port, word=f"word{rank}") for rank in range(2)]
    for rank, process in enumerate(running):
        printed, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert printed == f"{rank} 2 ['word0', 'word1']\n"


def test_process_that_does_not_come_is_told_in_time() -> None:
    process = start(0, free_ports(1)[0], timeout=2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Process 0 of 2 could not join the others at 127.0.0.2:" in errors
    assert "(it waits 2 s): start all of them, each with its own RANK" in errors


def test_first_process_that_does_not_come_is_told_in_time() -> None:
    process = start(1, free_ports(1)[0], timeout=2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Process 1 of 2 could not join the others at 127.0.0.2:" in errors


def test_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(0, port, timeout=5)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"MASTER_PORT ({port}) is already in use on" in errors
    assert "choose another port" in errors


def test_process_that_dies_ends_the_others() -> None:
    port = free_ports(1)[0]
    running = [start(rank, port, word="dies" if rank else "word") for rank in range(2)]
    _, errors = running[0].communicate(timeout=20)
    running[1].communicate(timeout=20)
    assert running[1].returncode == 3
    assert running[0].returncode not in (0, None)
    assert "Process 0 of 2 has lost another one" in errors


@pytest.mark.parametrize("flag", ["--local_rank", "--local-rank"])
def test_torchrun_and_the_launcher_of_2019_start_scripts(tmp_path: Path, flag: str) -> None:
    """Both spellings of the flag are read."""
    script = REPOSITORY / "examples" / "run_swag.py"
    run = subprocess.run(
        [
            *(sys.executable, str(script), "--data_dir", "d", "--bert_model", "m"),
            *("--output_dir", str(tmp_path), flag, "0", "--do_train"),
        ],
        env={name: value for name, value in os.environ.items() if name != "MASTER_ADDR"},
        capture_output=True,
        text=True,
    )
    assert "`local_rank` (0): RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT must be set" in run.stderr
