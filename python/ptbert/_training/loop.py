"""The training loop."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from ..optimization import BertAdam
from . import processes
from .batches import Batch, BatchSource
from .checkpoints import CHECKPOINT_FOLDER, Checkpoints
from .devices import device_of
from .history import History, check_tensorboard
from .host_optimizer import AnyOptimizer, HostOptimizer
from .interrupts import Interrupts
from .loss_scaler import LossScaler, check_scale
from .progress import track
from .replicas import BatchLoss, Replicas

logger = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16", "float16"]
MakeOptimizer = Callable[[nn.Module, int], Optimizer]
NO_DECAY = ("bias", "LayerNorm.weight")


class Carried(Protocol):
    """What a loss carries from one batch to the next, such as memory of the text before.

    Example:
        >>> class Memory:
        ...     states = None
        ...
        ...     def state_dict(self):
        ...         return self.states
        ...
        ...     def load_state_dict(self, state):
        ...         self.states = state
        >>> before, resumed = Memory(), Memory()
        >>> before.states = torch.ones(2)
        >>> resumed.load_state_dict(before.state_dict())
        >>> resumed.states
        tensor([1., 1.])
    """

    def state_dict(self) -> Any:
        """Plain values and tensors."""
        ...

    def load_state_dict(self, state: Any) -> object:
        """Takes over the result of `state_dict`."""
        ...


@dataclass(frozen=True)
class TrainingOptions:
    """How `fit` trains.

    Example:
        >>> options = TrainingOptions(learning_rate=3e-5, precision="bfloat16")
        >>> options.epochs, dataclasses.replace(options, epochs=4.0).epochs
        (3.0, 4.0)
    """

    learning_rate: float = 5e-5
    """Peak learning rate."""
    epochs: float = 3.0
    """Passes over the data; a fraction ends inside a pass."""
    warmup_proportion: float = 0.1
    """Share of all steps over which the learning rate rises."""
    accumulation_steps: int = 1
    """Batches whose gradients are averaged for one step."""
    max_grad_norm: float = 0.0
    """L2 norm to which the gradients are clipped, all of them together; 0 leaves them."""
    precision: Precision = "float32"
    """What the forward and backward pass compute in, by autocast; weights stay as they are."""
    loss_scale: float = 0.0
    """Factor of the loss in float16; 0 for one that adapts itself."""
    shard: bool = False
    """Cut parameters, gradients and averages among the processes (FSDP2)."""
    optimize_on_cpu: bool = False
    """Keep the optimizer's averages, and its copy of the weights, in the memory of the CPU."""
    output_dir: Path | None = None
    """Folder of the run: checkpoints and the history; `None` writes nothing."""
    save_steps: int = 0
    """Steps between checkpoints; 0 for one only if the run is interrupted."""
    resume: bool = False
    """Go on from the newest checkpoint in `output_dir`."""
    log_dir: Path | None = None
    """Folder for TensorBoard's files."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    """What else must be the same in a run that goes on, such as the data; plain values."""

    def __post_init__(self) -> None:
        _check(0 < self.epochs < math.inf, "epochs", "positive and finite", self.epochs)
        for name, least in (("accumulation_steps", 1), ("save_steps", 0)):
            value = getattr(self, name)
            _check(
                isinstance(value, Integral) and int(value) >= least,
                name,
                f"a whole number of at least {least}",
                value,
            )
        _check(self.max_grad_norm >= 0, "max_grad_norm", "at least 0", self.max_grad_norm)
        _check(
            self.precision in ("float32", "bfloat16", "float16"),
            "precision",
            '"float32", "bfloat16" or "float16"',
            self.precision,
        )
        _check(
            self.output_dir is not None or not (self.resume or self.save_steps or self.log_dir),
            "output_dir",
            "given to save checkpoints, to resume or to log",
            self.output_dir,
        )
        _check(
            self.precision == "float16" or not self.loss_scale,
            "loss_scale",
            'left out unless `precision` is "float16"',
            self.loss_scale,
        )
        check_scale(self.loss_scale)
        _check(
            not (self.shard and self.optimize_on_cpu),
            "optimize_on_cpu",
            "False with `shard`, which cuts the averages among the processes",
            self.optimize_on_cpu,
        )
        if self.log_dir is not None:
            check_tensorboard()


def _check(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"`{name}` ({value}) must be {rule}.")


@dataclass
class TrainingLog:
    """What happened during `fit`.

    Example:
        >>> log = TrainingLog(losses=[0.9, 0.7, 0.5, 0.25], last_epoch_start=2)
        >>> log.global_step, log.mean_loss
        (4, 0.375)
    """

    losses: list[float] = field(default_factory=list)
    """Loss of every optimizer step."""
    last_epoch_start: int = 0
    """Index into `losses` where the last epoch begins."""
    metrics: list[tuple[int, str, float]] = field(default_factory=list)
    """Step, name and value of every evaluation on the way."""

    @property
    def global_step(self) -> int:
        """Number of optimizer steps taken."""
        return len(self.losses)

    @property
    def mean_loss(self) -> float | None:
        """Mean loss of the last epoch so far; `None` without training."""
        losses = self.losses[self.last_epoch_start :]
        return sum(losses) / len(losses) if losses else None


def fit(
    model: nn.Module,
    batches: BatchSource,
    batch_loss: BatchLoss,
    options: TrainingOptions,
    *,
    exclude: str | None = None,
    new_optimizer: MakeOptimizer | None = None,
    after_step: Callable[[TrainingLog], None] | None = None,
    carried: Carried | None = None,
) -> TrainingLog:
    """Train the model in place.

    Every step averages the gradients of `accumulation_steps` batches; the batches of an epoch that
    do not fill a step are left out, as they are from the length of the schedule. With several
    processes (`processes.start`) each takes its share of the rows of every batch: the losses and
    the weights are those that one process computes, within rounding.

    Args:
        model: The model to train.
        batches: The training data.
        batch_loss: Computes the loss of one batch.
        options: Learning rate, epochs, precision, checkpoints, ...
        exclude: Parameters with this in their name are not trained; for the default optimizer.
        new_optimizer: Makes the optimizer for the model and a number of steps; default: BertAdam
            with weight decay on the weights only.
        after_step: Called after each step, in every process; it may use the model, and add to the
            log's `metrics`.
        carried: What `batch_loss` carries from batch to batch, to be kept in checkpoints.

    Raises:
        ValueError: There are too few batches for one step, the checkpoint is of another run, or
            `exclude` would change nothing.
        SystemExit: Ctrl-C or SIGTERM came; the run is saved, and can be resumed.

    Example:
        >>> from ptbert.training import Batches
        >>> def collate(rows):
        ...     return {"x": torch.tensor(rows)[:, None]}  # [rows] -> [rows, 1]
        >>> def squares(model, batch):
        ...     return (model(batch["x"]) - 2 * batch["x"]).square().mean()
        >>> batches = Batches([0.0, 1.0, 2.0, 3.0], 2, collate, shuffle_seed=42)
        >>> options = TrainingOptions(learning_rate=0.1, epochs=50)
        >>> log = fit(torch.nn.Linear(1, 1), batches, squares, options)
        >>> log.global_step
        100
    """
    steps_per_epoch = len(batches) // options.accumulation_steps
    total_steps = int(steps_per_epoch * options.epochs)
    if total_steps < 1:
        raise ValueError(
            f"{len(batches)} batches, {options.accumulation_steps} per step, for {options.epochs} "
            "epochs do not make one training step; give more data, smaller batches or more epochs."
        )
    if new_optimizer is not None and exclude is not None:
        raise ValueError(
            f"`exclude` ({exclude}) must be left out with `new_optimizer`, which chooses what is "
            "trained."
        )
    if new_optimizer is None:
        new_optimizer = functools.partial(bert_adam, options=options, exclude=exclude)
    run = _Run(model, batch_loss, options, new_optimizer, total_steps, carried)
    log = run.log
    epochs = math.ceil(total_steps / steps_per_epoch)
    log.last_epoch_start = (epochs - 1) * steps_per_epoch  # of a run that had come to its end
    with run:
        for epoch in range(log.global_step // steps_per_epoch, epochs):
            begin, end = epoch * steps_per_epoch, min((epoch + 1) * steps_per_epoch, total_steps)
            log.last_epoch_start = begin
            done = log.global_step - begin
            rest = batches.of_epoch(epoch, done * options.accumulation_steps)
            bar_label = f"Epoch {epoch + 1}/{epochs}"
            with track(total=end - begin, initial=done, desc=bar_label, unit="step") as bar:
                while log.global_step < end:
                    run.step(list(itertools.islice(rest, options.accumulation_steps)), epoch)
                    bar.set_postfix(loss=log.mean_loss, refresh=False)
                    bar.update()
                    if after_step is not None:
                        after_step(log)
                        model.train()
                    run.after_step()
    return log


def bert_adam(
    model: nn.Module, total_steps: int, options: TrainingOptions, exclude: str | None = None
) -> BertAdam:
    """BertAdam with weight decay on the weights only.

    Args:
        model: The model to train.
        total_steps: Steps after which the learning rate has fallen to 0.
        options: Learning rate and warm-up.
        exclude: Parameters with this in their name are left as they are.

    Raises:
        ValueError: No parameter has `exclude` in its name.

    Example:
        >>> optimizer = bert_adam(torch.nn.Linear(2, 1), 100, TrainingOptions())
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.01, 0.0]
    """
    if exclude is not None and not any(exclude in name for name, _ in model.named_parameters()):
        raise ValueError(
            f"`exclude` ({exclude}) must be in the name of a parameter, but is in none."
        )
    named = [
        (name, parameter)
        for name, parameter in model.named_parameters()
        if exclude is None or exclude not in name
    ]
    groups = [
        {
            "params": [p for n, p in named if not any(s in n for s in NO_DECAY)],
            "weight_decay": 0.01,
        },
        {"params": [p for n, p in named if any(s in n for s in NO_DECAY)], "weight_decay": 0.0},
    ]
    return BertAdam(
        groups, lr=options.learning_rate, warmup=options.warmup_proportion, t_total=total_steps
    )


class _Run:
    """One run of `fit`: the model with all that a step needs, and its files."""

    def __init__(
        self,
        model: nn.Module,
        batch_loss: BatchLoss,
        options: TrainingOptions,
        new_optimizer: MakeOptimizer,
        total_steps: int,
        carried: Carried | None,
    ) -> None:
        self._model = model
        self._carried = carried
        _warn_of_slow_precision(model, options.precision)
        self._options = options
        self._replicas = Replicas(model, _in_precision(batch_loss, options), shard=options.shard)
        on_host = options.optimize_on_cpu and device_of(model).type != "cpu"
        if options.optimize_on_cpu and not on_host:
            logger.info("`optimize_on_cpu` changes nothing: the model is on the CPU as well.")
        self._optimizer: AnyOptimizer = (
            HostOptimizer(model, lambda copy: new_optimizer(copy, total_steps))
            if on_host
            else new_optimizer(model, total_steps)
        )
        self._scaler = LossScaler(options.loss_scale) if options.precision == "float16" else None
        self._interrupts = Interrupts()
        self._is_interrupted = False
        self._metrics_noted = 0
        self.log = TrainingLog()
        self._checkpoints: Checkpoints | None = None
        self._history: History | None = None
        if options.output_dir is not None:
            arguments = _identity(options, total_steps)
            self._checkpoints = Checkpoints(options.output_dir, arguments)
            if options.resume:
                self._resume(self._checkpoints, options.output_dir)
        model.train()

    def __enter__(self) -> None:
        folder = self._options.output_dir
        if folder is not None:
            self._interrupts.__enter__()
            if processes.is_first():
                self._history = History(folder, self._options.log_dir, self.log.global_step)

    def __exit__(self, *error: Any) -> None:
        self._interrupts.__exit__(*error)
        self._note_metrics()  # `after_step` may have ended the run
        if self._history is not None:
            self._history.close()

    def step(self, parts: list[Batch], epoch: int) -> None:
        """One step on the average of the batches in `parts`."""
        scale = 1.0 if self._scaler is None else self._scaler.loss_scale
        step_loss = 0.0
        for number, batch in enumerate(parts, start=1):
            loss, interrupted = self._replicas.backward(
                batch,
                scale / len(parts),
                is_last=number == len(parts),
                flag=self._interrupts.received is not None,
            )
            step_loss += loss / len(parts)
            self._is_interrupted |= interrupted
        self._update()
        self.log.losses.append(step_loss)
        if self._history is not None:
            self._history.add_step(
                self.log.global_step, epoch + 1, step_loss, _rate(self._optimizer), scale
            )

    def _update(self) -> None:
        """Move the weights along the gradients, unless these have overflowed."""
        finite = True
        if self._scaler is not None:
            finite = self._scaler.unscale(
                p.grad for p in self._model.parameters() if p.grad is not None
            )
            self._scaler.update(finite)
        if finite:
            if self._options.max_grad_norm > 0:
                torch.nn.utils.clip_grad_norm_(
                    self._model.parameters(), self._options.max_grad_norm
                )
            self._optimizer.step()
        self._optimizer.zero_grad()

    def after_step(self) -> None:
        """Save if it is time to; end the run if it is interrupted."""
        step, every = self.log.global_step, self._options.save_steps
        self._note_metrics()
        if self._checkpoints is None:
            return
        if self._is_interrupted or (every and step % every == 0):
            carried = None if self._carried is None else self._carried.state_dict()
            path = self._checkpoints.save(
                step, self._model, self._optimizer, self._progress(), carried
            )
            if self._is_interrupted:
                logger.warning("Stopped after step %d, which is in %s.", step, path)
                logger.warning("The same command with --resume goes on from there.")
                raise SystemExit(128 + (self._interrupts.received or 0))

    def _note_metrics(self) -> None:
        """Write the results of evaluations since the last time."""
        if self._history is not None:
            for metric in self.log.metrics[self._metrics_noted :]:
                self._history.add_metric(*metric)
        self._metrics_noted = len(self.log.metrics)

    def _progress(self) -> dict[str, object]:
        return {
            "losses": self.log.losses,
            "metrics": [list(metric) for metric in self.log.metrics],
            "scaler": None if self._scaler is None else self._scaler.state_dict(),
        }

    def _resume(self, checkpoints: Checkpoints, folder: Path) -> None:
        found = checkpoints.resume(self._model, self._optimizer)
        if found is None:
            raise FileNotFoundError(
                f"`resume`: there is no checkpoint in {folder / CHECKPOINT_FOLDER}."
            )
        progress, carried = found
        if self._carried is not None:
            self._carried.load_state_dict(carried)
        self.log.losses = progress["losses"]
        self.log.metrics = [(step, name, value) for step, name, value in progress["metrics"]]
        self._metrics_noted = len(self.log.metrics)
        if self._scaler is not None:
            self._scaler.load_state_dict(progress["scaler"])
        logger.info("Going on after step %d.", self.log.global_step)


# What torch calls the instructions of processors that multiply bfloat16.
_BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def _warn_of_slow_precision(model: nn.Module, precision: Precision) -> None:
    """Say so if a processor has no instructions for bfloat16, which is then slower than float32."""
    if precision == "bfloat16" and device_of(model).type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        if not any(capabilities.get(name) for name in _BFLOAT16_INSTRUCTIONS):
            logger.warning("This processor has no bfloat16 instructions: float32 is faster here.")


def _in_precision(batch_loss: BatchLoss, options: TrainingOptions) -> BatchLoss:
    """The loss, computed as `options.precision` asks."""
    if options.precision == "float32":
        return batch_loss
    dtype = getattr(torch, options.precision)

    def autocast_loss(model: nn.Module, batch: Batch) -> Any:
        with torch.autocast(device_of(model).type, dtype):
            return batch_loss(model, batch)

    return autocast_loss


def _identity(options: TrainingOptions, total_steps: int) -> dict[str, object]:
    """What must be the same in a run that goes on."""
    where = {"output_dir", "save_steps", "resume", "log_dir", "arguments"}
    own = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    own = {name: value for name, value in own.items() if name not in where}
    return {**options.arguments, **own, "total_steps": total_steps}


def _rate(optimizer: AnyOptimizer) -> float:
    """The learning rate of the first parameter, after its schedule."""
    get_lr = getattr(optimizer, "get_lr", None)
    return float(get_lr()[0] if get_lr is not None else optimizer.param_groups[0]["lr"])
