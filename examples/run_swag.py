"""Fine-tune and evaluate BERT on SWAG, where one of four endings is right."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

import torch

import arguments
import swag
import training
from inputs import Batch
from ptbert import BertForMultipleChoice, BertTokenizer
from ptbert.training import Batches, TrainingLog, fit, processes


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", required=True, type=Path, help="has train.csv and val.csv")
    parser.add_argument("--max_seq_length", type=int, default=128, help="tokens per ending")
    parser.add_argument("--do_eval", action="store_true", help="evaluate on val.csv")
    parser.add_argument("--eval_batch_size", type=int, default=8, help="examples per batch")
    arguments.add_arguments(parser)
    return arguments.parse_fine_tuning(parser, argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    if not (args.do_train or args.do_eval):
        raise ValueError("At least one of `--do_train` and `--do_eval` must be given.")
    arguments.check_arguments(args)
    for name, wanted in (("train.csv", args.do_train), ("val.csv", args.do_eval)):
        if wanted:
            arguments.require_file(args.data_dir / name, "--data_dir")
    arguments.prepare_output_dir(
        args.output_dir,
        training=args.do_train,
        overwrite=args.overwrite_output_dir or args.resume,
    )


def load(args: argparse.Namespace) -> tuple[BertForMultipleChoice, BertTokenizer]:
    """The pretrained model with a new head (seeded), and its tokenizer."""
    return training.load_bert(args, BertForMultipleChoice, least=5, num_choices=swag.ENDINGS)


def load_features(
    args: argparse.Namespace, tokenizer: BertTokenizer, name: str
) -> list[swag.Features]:
    """The features of a file in --data_dir."""
    with processes.first_goes_ahead():  # the others read what it has cached
        return swag.load_features(
            args.data_dir / name,
            tokenizer,
            args.bert_model,
            args.max_seq_length,
            args.feature_cache_dir,
        )


def collate_for(args: argparse.Namespace) -> functools.partial[Batch]:
    """How features become batches."""
    length = args.max_seq_length if args.pad_to_max_seq_length else None
    return functools.partial(swag.collate, length=length)


def choice_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """The model's loss for the right endings."""
    loss: torch.Tensor = model(*(batch[n] for n in training.MODEL_INPUTS), batch["labels"])
    return loss


def train(
    args: argparse.Namespace, model: BertForMultipleChoice, tokenizer: BertTokenizer
) -> TrainingLog:
    """Fine-tune the model in place on train.csv."""
    features = load_features(args, tokenizer, "train.csv")
    batches = training.training_batches(args, features, collate_for(args))
    training.seed_training(args.seed)
    return fit(model, batches, choice_loss, training.options_from(args))


def evaluate(
    args: argparse.Namespace, model: BertForMultipleChoice, tokenizer: BertTokenizer
) -> dict[str, float]:
    """The share of right endings of val.csv, and the mean loss."""
    features = load_features(args, tokenizer, "val.csv")
    batches = Batches(features, args.eval_batch_size, collate_for(args))
    predictions = training.predict(model, batches, "Evaluating")
    logits = torch.cat([scores for _, (scores,) in predictions])  # [examples, endings]
    labels = torch.tensor([row.label for row in features])
    return {
        "eval_accuracy": (logits.argmax(1) == labels).double().mean().item(),
        "eval_loss": torch.nn.functional.cross_entropy(logits, labels).item(),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    if args.do_train and args.do_eval:
        # A mistake in the file is better known before the training than after it.
        swag.read_examples(args.data_dir / "val.csv")
    model, tokenizer = load(args)
    log = TrainingLog()
    if args.do_train:
        log = train(args, model, tokenizer)
        training.save(model, tokenizer, args, args.output_dir)
    if args.do_eval:
        results = evaluate(args, model, tokenizer)
        progress = {"global_step": log.global_step, "loss": log.mean_loss}
        training.write_results(args.output_dir, {**results, **progress})
    training.finish(args, trained=args.do_train)


if __name__ == "__main__":
    main()
