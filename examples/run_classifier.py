"""Fine-tune and evaluate BERT on a GLUE task."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path

import torch

import arguments
import glue
import training
from glue import Task
from inputs import Batch
from ptbert import BertForSequenceClassification, BertTokenizer
from ptbert.training import Batches, TrainingLog, fit, processes


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ", ".join(task.name for task in glue.TASKS)
    parser.add_argument("--data_dir", required=True, type=Path, help="folder with the .tsv files")
    parser.add_argument("--task_name", required=True, help=names)
    parser.add_argument("--max_seq_length", type=int, default=128, help="tokens per example")
    parser.add_argument("--do_eval", action="store_true", help="evaluate on the dev set")
    parser.add_argument("--eval_batch_size", type=int, default=8, help="examples per batch")
    arguments.add_arguments(parser)
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace, task: Task) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    if not (args.do_train or args.do_eval):
        raise ValueError("At least one of `--do_train` and `--do_eval` must be given.")
    arguments.check_arguments(args)
    if args.do_train:
        arguments.require_file(args.data_dir / "train.tsv", "--data_dir")
    for name, _ in task.dev_files if args.do_eval else ():
        arguments.require_file(args.data_dir / name, "--data_dir")
    for directory in output_dirs(args, task) if args.do_eval else [args.output_dir]:
        arguments.prepare_output_dir(
            directory, training=args.do_train, overwrite=args.overwrite_output_dir or args.resume
        )


def output_dirs(args: argparse.Namespace, task: Task) -> list[Path]:
    """The folders that results go to, one for each dev set."""
    return [Path(f"{args.output_dir}{suffix}") for _, suffix in task.dev_files]


def load(
    args: argparse.Namespace, task: Task
) -> tuple[BertForSequenceClassification, BertTokenizer]:
    """The pretrained model with a new classifier (seeded), and its tokenizer."""
    training.seed_everything(args.seed)
    tokenizer = BertTokenizer.from_pretrained(
        args.bert_model, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    model = BertForSequenceClassification.from_pretrained(
        args.bert_model, cache_dir=args.cache_dir, num_labels=task.num_labels
    )
    arguments.check_length(args.max_seq_length, model, least=3 if task.text_b is None else 5)
    return model.to(training.select_device(args)), tokenizer


def load_batches(
    args: argparse.Namespace, task: Task, tokenizer: BertTokenizer, name: str
) -> Batches[glue.Features]:
    """The batches of one file: shuffled for training, in order for evaluation."""
    with processes.first_goes_ahead():  # the others read what it has cached
        features = glue.load_features(
            task,
            args.data_dir / name,
            tokenizer,
            args.bert_model,
            args.max_seq_length,
            args.feature_cache_dir,
        )
    length = args.max_seq_length if args.pad_to_max_seq_length else None
    collate = functools.partial(glue.collate, length=length)
    if name == "train.tsv":
        return training.training_batches(args, features, collate)
    return Batches(features, args.eval_batch_size, collate)


def train(
    args: argparse.Namespace,
    task: Task,
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
) -> TrainingLog:
    """Fine-tune the model in place on train.tsv."""
    batches = load_batches(args, task, tokenizer, "train.tsv")

    def batch_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        (logits,) = training.forward(model, batch)
        return glue.task_loss(task, logits, batch["labels"])

    training.seed_training(args.seed)
    return fit(model, batches, batch_loss, training.options_from(args))


def evaluate(
    args: argparse.Namespace,
    task: Task,
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    name: str,
) -> dict[str, float]:
    """The task's metrics on one dev file, and the mean loss of its examples."""
    batches = load_batches(args, task, tokenizer, name)
    pairs = [
        (logits, batch["labels"])
        for batch, (logits,) in training.predict(model, batches, "Evaluating")
    ]
    logits = torch.cat([pair[0] for pair in pairs])
    labels = torch.cat([pair[1] for pair in pairs])
    metrics = glue.compute_metrics(task, glue.predictions_of(task, logits), labels.tolist())
    return metrics | {"eval_loss": glue.task_loss(task, logits, labels).item()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    task = glue.find_task(args.task_name)
    check_arguments(args, task)
    if args.do_train and args.do_eval:
        # A mistake in a file is better known before the training than after it.
        for name, _ in task.dev_files:
            glue.read_examples(task, args.data_dir / name)
    model, tokenizer = load(args, task)
    log = TrainingLog()
    if args.do_train:
        log = train(args, task, model, tokenizer)
        training.save(model, tokenizer, args, args.output_dir)
    if args.do_eval:
        for (name, _), directory in zip(task.dev_files, output_dirs(args, task), strict=True):
            metrics = evaluate(args, task, model, tokenizer, name)
            progress = {"global_step": log.global_step, "loss": log.mean_loss}
            training.write_results(directory, {**metrics, **progress})
    training.finish(args)


if __name__ == "__main__":
    main()
