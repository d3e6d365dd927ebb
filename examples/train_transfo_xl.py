"""Train a Transformer-XL on text files: from nothing, or on from a trained one."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

import arguments
import training
from inputs import Batch
from ptbert import OpenAIAdam, TransfoXLConfig, TransfoXLLMHeadModel, TransfoXLTokenizer
from ptbert.training import MeanLoss, TrainingLog, fit, processes, to_device, track
from text_stream import Memory, Segments

logger = logging.getLogger(__name__)

SIZES = ("n_layer", "n_head", "d_head", "d_model", "d_embed", "d_inner")
OF_NEW_MODELS = ("cutoffs", "div_val", "dropout", "dropatt", "lower_case", "min_freq", "max_size")
SPECIAL = ["<unk>", "<eos>"]


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_files", required=True, type=Path, nargs="+", help="UTF-8 text files to learn")
    add("--eval_files", type=Path, nargs="+", help="text to evaluate on; default: --held_out")
    add("--held_out", type=float, default=0.05, help="share at the end that is not trained on")
    add("--model_name_or_path", help="a trained model to train on; default: a new one")
    add("--characters", action="store_true", help="the symbols are characters, not words")
    add("--lower_case", action="store_true", help="lower-case the text")
    add("--min_freq", type=int, default=0, help="rarer symbols are <unk>")
    add("--max_size", type=int, help="most symbols of the vocabulary; others are <unk>")
    add("--n_layer", type=int, default=6, help="layers of a new model")
    add("--n_head", type=int, default=8, help="attention heads of a new model")
    add("--d_head", type=int, default=32, help="width of a head")
    add("--d_model", type=int, default=256, help="width of a new model")
    add("--d_embed", type=int, default=256, help="width of the embeddings of frequent symbols")
    add("--d_inner", type=int, default=1024, help="width of the feed-forward layers")
    add("--cutoffs", type=int, nargs="*", default=[], help="first id of rarer and rarer clusters")
    add("--div_val", type=int, default=1, help="each cluster's embeddings are so much narrower")
    add("--dropout", type=float, default=0.1, help="of a new model")
    add("--dropatt", type=float, default=0.0, help="of attention weights of a new model")
    add("--tgt_len", type=int, default=128, help="tokens of a segment")
    add("--mem_len", type=int, default=128, help="tokens that memory holds")
    add("--eval_mem_len", type=int, help="the same in evaluation; default: --mem_len")
    add("--optimizer", choices=("adam", "openai_adam"), default="openai_adam", help="the optimizer")
    schedules = arguments.SCHEDULES
    add("--lr_schedule", choices=schedules, default="warmup_cosine", help="of the learning rate")
    add(
        "--weight_decay", type=float, default=0.0, help="of matrices; with --optimizer adam, of all"
    )
    add("--max_grad_norm", type=float, default=0.25, help="clips all gradients together; 0: never")
    add("--eval_every", type=int, default=500, help="steps; evaluate and save; 0: at the end")
    add("--eval_batch_size", type=int, default=10, help="parts of the text read side by side")
    arguments.add_training_arguments(
        parser, train_batch_size=16, learning_rate=2.5e-4, warmup_proportion=0.02
    )
    args = parser.parse_args(argv)
    refuse_unused = functools.partial(arguments.refuse_unused, args, parser)
    if args.optimizer == "adam":
        refuse_unused("with `--optimizer adam`", "lr_schedule", "warmup_proportion")
    if args.model_name_or_path:
        refuse_unused("with `--model_name_or_path`", *SIZES, *OF_NEW_MODELS)
    if args.eval_files:
        refuse_unused("with `--eval_files`", "held_out")
    return args


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    arguments.check_arguments(args)
    for flag in ("train_files", "eval_files"):
        for path in getattr(args, flag) or ():
            arguments.require_file(path, f"--{flag}")
    for flag in (*SIZES, "tgt_len", "div_val", "max_size"):
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise ValueError(f"`--{flag}` ({value}) must be at least 1.")
    for flag in (
        "mem_len",
        "eval_mem_len",
        "eval_every",
        "max_grad_norm",
        "weight_decay",
        "min_freq",
    ):
        value = getattr(args, flag)
        if value is not None and not value >= 0:
            raise ValueError(f"`--{flag}` ({value}) must be at least 0.")
    for flag, most in (("held_out", 0.5), ("dropout", 0.9), ("dropatt", 0.9)):
        if not 0 <= getattr(args, flag) <= most:
            raise ValueError(f"`--{flag}` ({getattr(args, flag)}) must be between 0 and {most}.")
    arguments.prepare_output_dir(
        args.output_dir, training=True, overwrite=args.overwrite_output_dir or args.resume
    )


def load_tokenizer(args: argparse.Namespace) -> TransfoXLTokenizer:
    """The vocabulary of the trained model, or one counted from the training files."""
    if args.model_name_or_path:
        return TransfoXLTokenizer.from_pretrained(args.model_name_or_path, args.cache_dir)
    tokenizer = TransfoXLTokenizer(
        special=SPECIAL,
        min_freq=args.min_freq,
        max_size=args.max_size,
        lower_case=args.lower_case,
        delimiter="" if args.characters else None,
    )
    for path in args.train_files:
        tokenizer.count_file(path, verbose=True, add_eos=True)
    tokenizer.build_vocab()
    return tokenizer


def load_model(args: argparse.Namespace, tokenizer: TransfoXLTokenizer) -> TransfoXLLMHeadModel:
    """A trained model, or a new one with random weights (seeded)."""
    training.seed_everything(args.seed)
    if args.model_name_or_path:
        model = TransfoXLLMHeadModel.from_pretrained(
            args.model_name_or_path, cache_dir=args.cache_dir
        )
        if len(tokenizer) != model.config.n_token:
            raise ValueError(
                f"The vocabulary must have as many tokens as the model ({model.config.n_token}), "
                f"but has {len(tokenizer)}."
            )
    else:
        model = TransfoXLLMHeadModel(
            TransfoXLConfig(
                len(tokenizer),
                cutoffs=args.cutoffs,
                div_val=args.div_val,
                dropout=args.dropout,
                dropatt=args.dropatt,
                tgt_len=args.tgt_len,
                mem_len=args.mem_len,
                clamp_len=-1,
                same_length=False,
                **{name: getattr(args, name) for name in SIZES},
            )
        )
    model.reset_length(args.tgt_len, 0, args.mem_len)
    return model.to(training.select_device(args))


def load_ids(args: argparse.Namespace, tokenizer: TransfoXLTokenizer) -> tuple[Tensor, Tensor]:
    """The tokens to train on, and those to evaluate on."""

    def encode(paths: Sequence[Path]) -> Tensor:
        return torch.cat([tokenizer.encode_file(p, ordered=True, verbose=True) for p in paths])

    ids = encode(args.train_files)
    if args.eval_files:
        return ids, encode(args.eval_files)
    kept = len(ids) - int(len(ids) * args.held_out)
    return ids[:kept], ids[kept:]


def new_optimizer(
    args: argparse.Namespace, model: torch.nn.Module, total_steps: int
) -> torch.optim.Optimizer:
    """Adam as the flags ask for; OpenAIAdam follows a schedule, Adam does not."""
    if args.optimizer == "adam":
        return torch.optim.Adam(
            model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay
        )
    return OpenAIAdam(
        model.parameters(),
        lr=args.learning_rate,
        schedule=args.lr_schedule,
        warmup=args.warmup_proportion,
        t_total=total_steps,
        weight_decay=args.weight_decay,
    )


@torch.no_grad()
def evaluate(
    args: argparse.Namespace, held_out: Tensor, model: TransfoXLLMHeadModel
) -> dict[str, float]:
    """The mean loss of a token of the held-out text, with memory, and what it stands for."""
    if len(held_out) < 2:
        return {}
    before = model.transformer.mem_len
    model.eval()
    model.reset_length(
        args.tgt_len, 0, args.mem_len if args.eval_mem_len is None else args.eval_mem_len
    )
    columns = min(args.eval_batch_size, len(held_out) // 2)
    segments, memory = Segments(held_out, columns, args.tgt_len), Memory()
    total, count = 0.0, 0
    for batch in track(
        segments.of_epoch(0), total=len(segments), desc="Evaluating", unit="segment"
    ):
        batch = to_device(batch, model)
        losses, mems = model(batch["input_ids"], batch["target"], memory.before(batch))
        memory.after(batch, mems)
        total += float(losses.sum())
        count += losses.numel()
    model.reset_length(args.tgt_len, 0, before)
    loss = total / count
    results = {"eval_loss": loss, "eval_perplexity": math.exp(loss)}
    return results | ({"eval_bpc": loss / math.log(2)} if args.characters else {})


def train(
    args: argparse.Namespace,
    model: TransfoXLLMHeadModel,
    ids: Tensor,
    after_step: Callable[[TrainingLog], None],
) -> TrainingLog:
    """Train the model in place."""
    columns = args.train_batch_size * processes.count()
    segments = Segments(ids, columns, args.tgt_len, args.gradient_accumulation_steps)
    memory = Memory()

    def batch_loss(model: torch.nn.Module, batch: Batch) -> MeanLoss:
        losses, mems = model(batch["input_ids"], batch["target"], memory.before(batch))
        memory.after(batch, mems)
        return MeanLoss(losses.mean(), losses.numel())

    training.seed_training(args.seed)
    return fit(
        model,
        segments,
        batch_loss,
        dataclasses.replace(training.options_from(args), max_grad_norm=args.max_grad_norm),
        new_optimizer=functools.partial(new_optimizer, args),
        after_step=after_step,
        carried=memory,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    tokenizer = load_tokenizer(args)
    ids, held_out = load_ids(args, tokenizer)
    model = load_model(args, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    logger.info(
        "%d parameters learn from %d tokens of %d kinds; %d are held out.",
        *(parameters, len(ids), len(tokenizer), len(held_out)),
    )
    evaluation = functools.partial(evaluate, args, held_out)
    after_step = training.evaluate_on_the_way(args, model, tokenizer, evaluation)
    log = train(args, model, ids, after_step)
    training.save_and_report(args, model, tokenizer, log, evaluation)


if __name__ == "__main__":
    main()
