"""What the example scripts share: beginning and end, seeds, batches, predictions and saving."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from tqdm import tqdm

import arguments
import inputs
from inputs import Batch
from ptbert import CONFIG_NAME, WEIGHTS_NAME, BertTokenizer, plots
from ptbert.file_utils import SAFETENSORS_NAME
from ptbert.modeling import BertPreTrainedModel
from ptbert.training import (
    Batches,
    Checkpoints,
    TrainingLog,
    TrainingOptions,
    processes,
    to_device,
    track,
    whole,
)

logger = logging.getLogger(__name__)

RESULTS_NAME = "eval_results.txt"
CURVES_NAME = "training_curves.png"
ARGUMENTS_NAME = "training_args.bin"
# Read rather than WEIGHTS_NAME, here or in transformers.
OTHER_WEIGHTS = (SAFETENSORS_NAME, f"{SAFETENSORS_NAME}.index.json", f"{WEIGHTS_NAME}.index.json")
MODEL_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
# May differ in a run that goes on: where files are, and what is not about training.
NOT_OF_THE_RUN = {
    *("output_dir", "cache_dir", "feature_cache_dir", "log_dir", "overwrite_output_dir", "resume"),
    *("save_steps", "local_rank", "ddp_timeout", "no_cuda", "do_eval", "do_predict"),
    *("eval_batch_size", "predict_batch_size"),
}

Row = TypeVar("Row")
Example = TypeVar("Example", bound=inputs.Encoded)
Pretrained = TypeVar("Pretrained", bound=BertPreTrainedModel)


def start(args: argparse.Namespace) -> None:
    """Begin a script: join the other processes, if there are any; only the first one logs."""
    processes.start(args.local_rank, no_cuda=args.no_cuda, timeout_s=args.ddp_timeout)
    level = logging.INFO if processes.is_first() else logging.ERROR
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def select_device(args: argparse.Namespace) -> torch.device:
    """The GPU of this process if there is one and it is wanted, else the CPU."""
    return processes.start(args.local_rank, no_cuda=args.no_cuda, timeout_s=args.ddp_timeout)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch, on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_training(seed: int) -> None:
    """Seed what is drawn in training, such as dropout: other numbers in every process.

    To be called after the model is loaded, which may draw more or fewer numbers.
    """
    seed_everything(seed + processes.rank())


def load_bert(
    args: argparse.Namespace, model_class: type[Pretrained], *, least: int, **head: Any
) -> tuple[Pretrained, BertTokenizer]:
    """A pretrained BERT with a new head (seeded), and its tokenizer.

    Args:
        args: Flags of `arguments.add_arguments`, and `max_seq_length`.
        model_class: The class of the model.
        least: The smallest `max_seq_length` that holds a text.
        head: Arguments of the head.
    """
    seed_everything(args.seed)
    tokenizer = BertTokenizer.from_pretrained(
        args.bert_model, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    model = model_class.from_pretrained(args.bert_model, cache_dir=args.cache_dir, **head)
    arguments.check_length(args.max_seq_length, model, least=least)
    return model.to(select_device(args)), tokenizer


def options_from(args: argparse.Namespace) -> TrainingOptions:
    """The options that the flags of `arguments.add_training_arguments` ask for."""
    return TrainingOptions(
        learning_rate=args.learning_rate,
        epochs=args.num_train_epochs,
        warmup_proportion=args.warmup_proportion,
        accumulation_steps=args.gradient_accumulation_steps,
        precision="float16" if args.fp16 else "bfloat16" if args.bf16 else "float32",
        loss_scale=args.loss_scale,
        shard=args.shard,
        optimize_on_cpu=args.optimize_on_cpu,
        output_dir=args.output_dir,
        save_steps=args.save_steps,
        resume=args.resume,
        log_dir=args.log_dir,
        arguments={n: value for n, value in vars(args).items() if n not in NOT_OF_THE_RUN},
    )


def batch_size(args: argparse.Namespace) -> int:
    """Rows in a batch of all processes together; --train_batch_size is that of one process."""
    rows: int = args.train_batch_size // args.gradient_accumulation_steps
    return rows * processes.count()


def training_batches(
    args: argparse.Namespace,
    rows: Sequence[Example],
    collate: Callable[[list[Example]], Batch],
) -> Batches[Example]:
    """Shuffled batches of the size, and by the lengths, that the flags ask for."""
    return Batches(
        rows,
        batch_size(args),
        collate,
        shuffle_seed=args.seed,
        length_of=None if args.no_length_buckets else inputs.length_of,
    )


def forward(
    model: torch.nn.Module, batch: Batch, names: Sequence[str] = MODEL_INPUTS
) -> tuple[torch.Tensor, ...]:
    """The model's outputs for the inputs of a batch, which have these names, without its labels."""
    outputs = model(*(batch[name] for name in names))
    return outputs if isinstance(outputs, tuple) else (outputs,)


def predict(
    model: torch.nn.Module,
    batches: Batches[Row],
    label: str,
    names: Sequence[str] = MODEL_INPUTS,
) -> Iterator[tuple[Batch, tuple[torch.Tensor, ...]]]:
    """Yield each batch with the model's outputs, on the CPU; no gradients, no dropout.

    With several processes each computes its share; every process gets all, in order.
    """
    model.eval()
    rest = iter(track(batches, desc=label, unit="batch"))
    while group := list(itertools.islice(rest, processes.count())):
        # One without a batch computes another's again: a model in parts needs all processes.
        mine = group[min(processes.rank(), len(group) - 1)]
        with torch.no_grad():
            outputs = forward(model, to_device(mine, model), names)
        gathered = processes.gather(tuple(output.float().cpu() for output in outputs))
        yield from zip(group, gathered[: len(group)], strict=True)


def write_results(directory: Path, results: dict[str, float | None]) -> None:
    """Write eval_results.txt, and print it; in the first process."""
    if not processes.is_first():
        return
    lines = "".join(f"{key} = {results[key]}\n" for key in sorted(results))
    (directory / RESULTS_NAME).write_text(lines, encoding="utf-8")
    print(f"***** Results in {directory / RESULTS_NAME} *****\n{lines}", end="")


class Tokenizer(Protocol):
    """A tokenizer of any family."""

    def save_vocabulary(self, vocab_path: str, /) -> object: ...


def save(
    model: torch.nn.Module, tokenizer: Tokenizer, args: argparse.Namespace, directory: Path
) -> None:
    """Write a folder that `from_pretrained` reads, and the arguments of the run; every process
    must call this, and the first one writes.

    The files are written beside those of an earlier run and replace them when all are complete;
    last, weights in another format are deleted, which would be read instead of the new ones.
    """
    weights = {name: whole(tensor) for name, tensor in model.state_dict().items()}
    if processes.is_first():
        write_folder(model, weights, tokenizer, args, directory)
    processes.barrier()


def write_folder(
    model: torch.nn.Module,
    weights: dict[str, torch.Tensor],
    tokenizer: Tokenizer,
    args: argparse.Namespace,
    directory: Path,
) -> None:
    """The writing of `save`."""
    plain = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()
    }
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=directory) as name:
        unfinished = Path(name)
        torch.save(plain, unfinished / ARGUMENTS_NAME)
        model.config.to_json_file(str(unfinished / CONFIG_NAME))  # type: ignore[union-attr, operator]
        tokenizer.save_vocabulary(str(unfinished))
        torch.save(weights, unfinished / WEIGHTS_NAME)
        for file in sorted(unfinished.iterdir(), key=lambda file: file.name == WEIGHTS_NAME):
            with file.open("rb") as content:
                os.fsync(content.fileno())  # on the disk before what it replaces is gone
            file.replace(directory / file.name)
    for name in OTHER_WEIGHTS:
        if (directory / name).exists():
            logger.warning("%s is deleted: %s replaces it.", directory / name, WEIGHTS_NAME)
            (directory / name).unlink()


Model = TypeVar("Model", bound=torch.nn.Module)


def whole_model(model: Model) -> Model:
    """The model, or a copy with all weights of one that is cut among processes (`--shard`); every
    process must call this."""
    tensors = model.state_dict()
    weights = {name: whole(tensor) for name, tensor in tensors.items()}
    if all(weights[name] is tensor for name, tensor in tensors.items()):
        return model
    copy = type(model)(model.config)
    copy.load_state_dict(weights)
    return copy


Evaluate = Callable[[Any], dict[str, float]]
"""Evaluates a whole model; results by name, none without anything to evaluate on."""


def evaluate_on_the_way(
    args: argparse.Namespace, model: torch.nn.Module, tokenizer: Tokenizer, evaluate: Evaluate
) -> Callable[[TrainingLog], None]:
    """What to do after each step: every --eval_every steps the first process evaluates, prints and
    notes the results, and the model is saved."""

    def after_step(log: TrainingLog) -> None:
        if args.eval_every == 0 or log.global_step % args.eval_every:
            return
        whole = whole_model(model)
        if processes.is_first():
            results = evaluate(whole)
            log.metrics += [(log.global_step, name, value) for name, value in results.items()]
            numbers = {"training loss": log.losses[-1], **results}
            line = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            tqdm.write(f"Step {log.global_step}: {line}", file=sys.stdout)
        save(model, tokenizer, args, args.output_dir)

    return after_step


def save_and_report(
    args: argparse.Namespace,
    model: torch.nn.Module,
    tokenizer: Tokenizer,
    log: TrainingLog,
    evaluate: Evaluate,
) -> None:
    """The end of a training: the model, and what it comes to."""
    save(model, tokenizer, args, args.output_dir)
    whole = whole_model(model)
    if processes.is_first():
        results = {"global_step": log.global_step, "loss": log.mean_loss, **evaluate(whole)}
        write_results(args.output_dir, results)
    finish(args, trained=True)


def finish(args: argparse.Namespace, *, trained: bool) -> None:
    """End a script. If it has trained a model, which is saved, checkpoints are not needed any more,
    and the run is drawn where matplotlib is installed; those of another run stay."""
    if trained:
        Checkpoints(args.output_dir, {}).remove()
        if processes.is_first() and importlib.util.find_spec("matplotlib"):
            plots.training_curves(args.output_dir, args.output_dir / CURVES_NAME)
    processes.stop()
