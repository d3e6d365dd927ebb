"""Several processes that train one model, on one machine or on more: which is which, and what they
tell each other. Without others every function works, and does next to nothing.

Example:
    >>> from ptbert.training import processes
    >>> device = processes.start(no_cuda=True)
    >>> processes.is_first(), processes.count(), processes.total([0.5])
    (True, 1, [0.5])
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from .batches import Batch

Value = TypeVar("Value")

# What torchrun sets, and whoever starts processes by hand must set.
_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def start(
    local_rank: int = -1, *, no_cuda: bool = False, timeout_s: float = 1800.0
) -> torch.device:
    """Join the other processes of the run, if there are any, and choose this one's device.

    torchrun says by environment variables which process this is. The launcher of 2019 also gave
    the number on the machine as a flag.

    Args:
        local_rank: Number of the process on its machine; -1: as LOCAL_RANK says, or alone.
        no_cuda: Use the CPU even where there is a GPU.
        timeout_s: Seconds that a process waits for another one, here and later on.

    Returns:
        One GPU for each process where there are GPUs, else the CPU.

    Raises:
        ValueError: `local_rank` or a variable is wrong or missing, or `timeout_s` is not positive.
        RuntimeError: The processes do not find each other in time, or the port is taken.
    """
    if local_rank == -1 and os.environ.get("LOCAL_RANK"):
        local_rank = _number_in("LOCAL_RANK")
    if local_rank < -1:
        raise ValueError(f"`local_rank` ({local_rank}) must be at least 0, or -1 for one process.")
    if not timeout_s > 0:
        raise ValueError(f"`timeout_s` ({timeout_s}) must be positive.")
    use_cuda = torch.cuda.is_available() and not no_cuda
    if local_rank == -1:
        return torch.device("cuda" if use_cuda else "cpu")
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        raise ValueError(
            f"`local_rank` ({local_rank}): {', '.join(_VARIABLES)} must be set in the environment, "
            f"but {', '.join(missing)} is not; start the processes by torchrun."
        )
    number, processes = _number_in("RANK"), _number_in("WORLD_SIZE")
    if not 0 <= number < processes:
        raise ValueError(
            f"`RANK` ({number}) must be at least 0 and below `WORLD_SIZE` ({processes})."
        )
    if use_cuda:
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"`local_rank` ({local_rank}) must be below the number of GPUs "
                f"({torch.cuda.device_count()})."
            )
        torch.cuda.set_device(local_rank)
    if not dist.is_initialized() and processes > 1:
        _join("nccl" if use_cuda else "gloo", timeout_s)
    return torch.device("cuda", local_rank) if use_cuda else torch.device("cpu")


def _number_in(variable: str) -> int:
    """The number that a variable of the environment holds."""
    value = os.environ[variable]
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"`{variable}` ({value}) must be a whole number.") from None


def _join(backend: str, timeout_s: float) -> None:
    address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
        barrier()
    except (RuntimeError, ValueError) as error:  # torch.distributed's own are RuntimeErrors
        who = f"Process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}"
        if "EADDRINUSE" in str(error) or "in use" in str(error):
            raise RuntimeError(
                f"{who}: MASTER_PORT ({port}) is already in use on {socket.gethostname()}; "
                "choose another port."
            ) from error
        raise RuntimeError(
            f"{who} could not join the others at {address}:{port} (it waits {timeout_s:g} s): "
            "start all of them, each with its own RANK, and let the port through the firewall."
        ) from error


def stop() -> None:
    """Leave the other processes, after all have come to this point."""
    if dist.is_initialized():
        barrier()
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process among all, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes, logs and shows progress."""
    return rank() == 0


def barrier() -> None:
    """Wait until all processes have come to this point."""
    if dist.is_initialized():
        total([0.0])  # unlike dist.barrier() it needs no guess of the device


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """The first process does what is in the block while the others wait; then these do it, and
    find the files that it has written."""
    if not is_first():
        barrier()
    yield
    if is_first():
        barrier()


def total(values: Sequence[float]) -> list[float]:
    """The sums of the processes' values, in double precision."""
    if count() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64, device=_device())
    with _telling_of_loss():
        dist.all_reduce(sums)
    return [float(value) for value in sums.tolist()]


def gather(value: Value) -> list[Value]:
    """The processes' values, in their order; every process gets all."""
    if count() == 1:
        return [value]
    values: list[Value | None] = [None] * count()
    with _telling_of_loss():
        dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


@contextmanager
def _telling_of_loss() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            f"Process {rank()} of {count()} has lost another one, which has ended or does not "
            "answer; see its messages. A run with checkpoints goes on with --resume."
        ) from error


def share(batch: Batch) -> tuple[Batch, bool]:
    """This process's rows of a batch (tensors `[rows, ...]`), and whether there are any.

    Process r of n has rows r, r + n, ... One without rows gets the first, so that it takes part in
    what all processes compute together.
    """
    if count() == 1:
        return batch, True
    has_rows = rank() < rows_of(batch)
    first = rank() if has_rows else 0
    step = count() if has_rows else rows_of(batch)
    return {name: tensor[first::step] for name, tensor in batch.items()}, has_rows


def rows_of(batch: Batch) -> int:
    """Number of rows of a batch."""
    return len(next(iter(batch.values())))


def _device() -> torch.device:
    """Where tensors are that the processes exchange."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
