"""What the fine-tuning scripts share: seeds, batches, the training loop and saving."""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

import inputs
import progress
from inputs import Batch
from ptbert import CONFIG_NAME, WEIGHTS_NAME, BertAdam
from ptbert.file_utils import SAFETENSORS_NAME

logger = logging.getLogger(__name__)

RESULTS_NAME = "eval_results.txt"
ARGUMENTS_NAME = "training_args.bin"
# Read rather than WEIGHTS_NAME, here or in transformers.
OTHER_WEIGHTS = (SAFETENSORS_NAME, f"{SAFETENSORS_NAME}.index.json", f"{WEIGHTS_NAME}.index.json")
NO_DECAY = ("bias", "LayerNorm.weight")
# Rows are sorted by length among so many batches.
MOST_BATCHES_PER_BUCKET = 16
MODEL_INPUTS = ("input_ids", "token_type_ids", "attention_mask")

Row = TypeVar("Row")
Example = TypeVar("Example", bound=inputs.Encoded)
MakeOptimizer = Callable[[torch.nn.Module, int], torch.optim.Optimizer]
BatchLoss = Callable[[torch.nn.Module, Batch], torch.Tensor]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def select_device(no_cuda: bool) -> torch.device:
    """The GPU if there is one and it is wanted, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() and not no_cuda else "cpu")


class Batches(Generic[Row]):
    """Batches of rows, in order or in a new seeded order in every pass.

    Args:
        rows: The examples' features.
        batch_size: Rows per batch; the last batch may be smaller.
        collate: Makes one batch of tensors from some rows.
        shuffle_seed: Seed of the order; `None` keeps the order of `rows`.
        length_of: Length of a row. When shuffling, rows of like lengths then share a batch, which
            saves padding; which of them do, and the order of the batches, is drawn in every pass.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        batch_size: int,
        collate: Callable[[list[Row]], Batch],
        shuffle_seed: int | None = None,
        length_of: Callable[[Row], int] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"`batch_size` ({batch_size}) must be at least 1.")
        self._rows = rows
        self._batch_size = batch_size
        self._collate = collate
        self._length_of = length_of
        # A generator of its own: what else draws random numbers must not change the order.
        self._generator = (
            None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)
        )

    def __len__(self) -> int:
        return math.ceil(len(self._rows) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if self._generator is None:
            batches = split(list(range(len(self._rows))), self._batch_size)
        else:
            batches = self._shuffled(self._generator)
        for batch in batches:
            yield self._collate([self._rows[index] for index in batch])

    def _shuffled(self, generator: torch.Generator) -> list[list[int]]:
        """The rows of each batch of one pass."""
        order = torch.randperm(len(self._rows), generator=generator).tolist()
        if self._length_of is None:
            return split(order, self._batch_size)
        lengths = [self._length_of(row) for row in self._rows]
        full = len(order) // self._batch_size * self._batch_size
        # In few rows as well, several buckets: each is sorted, and would else be alike every time.
        batches_per_bucket = max(1, min(MOST_BATCHES_PER_BUCKET, len(self) // 8))
        batches = [
            batch
            for bucket in split(order[:full], self._batch_size * batches_per_bucket)
            for batch in split(sorted(bucket, key=lengths.__getitem__), self._batch_size)
        ]
        drawn = torch.randperm(len(batches), generator=generator).tolist()
        return [*(batches[i] for i in drawn), *split(order[full:], self._batch_size)]


def split(items: list[int], size: int) -> list[list[int]]:
    """Lists of `size` items each; the last may be shorter."""
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def training_batches(
    args: argparse.Namespace,
    rows: Sequence[Example],
    collate: Callable[[list[Example]], Batch],
) -> Batches[Example]:
    """Shuffled batches of the size, and by the lengths, that the flags ask for."""
    return Batches(
        rows,
        args.train_batch_size // args.gradient_accumulation_steps,
        collate,
        shuffle_seed=args.seed,
        length_of=None if args.no_length_buckets else inputs.length_of,
    )


def forward(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, ...]:
    """The model's outputs for the inputs of a batch, without its labels."""
    outputs = model(*(batch[name] for name in MODEL_INPUTS))
    return outputs if isinstance(outputs, tuple) else (outputs,)


def to_device(batch: Batch, model: torch.nn.Module) -> Batch:
    """The batch on the device of the model's parameters."""
    device = next(model.parameters()).device
    return {name: tensor.to(device) for name, tensor in batch.items()}


def predict(
    model: torch.nn.Module, batches: Batches[Row], label: str
) -> Iterator[tuple[Batch, tuple[torch.Tensor, ...]]]:
    """Yield each batch with the model's outputs, on the CPU; no gradients, no dropout."""
    model.eval()
    for batch in progress.track(batches, desc=label, unit="batch"):
        with torch.no_grad():
            outputs = forward(model, to_device(batch, model))
        yield batch, tuple(output.float().cpu() for output in outputs)


@dataclass(frozen=True)
class TrainingOptions:
    """How `fit` trains."""

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

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> TrainingOptions:
        """The options that the flags of `add_arguments` ask for."""
        return cls(
            learning_rate=args.learning_rate,
            epochs=args.num_train_epochs,
            warmup_proportion=args.warmup_proportion,
            accumulation_steps=args.gradient_accumulation_steps,
        )


@dataclass
class TrainingLog:
    """What happened during `fit`."""

    losses: list[float] = field(default_factory=list)
    """Loss of every optimizer step."""
    last_epoch_start: int = 0
    """Index into `losses` where the last epoch begins."""

    @property
    def global_step(self) -> int:
        """Number of optimizer steps taken."""
        return len(self.losses)

    @property
    def mean_loss(self) -> float | None:
        """Mean loss of the last epoch so far; `None` without training."""
        losses = self.losses[self.last_epoch_start :]
        return sum(losses) / len(losses) if losses else None


def make_optimizer(
    model: torch.nn.Module, options: TrainingOptions, total_steps: int, exclude: str | None = None
) -> BertAdam:
    """BertAdam with weight decay on the weights only.

    Args:
        model: The model to train.
        options: Learning rate and warm-up.
        total_steps: Steps after which the learning rate has fallen to 0.
        exclude: Parameters with this in their name are left as they are.
    """
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


def fit(
    model: torch.nn.Module,
    batches: Batches[Row],
    batch_loss: BatchLoss,
    options: TrainingOptions,
    exclude: str | None = None,
    *,
    new_optimizer: MakeOptimizer | None = None,
    after_step: Callable[[TrainingLog], None] | None = None,
) -> TrainingLog:
    """Train the model in place.

    Every step averages the gradients of `accumulation_steps` batches; the batches of an epoch that
    do not fill a step are left out, as they are from the length of the schedule.

    Args:
        model: The model to train.
        batches: The training data.
        batch_loss: Computes the loss of one batch.
        options: Learning rate, epochs, warm-up, accumulation and clipping.
        exclude: Parameters with this in their name are not trained.
        new_optimizer: Makes the optimizer for the model and a number of steps; `None` for BertAdam.
        after_step: Called after each step; it may use the model.
    """
    parts = options.accumulation_steps
    steps_per_epoch = len(batches) // parts
    total_steps = int(steps_per_epoch * options.epochs)
    if total_steps < 1:
        raise ValueError(
            f"{len(batches)} batches, {parts} per step, for {options.epochs} epochs "
            "do not make one training step; give more data, smaller batches or more epochs."
        )
    if new_optimizer is None:
        optimizer: torch.optim.Optimizer = make_optimizer(model, options, total_steps, exclude)
    else:
        optimizer = new_optimizer(model, total_steps)
    log = TrainingLog()
    model.train()
    epochs = math.ceil(total_steps / steps_per_epoch)
    for epoch in range(1, epochs + 1):
        log.last_epoch_start = log.global_step
        steps = min(steps_per_epoch, total_steps - log.global_step)
        with progress.track(total=steps, desc=f"Epoch {epoch}/{epochs}", unit="step") as bar:
            step_loss = 0.0
            for number, batch in enumerate(itertools.islice(batches, steps * parts), start=1):
                loss = batch_loss(model, to_device(batch, model)) / parts
                loss.backward()
                step_loss += loss.item()
                if number % parts == 0:
                    if options.max_grad_norm > 0:
                        torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
                    optimizer.step()
                    optimizer.zero_grad()
                    log.losses.append(step_loss)
                    step_loss = 0.0
                    bar.set_postfix(loss=log.mean_loss, refresh=False)
                    bar.update()
                    if after_step is not None:
                        after_step(log)
                        model.train()
    return log


def write_results(directory: Path, results: dict[str, float | None]) -> None:
    """Write eval_results.txt, and print it."""
    lines = "".join(f"{key} = {results[key]}\n" for key in sorted(results))
    (directory / RESULTS_NAME).write_text(lines, encoding="utf-8")
    print(f"***** Results in {directory / RESULTS_NAME} *****\n{lines}", end="")


class Tokenizer(Protocol):
    """A tokenizer of any family."""

    def save_vocabulary(self, vocab_path: str, /) -> object: ...


def save(
    model: torch.nn.Module, tokenizer: Tokenizer, args: argparse.Namespace, directory: Path
) -> None:
    """Write a folder that `from_pretrained` reads, and the arguments of the run.

    The files are written beside those of an earlier run and replace them when all are complete;
    last, weights in another format are deleted, which would be read instead of the new ones.
    """
    plain = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()
    }
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=directory) as name:
        unfinished = Path(name)
        torch.save(plain, unfinished / ARGUMENTS_NAME)
        model.config.to_json_file(str(unfinished / CONFIG_NAME))  # type: ignore[union-attr, operator]
        tokenizer.save_vocabulary(str(unfinished))
        torch.save(model.state_dict(), unfinished / WEIGHTS_NAME)
        for file in sorted(unfinished.iterdir(), key=lambda file: file.name == WEIGHTS_NAME):
            with file.open("rb") as content:
                os.fsync(content.fileno())  # on the disk before what it replaces is gone
            file.replace(directory / file.name)
    for name in OTHER_WEIGHTS:
        if (directory / name).exists():
            logger.warning("%s is deleted: %s replaces it.", directory / name, WEIGHTS_NAME)
            (directory / name).unlink()
