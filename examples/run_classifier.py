"""Fine-tune and evaluate BERT on a GLUE task, and answer its test set."""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import arguments
import glue
import glue_submission
import training
from best_epoch import BestEpoch, TrainingEndedEarly
from glue import Task
from glue_submission import UnlabelledFile
from inputs import Batch
from ptbert import BertForSequenceClassification, BertTokenizer
from ptbert.training import Batches, TrainingLog, TrainingOptions, fit, processes

logger = logging.getLogger(__name__)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ", ".join(task.name for task in glue.TASKS)
    parser.add_argument("--data_dir", required=True, type=Path, help="folder with the .tsv files")
    parser.add_argument("--task_name", required=True, help=names)
    parser.add_argument("--max_seq_length", type=int, default=128, help="tokens per example")
    parser.add_argument("--do_eval", action="store_true", help="evaluate on the dev set")
    parser.add_argument("--do_predict", action="store_true", help="write GLUE's submission files")
    parser.add_argument("--eval_batch_size", type=int, default=8, help="examples per batch")
    parser.add_argument(
        "--keep_best", action="store_true", help="evaluate every epoch, keep the best one's model"
    )
    parser.add_argument(
        "--early_stopping_patience",
        type=int,
        default=0,
        help="with --keep_best: end after so many epochs that are not better; 0: never",
    )
    arguments.add_arguments(parser)
    return arguments.parse_fine_tuning(parser, argv)


def check_arguments(args: argparse.Namespace, task: Task) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    if not (args.do_train or args.do_eval or args.do_predict):
        raise ValueError(
            "At least one of `--do_train`, `--do_eval` and `--do_predict` must be given."
        )
    arguments.check_arguments(args)
    if args.keep_best and not args.do_train:
        raise ValueError("`--keep_best` may be given only with `--do_train`.")
    if args.early_stopping_patience < 0:
        raise ValueError(
            f"`--early_stopping_patience` ({args.early_stopping_patience}) must be at least 0."
        )
    if args.early_stopping_patience and not args.keep_best:
        raise ValueError("`--early_stopping_patience` may be given only with `--keep_best`.")
    if args.keep_best and args.num_train_epochs % 1:
        raise ValueError(
            f"`--num_train_epochs` ({args.num_train_epochs}) must be whole with `--keep_best`."
        )
    names = ["train.tsv"] if args.do_train else []
    names += dev_names(args, task)
    if args.do_predict:
        names += [file.name for file in glue_submission.files_to_predict(task, args.data_dir)]
    for name in names:
        arguments.require_file(args.data_dir / name, "--data_dir")
    for directory in output_dirs(args, task) if args.do_eval else [args.output_dir]:
        arguments.prepare_output_dir(
            directory, training=args.do_train, overwrite=args.overwrite_output_dir or args.resume
        )


def dev_names(args: argparse.Namespace, task: Task) -> list[str]:
    """The dev files that the flags need; the first one chooses the best epoch."""
    names = [name for name, _ in task.dev_files]
    return names if args.do_eval else names[:1] if args.keep_best else []


def output_dirs(args: argparse.Namespace, task: Task) -> list[Path]:
    """The folders that results go to, one for each dev set."""
    return [Path(f"{args.output_dir}{suffix}") for _, suffix in task.dev_files]


def load(
    args: argparse.Namespace, task: Task
) -> tuple[BertForSequenceClassification, BertTokenizer]:
    """The pretrained model with a new classifier (seeded), and its tokenizer."""
    least = 3 if task.text_b is None else 5
    return training.load_bert(
        args, BertForSequenceClassification, least=least, num_labels=task.num_labels
    )


def collate_for(args: argparse.Namespace) -> functools.partial[Batch]:
    """How features become batches."""
    length = args.max_seq_length if args.pad_to_max_seq_length else None
    return functools.partial(glue.collate, length=length)


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
    if name == "train.tsv":
        return training.training_batches(args, features, collate_for(args))
    return Batches(features, args.eval_batch_size, collate_for(args))


def train(
    args: argparse.Namespace,
    task: Task,
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
) -> TrainingLog:
    """Fine-tune the model in place on train.tsv; with --keep_best save that of the best epoch."""
    batches = load_batches(args, task, tokenizer, "train.tsv")

    def batch_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        (logits,) = training.forward(model, batch)
        return glue.task_loss(task, logits, batch["labels"])

    training.seed_training(args.seed)
    options = training.options_from(args)
    if not args.keep_best:
        return fit(model, batches, batch_loss, options)
    metric = glue.MAIN_METRIC[task.metric]
    (name, _), *_ = task.dev_files
    best = BestEpoch(
        len(batches) // args.gradient_accumulation_steps,
        f"eval_{metric}",
        lambda: evaluate(args, task, model, tokenizer, name)[metric],
        lambda: training.save(model, tokenizer, args, args.output_dir),
        args.early_stopping_patience,
    )
    return fit_until_no_better(model, batches, batch_loss, options, best)


def fit_until_no_better(
    model: BertForSequenceClassification,
    batches: Batches[glue.Features],
    batch_loss: Callable[[torch.nn.Module, Batch], torch.Tensor],
    options: TrainingOptions,
    best: BestEpoch,
) -> TrainingLog:
    """`fit`, which `best` may end; the log of what was done."""
    log = TrainingLog()

    def after_step(current: TrainingLog) -> None:
        nonlocal log
        log = current
        best(current)

    try:
        return fit(model, batches, batch_loss, options, after_step=after_step)
    except TrainingEndedEarly:
        logger.info("Ended after step %d: it got no better.", log.global_step)
        return log


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


def predict(
    args: argparse.Namespace,
    task: Task,
    model: BertForSequenceClassification,
    tokenizer: BertTokenizer,
    file: UnlabelledFile,
) -> None:
    """Write the answers to a test file into the output folder."""
    indices, examples = glue_submission.read_test_examples(file, args.data_dir / file.name)
    features = glue.make_features(examples, tokenizer, args.max_seq_length)
    batches = Batches(features, args.eval_batch_size, collate_for(args))
    logits = torch.cat([scores for _, (scores,) in training.predict(model, batches, "Answering")])
    if processes.is_first():
        path = args.output_dir / file.submission
        answers = glue.predictions_of(task, logits)
        glue_submission.write_submission(task, path, indices, answers)
        logger.info("%d answers in %s.", len(indices), path)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    task = glue.find_task(args.task_name)
    check_arguments(args, task)
    test_files = glue_submission.files_to_predict(task, args.data_dir) if args.do_predict else []
    if args.do_train:
        # A mistake in a file is better known before the training than after it.
        for name in dev_names(args, task):
            glue.read_examples(task, args.data_dir / name)
        for file in test_files:
            glue_submission.read_test_examples(file, args.data_dir / file.name)
    model, tokenizer = load(args, task)
    log = TrainingLog()
    if args.do_train:
        log = train(args, task, model, tokenizer)
        if args.keep_best:
            model = type(model).from_pretrained(str(args.output_dir), num_labels=task.num_labels)
            model.to(training.select_device(args))
        else:
            training.save(model, tokenizer, args, args.output_dir)
    if args.do_eval:
        for (name, _), directory in zip(task.dev_files, output_dirs(args, task), strict=True):
            metrics = evaluate(args, task, model, tokenizer, name)
            progress = {"global_step": log.global_step, "loss": log.mean_loss}
            training.write_results(directory, {**metrics, **progress})
    for file in test_files:
        predict(args, task, model, tokenizer, file)
    training.finish(args, trained=args.do_train)


if __name__ == "__main__":
    main()
