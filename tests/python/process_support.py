"""Processes of this machine, for the tests that start some."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any, Final

import torch
import torch.multiprocessing as mp

# New processes are forked from one that has imported what takes seconds, and computes nothing;
# torch.optim and FSDP import torch._dynamo when they are first used.
METHOD: Final = "forkserver"
context = multiprocessing.get_context(METHOD)
context.set_forkserver_preload(["ptbert.training", "torch._dynamo"])


def run_together(target: Callable[..., None], count: int, *args: Any) -> None:
    """Call `target(rank, *args)` in so many processes, each with its rank."""
    mp.start_processes(target, args, nprocs=count, start_method=METHOD)  # type: ignore[attr-defined, no-untyped-call]


def be_process(rank: int, count: int, port: int, address: str = "127.0.0.1") -> None:
    """Make this one process of so many, as a launcher does, on one thread."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        MASTER_ADDR=address,
        MASTER_PORT=str(port),
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports
