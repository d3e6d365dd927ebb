"""Flags of the example scripts, and the checks made before anything is loaded."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from pretraining_instances import TaskOptions
from ptbert import optimization
from ptbert.training import processes

SCHEDULES = [name for name in optimization.SCHEDULES if name]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that every script that fine-tunes BERT has."""
    add = parser.add_argument
    add("--bert_model", required=True, help="shortcut name, folder or archive of a pretrained BERT")
    add("--feature_cache_dir", type=Path, help="folder for cached features; default: by the data")
    add("--do_train", action="store_true", help="fine-tune the model")
    add("--do_lower_case", action="store_true", help="give this for an uncased model")
    add("--pad_to_max_seq_length", action="store_true", help="pad to the limit, not per batch")
    add("--no_length_buckets", action="store_true", help="mix all lengths in a training batch")
    add_training_arguments(parser)


def add_training_arguments(parser: argparse.ArgumentParser, **defaults: object) -> None:
    """Add the flags that every script that trains has; `defaults` replaces values below."""
    add = parser.add_argument
    add("--output_dir", required=True, type=Path, help="folder for the model and the results")
    add("--cache_dir", help="folder for downloaded models")
    add("--overwrite_output_dir", action="store_true", help="train into a folder that is not empty")
    add("--train_batch_size", type=int, default=32, help="examples per step and process")
    add("--learning_rate", type=float, default=5e-5, help="peak learning rate")
    add("--num_train_epochs", type=float, default=3.0, help="passes over the training data")
    add("--warmup_proportion", type=float, default=0.1, help="share of the steps that warm up")
    add("--gradient_accumulation_steps", type=int, default=1, help="batches per optimizer step")
    add("--seed", type=int, default=42, help="the same seed gives the same run")
    add("--fp16", action="store_true", help="compute in float16, with a loss scale")
    add("--loss_scale", type=float, default=0.0, help="with --fp16; a power of 2, or 0: dynamic")
    add("--bf16", action="store_true", help="compute in bfloat16, which needs no loss scale")
    add("--shard", action="store_true", help="cut the model among the processes (FSDP2)")
    add("--optimize_on_cpu", action="store_true", help="keep the optimizer in the CPU's memory")
    add("--save_steps", type=int, default=500, help="steps between checkpoints; 0: if interrupted")
    add("--resume", action="store_true", help="go on from the newest checkpoint in --output_dir")
    add("--log_dir", type=Path, help="folder for TensorBoard's files")
    add_device_arguments(parser)
    parser.set_defaults(**defaults)


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the model runs."""
    add = parser.add_argument
    add("--no_cuda", action="store_true", help="run on the CPU even with a GPU")
    # torch's launcher of today writes a hyphen.
    add("--local_rank", "--local-rank", type=int, default=-1, help="set by a launcher of 2019")
    add("--ddp_timeout", type=float, default=1800.0, help="seconds to wait for other processes")


def refuse_unused(
    args: argparse.Namespace, parser: argparse.ArgumentParser, because: str, *flags: str
) -> None:
    """Refuse flags, by their names, that were given but would have no effect."""
    for flag in flags:
        value = getattr(args, flag)
        if value != parser.get_default(flag):
            raise ValueError(f"`--{flag}` ({value}) has no effect {because}: leave it out.")


def parse_fine_tuning(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> argparse.Namespace:
    """Read the command line of a script that trains with `--do_train` only."""
    args = parser.parse_args(argv)
    if not args.do_train:
        flags = "resume", "shard", "optimize_on_cpu", "log_dir"
        refuse_unused(args, parser, "without `--do_train`", *flags)
    return args


def check_one_process() -> None:
    """Refuse several processes for a script that has work for one only."""
    if processes.count() > 1:
        raise ValueError(
            f"This script must run in one process, but was started in {processes.count()}."
        )


def check_batch_sizes(args: argparse.Namespace) -> None:
    """Refuse empty batches."""
    for name, value in vars(args).items():
        if name.endswith("batch_size") and value < 1:
            raise ValueError(f"`--{name}` ({value}) must be at least 1.")


def check_precision(args: argparse.Namespace) -> None:
    """Refuse wrong flags of 16-bit training."""
    if args.fp16 and args.bf16:
        raise ValueError("Only one of `--fp16` and `--bf16` may be given.")
    scale = args.loss_scale
    if scale and not args.fp16:
        raise ValueError(f"`--loss_scale` ({scale:g}) may be given only with `--fp16`.")
    if scale and (scale < 0 or not math.isfinite(scale) or math.frexp(scale)[0] != 0.5):
        raise ValueError(
            f"`--loss_scale` ({scale:g}) must be a power of 2, or 0 for one that adapts itself."
        )
    if args.save_steps < 0:
        raise ValueError(f"`--save_steps` ({args.save_steps}) must be at least 0.")


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is loaded."""
    check_precision(args)
    check_batch_sizes(args)
    steps = args.gradient_accumulation_steps
    if steps < 1:
        raise ValueError(f"`--gradient_accumulation_steps` ({steps}) must be at least 1.")
    if args.train_batch_size % steps:
        raise ValueError(
            f"`--train_batch_size` ({args.train_batch_size}) must be a multiple of "
            f"`--gradient_accumulation_steps` ({steps})."
        )
    if not 0 < args.num_train_epochs < math.inf:
        raise ValueError(f"`--num_train_epochs` ({args.num_train_epochs}) must be positive.")
    if not 0 <= args.learning_rate < math.inf:
        raise ValueError(f"`--learning_rate` ({args.learning_rate}) must be at least 0.")
    if args.warmup_proportion != -1 and not 0 <= args.warmup_proportion < 1:
        raise ValueError(
            f"`--warmup_proportion` ({args.warmup_proportion}) must be at least 0 and below 1, "
            "or -1 for no warm-up."
        )


def prepare_output_dir(directory: Path, *, training: bool, overwrite: bool) -> None:
    """Create the output folder; never train over the files of another run unasked.

    Args:
        directory: The folder.
        training: Whether this run writes a model to it.
        overwrite: Whether it may have files: those of a run that goes on, or to be replaced.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"`--output_dir` ({directory}) must be a folder, but is a file.")
    if training and not overwrite and directory.is_dir() and any(directory.iterdir()):
        raise ValueError(
            f"`--output_dir` ({directory}) already exists and is not empty; "
            "give --overwrite_output_dir to train into it."
        )
    processes.barrier()  # every process has looked before the first one writes
    directory.mkdir(parents=True, exist_ok=True)


def require_file(path: Path, flag: str) -> Path:
    """`path`, or an error that says which flag pointed at a missing file."""
    if not path.is_file():
        raise FileNotFoundError(f"`{flag}`: there is no file {path}.")
    return path


def add_pretraining_task_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of scripts that make examples of BERT's pre-training task."""
    add = parser.add_argument
    add("--do_whole_word_mask", action="store_true", help="mask all pieces of a word together")
    add("--max_seq_len", type=int, default=128, help="tokens per example")
    add("--short_seq_prob", type=float, default=0.1, help="share of examples that are cut short")
    add("--masked_lm_prob", type=float, default=0.15, help="share of tokens to be restored")
    add("--max_predictions_per_seq", type=int, default=20, help="most of them in an example")
    add("--num_workers", type=int, default=1, help="processes; the examples are the same for any")
    add("--seed", type=int, default=42, help="the same seed gives the same examples")


def pretraining_task(args: argparse.Namespace) -> TaskOptions:
    """What the flags of `add_pretraining_task_arguments` ask for, after a look at them."""
    if args.num_workers < 1:
        raise ValueError(f"`--num_workers` ({args.num_workers}) must be at least 1.")
    return TaskOptions(**{f.name: getattr(args, f.name) for f in dataclasses.fields(TaskOptions)})


def check_length(
    max_seq_length: int, model: torch.nn.Module, least: int, flag: str = "--max_seq_length"
) -> None:
    """Refuse a sequence length that holds no text, or more than the model has positions."""
    config = model.config
    most: int = config.max_position_embeddings  # type: ignore[union-attr, assignment]
    if not least <= max_seq_length <= most:
        raise ValueError(
            f"`{flag}` ({max_seq_length}) must be between {least} and "
            f"`max_position_embeddings` ({most})."
        )
