"""Fine-tune and evaluate OpenAI GPT on ROCStories."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

import torch

import arguments
import rocstories
import training
from inputs import Batch
from ptbert import OpenAIAdam, OpenAIGPTDoubleHeadsModel, OpenAIGPTTokenizer
from ptbert.training import Batches, MeanLoss, TrainingLog, fit, processes
from rocstories import Features, Story


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model_name", default="openai-gpt", help="shortcut name, folder or archive of a GPT")
    add("--do_train", action="store_true", help="fine-tune the model")
    add("--do_eval", action="store_true", help="evaluate on the stories of --eval_dataset")
    add("--train_dataset", type=Path, help="CSV file of stories to train on")
    add("--eval_dataset", type=Path, help="CSV file to evaluate on; default: see --n_valid")
    add("--eval_batch_size", type=int, default=16, help="stories per batch")
    add("--max_grad_norm", type=float, default=1.0, help="clips each gradient on its own")
    schedules = arguments.SCHEDULES
    add("--lr_schedule", choices=schedules, default="warmup_linear", help="of the learning rate")
    add("--weight_decay", type=float, default=0.01, help="decay of matrices, not of vectors")
    add("--lm_coef", type=float, default=0.9, help="weight of the loss of the language model")
    add(
        "--n_valid",
        type=int,
        default=374,
        help="without --eval_dataset, stories at the end of --train_dataset to evaluate on and "
        "not to train on",
    )
    arguments.add_training_arguments(
        parser, train_batch_size=8, learning_rate=6.25e-5, warmup_proportion=0.002
    )
    return arguments.parse_fine_tuning(parser, argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    if not (args.do_train or args.do_eval):
        raise ValueError("At least one of `--do_train` and `--do_eval` must be given.")
    arguments.check_arguments(args)
    if args.train_dataset is None and (args.do_train or args.eval_dataset is None):
        purpose = "--do_train" if args.do_train else "--do_eval` without `--eval_dataset"
        raise ValueError(f"`{purpose}` needs `--train_dataset`.")
    for flag in ("train_dataset", "eval_dataset"):
        if getattr(args, flag) is not None:
            arguments.require_file(getattr(args, flag), f"--{flag}")
    if args.n_valid < 1:
        raise ValueError(f"`--n_valid` ({args.n_valid}) must be at least 1.")
    arguments.prepare_output_dir(
        args.output_dir, training=args.do_train, overwrite=args.overwrite_output_dir or args.resume
    )


def read_stories(args: argparse.Namespace) -> tuple[list[Story], list[Story]]:
    """The stories to train on, and those to evaluate on."""
    train = [] if args.train_dataset is None else rocstories.read_stories(args.train_dataset)
    if args.eval_dataset is not None:
        return train, rocstories.read_stories(args.eval_dataset)
    if not args.do_eval:
        return train, []
    if args.n_valid >= len(train):
        raise ValueError(
            f"`--n_valid` ({args.n_valid}) must be below the number of stories in "
            f"{args.train_dataset} ({len(train)})."
        )
    return train[: -args.n_valid], train[-args.n_valid :]


def load(args: argparse.Namespace) -> tuple[OpenAIGPTDoubleHeadsModel, OpenAIGPTTokenizer]:
    """The pretrained model with embeddings of the special tokens and a head (seeded), and its
    tokenizer."""
    training.seed_everything(args.seed)
    special_tokens = rocstories.SPECIAL_TOKENS
    tokenizer = OpenAIGPTTokenizer.from_pretrained(
        args.model_name, cache_dir=args.cache_dir, special_tokens=special_tokens
    )
    model = OpenAIGPTDoubleHeadsModel.from_pretrained(
        args.model_name, cache_dir=args.cache_dir, num_special_tokens=len(special_tokens)
    )
    return model.to(training.select_device(args)), tokenizer


def new_optimizer(
    args: argparse.Namespace, model: torch.nn.Module, total_steps: int
) -> torch.optim.Optimizer:
    """OpenAIAdam as the flags ask for; it decays matrices only."""
    return OpenAIAdam(
        model.parameters(),
        lr=args.learning_rate,
        schedule=args.lr_schedule,
        warmup=args.warmup_proportion,
        t_total=total_steps,
        weight_decay=args.weight_decay,
        max_grad_norm=args.max_grad_norm,
    )


def losses(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses of the language model and of the choice."""
    language_model, choice = model(
        batch["input_ids"], batch["mc_token_ids"], batch["lm_labels"], batch["mc_labels"]
    )
    return language_model, choice


def train(
    args: argparse.Namespace, model: OpenAIGPTDoubleHeadsModel, features: Sequence[Features]
) -> TrainingLog:
    """Fine-tune the model in place."""
    batches = Batches(
        features,
        training.batch_size(args),
        rocstories.collate,
        shuffle_seed=args.seed,
    )

    def batch_loss(model: torch.nn.Module, batch: Batch) -> list[MeanLoss]:
        language_model, choice = losses(model, batch)
        labelled = int((batch["lm_labels"][..., 1:] != -1).sum())
        return [
            MeanLoss(args.lm_coef * language_model, labelled),
            MeanLoss(choice, processes.rows_of(batch)),
        ]

    training.seed_training(args.seed)
    return fit(
        model,
        batches,
        batch_loss,
        training.options_from(args),
        new_optimizer=functools.partial(new_optimizer, args),
    )


def evaluate(
    args: argparse.Namespace, model: OpenAIGPTDoubleHeadsModel, features: Sequence[Features]
) -> dict[str, float]:
    """The share of right choices, and the mean loss of the choice."""
    batches = Batches(features, args.eval_batch_size, rocstories.collate)
    right, total_loss = 0, 0.0
    for batch, (_, scores) in training.predict(
        model, batches, "Evaluating", names=("input_ids", "mc_token_ids")
    ):
        labels = batch["mc_labels"]
        total_loss += torch.nn.functional.cross_entropy(scores, labels, reduction="sum").item()
        right += int((scores.argmax(-1) == labels).sum())
    return {"eval_accuracy": right / len(features), "eval_loss": total_loss / len(features)}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    train_stories, eval_stories = read_stories(args)
    model, tokenizer = load(args)
    longest = model.config.n_positions
    log = TrainingLog()
    if args.do_train:
        log = train(args, model, rocstories.make_features(train_stories, tokenizer, longest))
        training.save(model, tokenizer, args, args.output_dir)
    if args.do_eval:
        features = rocstories.make_features(eval_stories, tokenizer, longest)
        results = {**evaluate(args, model, features), "train_loss": log.mean_loss}
        training.write_results(args.output_dir, results)
    training.finish(args, trained=args.do_train)


if __name__ == "__main__":
    main()
