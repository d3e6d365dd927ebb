"""Pre-train BERT on the examples of create_pretraining_data.py, from nothing or further on."""

from __future__ import annotations

import argparse
import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

import arguments
import pretraining_rows
import training
from inputs import Batch
from pretraining_rows import Array, RowBatches
from ptbert import BertConfig, BertForPreTraining, BertTokenizer
from ptbert.training import TrainingLog, fit, to_device, track

logger = logging.getLogger(__name__)

SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "max_position_embeddings",
)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_data", required=True, type=Path, nargs="+", help="folders with shard-*.npy")
    add("--eval_data", type=Path, nargs="+", help="folders to evaluate on")
    add("--vocab", required=True, help="vocab.txt, or name, folder or archive of a model")
    add("--do_lower_case", action="store_true", help="for an uncased vocabulary")
    add("--bert_model", help="a trained model to train on, as for the longer texts; default: new")
    add("--config_file", type=Path, help="bert_config.json of a new model; or these sizes:")
    add("--hidden_size", type=int, default=768, help="width of a new model")
    add("--num_hidden_layers", type=int, default=12, help="layers of a new model")
    add("--num_attention_heads", type=int, default=12, help="attention heads of a new model")
    add("--intermediate_size", type=int, default=3072, help="width of the feed-forward layers")
    add("--max_position_embeddings", type=int, default=512, help="longest text of a new model")
    add("--num_train_steps", type=int, help="optimizer steps, in the place of --num_train_epochs")
    add("--eval_every", type=int, default=1000, help="steps; evaluate and save; 0: at the end")
    add("--eval_batch_size", type=int, default=32, help="examples per batch")
    arguments.add_training_arguments(
        parser, train_batch_size=32, learning_rate=1e-4, warmup_proportion=0.01
    )
    args = parser.parse_args(argv)
    refuse_unused = functools.partial(arguments.refuse_unused, args, parser)
    for flag in ("bert_model", "config_file"):
        if getattr(args, flag):
            refuse_unused(f"with `--{flag}`", *SIZES)
    if args.num_train_steps is not None:
        refuse_unused("with `--num_train_steps`", "num_train_epochs")
    return args


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    arguments.check_arguments(args)
    if args.bert_model and args.config_file:
        raise ValueError("Only one of `--bert_model` and `--config_file` may be given.")
    if args.config_file:
        arguments.require_file(args.config_file, "--config_file")
    if args.num_train_steps is not None and args.num_train_steps < 1:
        raise ValueError(f"`--num_train_steps` ({args.num_train_steps}) must be at least 1.")
    if args.eval_every < 0:
        raise ValueError(f"`--eval_every` ({args.eval_every}) must be at least 0.")
    arguments.prepare_output_dir(
        args.output_dir, training=True, overwrite=args.overwrite_output_dir or args.resume
    )


def load(args: argparse.Namespace) -> tuple[BertForPreTraining, BertTokenizer]:
    """A trained model, or a new one with random weights (seeded), and the tokenizer."""
    training.seed_everything(args.seed)
    tokenizer = BertTokenizer.from_pretrained(
        args.vocab, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    if args.bert_model:
        model = BertForPreTraining.from_pretrained(args.bert_model, cache_dir=args.cache_dir)
    elif args.config_file:
        model = BertForPreTraining(BertConfig.from_json_file(args.config_file))
    else:
        model = BertForPreTraining(
            BertConfig(len(tokenizer.vocab), **{name: getattr(args, name) for name in SIZES})
        )
    if len(tokenizer.vocab) > model.config.vocab_size:
        raise ValueError(
            f"The vocabulary must have at most as many tokens as the model "
            f"({model.config.vocab_size}), but has {len(tokenizer.vocab)}."
        )
    return model.to(training.select_device(args)), tokenizer


def in_order(tables: Sequence[Array], batch_size: int) -> Iterator[Batch]:
    """The batches of all rows, in order."""
    for table in tables:
        for begin in range(0, len(table), batch_size):
            yield pretraining_rows.to_batch(table[begin : begin + batch_size])


@torch.no_grad()
def evaluate(
    args: argparse.Namespace, tables: Sequence[Array], model: BertForPreTraining
) -> dict[str, float]:
    """Loss and accuracy of the tokens to restore, and of what follows."""
    if not tables:
        return {}
    model.eval()
    sums = dict.fromkeys(("masked", "masked_loss", "masked_right"), 0.0)
    sums |= dict.fromkeys(("next", "next_loss", "next_right"), 0.0)
    count = sum(math.ceil(len(table) / args.eval_batch_size) for table in tables)
    batches = in_order(tables, args.eval_batch_size)
    for batch in track(batches, total=count, desc="Evaluating", unit="batch"):
        batch = to_device(batch, model)
        scores, next_scores, labels = pretraining_rows.scores(model, batch)
        for name, rows, wanted in (
            ("masked", scores, labels),
            ("next", next_scores, batch["is_random_next"]),
        ):
            losses = torch.nn.functional.cross_entropy(rows.float(), wanted, reduction="sum")
            sums[name] += len(wanted)
            sums[f"{name}_loss"] += losses.item()
            sums[f"{name}_right"] += int((rows.argmax(-1) == wanted).sum())
    return {
        "masked_lm_loss": sums["masked_loss"] / sums["masked"],
        "masked_lm_accuracy": sums["masked_right"] / sums["masked"],
        "next_sentence_loss": sums["next_loss"] / sums["next"],
        "next_sentence_accuracy": sums["next_right"] / sums["next"],
    }


def train(
    args: argparse.Namespace,
    model: BertForPreTraining,
    after_step: Callable[[TrainingLog], None],
) -> TrainingLog:
    """Train the model in place."""
    tables = pretraining_rows.open_shards(args.train_data)
    arguments.check_length(tables[0]["ids"].shape[1], model, least=5, flag="max_seq_len")
    batches = RowBatches(tables, training.batch_size(args), args.seed)
    if args.num_train_steps is not None:
        steps_per_epoch = len(batches) // args.gradient_accumulation_steps
        # In the middle of a step, so that rounding cannot lose one.
        args.num_train_epochs = (args.num_train_steps + 0.5) / max(steps_per_epoch, 1)

    training.seed_training(args.seed)
    loss = functools.partial(pretraining_rows.batch_loss, shard=args.shard)
    return fit(model, batches, loss, training.options_from(args), after_step=after_step)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    eval_tables = pretraining_rows.open_shards(args.eval_data) if args.eval_data else []
    model, tokenizer = load(args)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    logger.info("%d parameters, %d tokens.", parameters, len(tokenizer.vocab))
    evaluation = functools.partial(evaluate, args, eval_tables)
    after_step = training.evaluate_on_the_way(args, model, tokenizer, evaluation)
    log = train(args, model, after_step)
    training.save_and_report(args, model, tokenizer, log, evaluation)


if __name__ == "__main__":
    main()
