"""Fine-tune BERT to find named entities, or any other labels of words, and evaluate it."""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

import arguments
import ner
import training
from inputs import Batch
from ptbert import BertForTokenClassification, BertTokenizer
from ptbert.training import Batches, MeanLoss, TrainingLog, fit, processes

logger = logging.getLogger(__name__)

LABELS_NAME = "labels.txt"


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_file", type=Path, help="words and labels in columns")
    add("--eval_file", type=Path, help="the same, to evaluate on")
    add("--predict_file", type=Path, help="words, with or without labels")
    add("--labels", type=Path, help="a label per line; default: those of --train_file")
    add("--max_seq_length", type=int, default=128, help="tokens of a sentence, or of its parts")
    add("--do_eval", action="store_true", help="evaluate on --eval_file")
    add("--do_predict", action="store_true", help="write labels for --predict_file")
    add("--eval_batch_size", type=int, default=8, help="sentences per batch")
    arguments.add_arguments(parser)
    return arguments.parse_fine_tuning(parser, argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    if not (args.do_train or args.do_eval or args.do_predict):
        raise ValueError("`--do_train`, `--do_eval` or `--do_predict` must be given.")
    arguments.check_arguments(args)
    for task in ("train", "eval", "predict"):
        path = getattr(args, f"{task}_file")
        if getattr(args, f"do_{task}"):
            if path is None:
                raise ValueError(f"`--do_{task}` needs `--{task}_file`.")
            arguments.require_file(path, f"--{task}_file")
    if args.labels is not None:
        arguments.require_file(args.labels, "--labels")
    if args.do_eval:
        ner.check_seqeval()
    arguments.prepare_output_dir(
        args.output_dir,
        training=args.do_train,
        overwrite=args.overwrite_output_dir or args.resume,
    )


def find_labels(args: argparse.Namespace) -> list[str]:
    """The labels given, those of the training file, or those saved with the model."""
    if args.labels is not None:
        return ner.read_labels(args.labels)
    if args.do_train:
        return ner.labels_of(read(args, "train"))
    saved = Path(args.bert_model) / LABELS_NAME
    if not saved.is_file():
        raise ValueError(
            f"`--labels` must be given, as there is no training file and no {saved} of a model."
        )
    return ner.read_labels(saved)


def read(
    args: argparse.Namespace, task: str, labels: Sequence[str] | None = None
) -> list[ner.Sentence]:
    """The sentences of a file; all but those to predict must have labels, and these must be among
    `labels`."""
    path: Path = getattr(args, f"{task}_file")
    sentences = ner.read_sentences(path, labels)
    if task != "predict" and sentences[0].labels is None:
        raise ValueError(f"`--{task}_file`: {path} must have labels in its last column.")
    return sentences


def load(
    args: argparse.Namespace, labels: Sequence[str]
) -> tuple[BertForTokenClassification, BertTokenizer]:
    """The pretrained model with a new classifier (seeded), and its tokenizer."""
    return training.load_bert(args, BertForTokenClassification, least=3, num_labels=len(labels))


def collate_for(args: argparse.Namespace) -> functools.partial[Batch]:
    """How features become batches."""
    length = args.max_seq_length if args.pad_to_max_seq_length else None
    return functools.partial(ner.collate, length=length)


def load_features(
    args: argparse.Namespace,
    task: str,
    sentences: Sequence[ner.Sentence],
    labels: Sequence[str],
    tokenizer: BertTokenizer,
) -> list[ner.Features]:
    """The features of the sentences of a file."""
    with processes.first_goes_ahead():  # the others read what it has cached
        return ner.load_features(
            getattr(args, f"{task}_file"),
            sentences,
            labels,
            tokenizer,
            args.bert_model,
            args.max_seq_length,
            args.feature_cache_dir,
        )


def word_loss(model: torch.nn.Module, batch: Batch) -> MeanLoss:
    """The loss of the labels at the first pieces of words."""
    (scores,) = training.forward(model, batch)
    is_labelled = batch["labels"] != ner.IGNORED
    wanted = batch["labels"][is_labelled]
    return MeanLoss(cross_entropy(scores[is_labelled], wanted), len(wanted))


def train(
    args: argparse.Namespace, model: BertForTokenClassification, features: Sequence[ner.Features]
) -> TrainingLog:
    """Fine-tune the model in place."""
    batches = training.training_batches(args, features, collate_for(args))
    training.seed_training(args.seed)
    return fit(model, batches, word_loss, training.options_from(args))


def predict(
    args: argparse.Namespace,
    model: BertForTokenClassification,
    features: Sequence[ner.Features],
    labels: Sequence[str],
) -> tuple[list[list[str]], float]:
    """The most probable labels of the words of each sentence, and the mean loss of those that have
    one (0 without any)."""
    batches = Batches(features, args.eval_batch_size, collate_for(args))
    predicted: list[list[int]] = []
    loss, count = 0.0, 0
    for batch, (scores,) in training.predict(model, batches, "Labelling"):
        for row, is_first in zip(scores.argmax(-1), batch["is_first"].bool(), strict=True):
            predicted.append(row[is_first].tolist())
        is_labelled = batch["labels"] != ner.IGNORED
        wanted = batch["labels"][is_labelled]
        loss += cross_entropy(scores[is_labelled], wanted, reduction="sum").item()
        count += len(wanted)
    return ner.to_sentences(features, predicted, labels), loss / max(count, 1)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    labels = find_labels(args)
    # A mistake in a file is better known before the training than after it.
    tasks = [task for task in ("train", "eval", "predict") if getattr(args, f"do_{task}")]
    sentences = {task: read(args, task, labels) for task in tasks}
    model, tokenizer = load(args, labels)
    features = {
        task: load_features(args, task, sentences[task], labels, tokenizer) for task in tasks
    }
    log = TrainingLog()
    if args.do_train:
        log = train(args, model, features["train"])
        training.save(model, tokenizer, args, args.output_dir)
    if processes.is_first():
        (args.output_dir / LABELS_NAME).write_text("\n".join(labels) + "\n", encoding="utf-8")
    if args.do_eval:
        found, loss = predict(args, model, features["eval"], labels)
        truth = [sentence.labels or [] for sentence in sentences["eval"]]
        progress = {"global_step": log.global_step, "loss": log.mean_loss, "eval_loss": loss}
        training.write_results(args.output_dir, {**ner.score(truth, found), **progress})
    if args.do_predict:
        found, _ = predict(args, model, features["predict"], labels)
        if processes.is_first():
            path = args.output_dir / "predictions.txt"
            ner.write_predictions(path, sentences["predict"], found)
            logger.info("Labels of %d sentences in %s.", len(found), path)
    training.finish(args, trained=args.do_train)


if __name__ == "__main__":
    main()
