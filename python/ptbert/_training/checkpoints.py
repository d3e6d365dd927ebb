"""Everything that a training run needs to go on where it was, in one file per checkpoint."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from . import processes
from .host_optimizer import AnyOptimizer
from .replicas import part_like, whole

CHECKPOINT_FOLDER = "checkpoints"
KEPT = 2
# What a file is called until it is complete.
UNFINISHED = "unfinished-"
_NAME = re.compile(r"step-(\d+)\.pt")


class Checkpoints:
    """The checkpoints of a run, `checkpoints/step-N.pt` in its folder; the newest two stay.

    A file gets its name when it is complete and on the disk, so what is found is whole whenever the
    run ended. Only the first process writes.

    Args:
        folder: Folder of the run.
        arguments: What makes two runs the same; plain values.

    Example:
        >>> import tempfile
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(Path(folder), {"seed": 42})
        ...     path = checkpoints.save(100, model, optimizer, {"losses": [0.5]})
        ...     progress, carried = checkpoints.resume(model, optimizer)
        >>> path.name, progress
        ('step-00000100.pt', {'losses': [0.5]})
    """

    def __init__(self, folder: Path, arguments: Mapping[str, object]) -> None:
        self._folder = folder / CHECKPOINT_FOLDER
        self._arguments = {name: _plain(value) for name, value in arguments.items()}

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: AnyOptimizer,
        progress: Mapping[str, object],
        carried: object = None,
    ) -> Path:
        """Write a checkpoint; every process must call this.

        Args:
            step: Optimizer steps made.
            model: The model.
            optimizer: Its optimizer.
            progress: Plain values to give back.
            carried: Plain values and tensors of this process alone to give back.
        """
        state = {
            "arguments": self._arguments,
            "step": step,
            "model": {name: whole(tensor) for name, tensor in model.state_dict().items()},
            "optimizer": _whole(optimizer.state_dict()),
            "processes": processes.gather({"random": _random_state(), "carried": carried}),
            "progress": dict(progress),
        }
        path = self._folder / f"step-{step:08d}.pt"
        if processes.is_first():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(path, state)
            for _, old in self._found()[:-KEPT]:
                old.unlink()
        processes.barrier()
        return path

    def resume(
        self, model: nn.Module, optimizer: AnyOptimizer
    ) -> tuple[dict[str, Any], Any] | None:
        """Put the newest checkpoint back into the model, the optimizer and the random generators.

        Returns:
            Its `progress` and `carried`, or `None` if there is no checkpoint yet.

        Raises:
            ValueError: The checkpoint is of a run with other arguments, another number of processes
                or another model.
        """
        found = self._found()
        if not found:
            return None
        path = found[-1][1]
        state = torch.load(path, map_location="cpu", weights_only=True)
        self._check(path, state, model)
        parameters = model.state_dict(keep_vars=True)
        model.load_state_dict(
            {name: part_like(tensor, parameters[name]) for name, tensor in state["model"].items()}
        )
        optimizer.load_state_dict(_cut(state["optimizer"], optimizer))
        own = state["processes"][processes.rank()]
        _set_random_state(own["random"])
        return state["progress"], own["carried"]

    def remove(self) -> None:
        """Delete all checkpoints, when the run has come to its end and its model is saved; files
        of other names stay."""
        if not processes.is_first() or not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if _NAME.fullmatch(path.name.removeprefix(UNFINISHED)):
                path.unlink()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _found(self) -> list[tuple[int, Path]]:
        """The steps and files of complete checkpoints, the newest last."""
        if not self._folder.is_dir():
            return []
        matches = [(_NAME.fullmatch(path.name), path) for path in self._folder.iterdir()]
        return sorted((int(match[1]), path) for match, path in matches if match)

    def _check(self, path: Path, state: Mapping[str, Any], model: nn.Module) -> None:
        before, now = state["arguments"], self._arguments
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                raise ValueError(
                    f"{path} is of a run with `{name}` {before.get(name)!r}, which must be the "
                    f"same to go on, but is {now.get(name)!r}."
                )
        if len(state["processes"]) != processes.count():
            raise ValueError(
                f"{path} is of a run with {len(state['processes'])} processes, which must be as "
                f"many to go on, but are {processes.count()}."
            )
        shapes = {name: list(tensor.shape) for name, tensor in state["model"].items()}
        wanted = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
        for name in sorted({*shapes, *wanted}):
            if shapes.get(name) != wanted.get(name):
                raise ValueError(
                    f"{path} is of another model: `{name}` must be of shape {wanted.get(name)}, "
                    f"but is of {shapes.get(name)}."
                )


def write_durably(path: Path, state: object) -> None:
    """`torch.save` to a file that is on the disk as a whole, or not at all."""
    unfinished = path.with_name(UNFINISHED + path.name)
    with unfinished.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name as well
    finally:
        os.close(folder)


def _plain(value: object) -> object:
    """A value that `torch.load` reads with `weights_only`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _random_state() -> dict[str, object]:
    _, keys, position, has_gauss, gauss = cast(Any, np.random.get_state())
    version, internal, next_gauss = random.getstate()
    state: dict[str, object] = {
        "torch": torch.get_rng_state(),
        "numpy": [keys.tolist(), position, has_gauss, gauss],
        "python": [version, list(internal), next_gauss],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_random_state(state: Mapping[str, Any]) -> None:
    keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", np.array(keys, np.uint32), position, has_gauss, gauss))
    version, internal, next_gauss = state["python"]
    random.setstate((version, tuple(internal), next_gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _whole(tree: Any) -> Any:
    """A state with all of each tensor."""
    if isinstance(tree, Tensor):
        return whole(tree)
    if isinstance(tree, dict):
        return {key: _whole(value) for key, value in tree.items()}
    return [_whole(value) for value in tree] if isinstance(tree, list) else tree


def _cut(state: dict[str, Any], optimizer: AnyOptimizer) -> dict[str, Any]:
    """The state of an optimizer with the parts that this process holds of the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    cut = {}
    for index, values in state["state"].items():
        cut[index] = {
            name: part_like(value, parameters[index])
            if isinstance(value, Tensor) and value.shape == parameters[index].shape
            else value
            for name, value in values.items()
        }
    return {**state, "state": cut}
