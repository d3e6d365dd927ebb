"""Train a GPT-2 on text files: from nothing, or on from a trained one."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

import arguments
import packed_text
import training
from inputs import Batch
from ptbert import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer, OpenAIAdam
from ptbert.training import Batches, MeanLoss, TrainingLog, fit, processes

logger = logging.getLogger(__name__)

LONGEST_SAMPLE = 200
SIZES = ("n_layer", "n_head", "n_embd", "n_positions")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_files", required=True, type=Path, nargs="+", help="UTF-8 text files to learn")
    add("--eval_files", type=Path, nargs="+", help="text to evaluate on; default: --held_out")
    add("--held_out", type=float, default=0.05, help="share at the end that is not trained on")
    add(
        "--documents",
        choices=list(packed_text.SEPARATORS),
        default="file",
        help="what ends a document, as <|endoftext|> in a file always does; default: file",
    )
    add("--model_name_or_path", help="a trained GPT-2 to train on; default: a new one")
    add("--tokenizer", help="folder or name of a vocabulary; default: that of the model, or a new")
    add("--vocab_size", type=int, default=8000, help="tokens of a new vocabulary")
    add("--n_layer", type=int, default=6, help="blocks of a new model")
    add("--n_head", type=int, default=6, help="attention heads of a new model")
    add("--n_embd", type=int, default=384, help="width of a new model")
    add("--n_positions", type=int, default=256, help="longest text of a new model, in tokens")
    add("--dropout", type=float, help="default: 0.1, or that of the trained model")
    add("--window", type=int, help="tokens per training example; default: the longest text")
    schedules = arguments.SCHEDULES
    add("--lr_schedule", choices=schedules, default="warmup_cosine", help="of the learning rate")
    add("--weight_decay", type=float, default=0.1, help="decay of matrices, not of vectors")
    add("--max_grad_norm", type=float, default=1.0, help="clips all gradients together; 0: never")
    add("--eval_every", type=int, default=500, help="steps; evaluate, sample, save; 0: at the end")
    add("--sample_prompt", default="", help="what samples begin with")
    arguments.add_training_arguments(
        parser, train_batch_size=16, learning_rate=3e-4, warmup_proportion=0.02
    )
    args = parser.parse_args(argv)
    refuse_unused = functools.partial(arguments.refuse_unused, args, parser)
    if args.model_name_or_path:
        refuse_unused("with `--model_name_or_path`", *SIZES, "vocab_size")
    if args.tokenizer:
        refuse_unused("with `--tokenizer`", "vocab_size")
    if args.eval_files:
        refuse_unused("with `--eval_files`", "held_out")
    return args


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    arguments.check_arguments(args)
    for flag in ("train_files", "eval_files"):
        for path in getattr(args, flag) or ():
            arguments.require_file(path, f"--{flag}")
    for flag in SIZES:
        if getattr(args, flag) < 1:
            raise ValueError(f"`--{flag}` ({getattr(args, flag)}) must be at least 1.")
    if args.n_embd % args.n_head:
        raise ValueError(
            f"`--n_embd` ({args.n_embd}) must be a multiple of `--n_head` ({args.n_head})."
        )
    for flag, most in (("held_out", 0.5), ("dropout", 0.9)):
        value = getattr(args, flag)
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"`--{flag}` ({value}) must be between 0 and {most}.")
    for flag in ("eval_every", "max_grad_norm", "weight_decay"):
        if not getattr(args, flag) >= 0:
            raise ValueError(f"`--{flag}` ({getattr(args, flag)}) must be at least 0.")
    arguments.prepare_output_dir(
        args.output_dir, training=True, overwrite=args.overwrite_output_dir or args.resume
    )


def load_tokenizer(args: argparse.Namespace) -> GPT2Tokenizer:
    """The tokenizer that is given, that of the model, or a new one in --output_dir."""
    if given := args.tokenizer or args.model_name_or_path:
        tokenizer = GPT2Tokenizer.from_pretrained(given, cache_dir=args.cache_dir)
    else:
        with processes.first_goes_ahead():  # the others read what it has learned
            if processes.is_first():
                GPT2Tokenizer.train(
                    args.train_files, args.vocab_size, args.output_dir, overwrite=True, verbose=True
                )
            tokenizer = GPT2Tokenizer.from_pretrained(args.output_dir)
    tokenizer.max_len = sys.maxsize  # texts are cut into windows below
    return tokenizer


def load_model(args: argparse.Namespace, tokenizer: GPT2Tokenizer) -> GPT2LMHeadModel:
    """A trained model, or a new one with random weights (seeded)."""
    training.seed_everything(args.seed)
    if args.model_name_or_path:
        model = GPT2LMHeadModel.from_pretrained(args.model_name_or_path, cache_dir=args.cache_dir)
        if len(tokenizer) > model.config.total_tokens_embeddings:
            raise ValueError(
                f"The vocabulary must have at most as many tokens as the model "
                f"({model.config.total_tokens_embeddings}), but has {len(tokenizer)}."
            )
    else:
        sizes = {name: getattr(args, name) for name in SIZES}
        model = GPT2LMHeadModel(GPT2Config(len(tokenizer), n_ctx=args.n_positions, **sizes))
    if args.dropout is not None:
        set_dropout(model, args.dropout)
    longest = model.config.n_positions
    args.window = longest if args.window is None else args.window
    if not 2 <= args.window <= longest:
        raise ValueError(f"`--window` ({args.window}) must be between 2 and {longest}.")
    return model.to(training.select_device(args))


def set_dropout(model: GPT2LMHeadModel, probability: float) -> None:
    """Give every dropout of the model this probability."""
    for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
        setattr(model.config, name, probability)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability


def load_ids(args: argparse.Namespace, tokenizer: GPT2Tokenizer) -> tuple[list[int], list[int]]:
    """The tokens to train on, and those to evaluate on."""
    ids = packed_text.encode(
        packed_text.read_documents(args.train_files, args.documents), tokenizer
    )
    if args.eval_files:
        documents = packed_text.read_documents(args.eval_files, args.documents)
        return ids, packed_text.encode(documents, tokenizer)
    kept = len(ids) - int(len(ids) * args.held_out)
    return ids[:kept], ids[kept:]


def new_optimizer(
    args: argparse.Namespace, model: torch.nn.Module, total_steps: int
) -> torch.optim.Optimizer:
    """Adam with the schedule and the weight decay that the flags ask for."""
    return OpenAIAdam(
        model.parameters(),
        lr=args.learning_rate,
        schedule=args.lr_schedule,
        warmup=args.warmup_proportion,
        t_total=total_steps,
        weight_decay=args.weight_decay,
    )


def batch_loss(model: torch.nn.Module, batch: Batch) -> MeanLoss:
    """The model's loss for the next tokens."""
    labels = batch["lm_labels"]
    loss = model(batch["input_ids"], lm_labels=labels)
    return MeanLoss(loss, int((labels[..., 1:] != packed_text.IGNORED).sum()))


def sample(args: argparse.Namespace, model: GPT2LMHeadModel, tokenizer: GPT2Tokenizer) -> str:
    """A text by the model; the same numbers are drawn each time."""
    model.eval()
    end = tokenizer.encoder[packed_text.END_OF_TEXT]
    prompt = [end, *tokenizer.encode(args.sample_prompt)][: args.window // 2]
    (text,) = model.generate(
        prompt,
        max_new_tokens=min(LONGEST_SAMPLE, model.config.n_positions - len(prompt)),
        temperature=1.0,
        top_k=min(40, len(tokenizer)),
        stop_ids=[end],
        seed=args.seed,
    )
    ids = [index for index in (*prompt, *text.ids) if index != end]
    return tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def evaluate(
    args: argparse.Namespace,
    tokenizer: GPT2Tokenizer,
    held_out: Sequence[int],
    model: GPT2LMHeadModel,
) -> dict[str, float]:
    """Print a sample; loss and perplexity of held-out tokens, each after at least half a window."""
    model.eval()
    tqdm.write(f"\n{sample(args, model, tokenizer)}", file=sys.stdout)
    if len(held_out) < 2:
        return {}
    (scored,) = model.score([held_out], window=args.window)
    return {"eval_loss": math.log(scored.perplexity), "eval_perplexity": scored.perplexity}


def train(
    args: argparse.Namespace,
    model: GPT2LMHeadModel,
    ids: Sequence[int],
    after_step: Callable[[TrainingLog], None],
) -> TrainingLog:
    """Train the model in place."""
    batches = Batches(
        packed_text.windows(ids, args.window),
        training.batch_size(args),
        packed_text.collate,
        shuffle_seed=args.seed,
    )
    options = dataclasses.replace(training.options_from(args), max_grad_norm=args.max_grad_norm)
    training.seed_training(args.seed)
    return fit(
        model,
        batches,
        batch_loss,
        options,
        new_optimizer=functools.partial(new_optimizer, args),
        after_step=after_step,
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
        "%d parameters learn from %d tokens; %d are held out.", parameters, len(ids), len(held_out)
    )
    evaluation = functools.partial(evaluate, args, tokenizer, held_out)
    after_step = training.evaluate_on_the_way(args, model, tokenizer, evaluation)
    log = train(args, model, ids, after_step)
    training.save_and_report(args, model, tokenizer, log, evaluation)


if __name__ == "__main__":
    main()
