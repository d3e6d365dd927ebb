"""Fine-tune BERT on SQuAD 1.1 or 2.0, and answer its questions."""

from __future__ import annotations

import argparse
import functools
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch

import arguments
import squad
import squad_evaluate
import training
from inputs import Batch
from ptbert import BertForQuestionAnswering, BertTokenizer
from ptbert.training import Batches, TrainingLog, fit, processes
from squad import Window
from squad_answers import AnswerOptions, Predictions, Scores, choose_answers
from squad_examples import Example, read_examples
from squad_reader import read_questions

logger = logging.getLogger(__name__)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_file", type=Path, help="SQuAD file to train on")
    add("--predict_file", type=Path, help="SQuAD file to answer")
    add("--max_seq_length", type=int, default=384, help="tokens of question and window together")
    add("--doc_stride", type=int, default=128, help="tokens between the starts of two windows")
    add("--max_query_length", type=int, default=64, help="tokens of a question")
    add("--do_predict", action="store_true", help="answer the questions of --predict_file")
    add("--predict_batch_size", type=int, default=8, help="windows per batch")
    add("--n_best_size", type=int, default=20, help="answers kept for each question")
    add("--max_answer_length", type=int, default=30, help="tokens of the longest answer")
    add("--verbose_logging", action="store_true", help="log answers that cannot be aligned")
    add("--version_2_with_negative", action="store_true", help="questions may have no answer")
    add("--null_score_diff_threshold", type=float, default=0.0, help="lead that 'no answer' needs")
    arguments.add_arguments(parser)
    return arguments.parse_fine_tuning(parser, argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    if not (args.do_train or args.do_predict):
        raise ValueError("At least one of `--do_train` and `--do_predict` must be given.")
    arguments.check_arguments(args)
    for wanted, flag in ((args.do_train, "train_file"), (args.do_predict, "predict_file")):
        path = getattr(args, flag)
        if wanted and path is None:
            purpose = "--do_train" if flag == "train_file" else "--do_predict"
            raise ValueError(f"`{purpose}` needs `--{flag}`.")
        if wanted:
            arguments.require_file(path, f"--{flag}")
    for flag in ("doc_stride", "max_query_length", "n_best_size", "max_answer_length"):
        if getattr(args, flag) < 1:
            raise ValueError(f"`--{flag}` ({getattr(args, flag)}) must be at least 1.")
    if math.isnan(args.null_score_diff_threshold):
        raise ValueError("`--null_score_diff_threshold` (nan) must be a number.")
    arguments.prepare_output_dir(
        args.output_dir, training=args.do_train, overwrite=args.overwrite_output_dir or args.resume
    )


def load(args: argparse.Namespace) -> tuple[BertForQuestionAnswering, BertTokenizer]:
    """The pretrained model with a new output layer (seeded), and its tokenizer."""
    # [CLS], two [SEP] and at least one token of the paragraph stand beside the question.
    return training.load_bert(args, BertForQuestionAnswering, least=args.max_query_length + 4)


def load_windows(
    args: argparse.Namespace, tokenizer: BertTokenizer, path: Path, *, for_training: bool
) -> tuple[list[Example], list[Window]]:
    """The questions of a file and their windows."""
    with processes.first_goes_ahead():  # the others read what it has cached
        return squad.load(
            path,
            tokenizer,
            args.bert_model,
            squad.WindowOptions(args.max_seq_length, args.doc_stride, args.max_query_length),
            training=for_training,
            with_negative=args.version_2_with_negative,
            cache_dir=args.feature_cache_dir,
        )


def collate_for(args: argparse.Namespace) -> functools.partial[Batch]:
    """How windows become batches."""
    length = args.max_seq_length if args.pad_to_max_seq_length else None
    return functools.partial(squad.collate, length=length)


def span_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """The model's loss for the starts and ends of the answers."""
    model_inputs = (batch[name] for name in training.MODEL_INPUTS)
    loss: torch.Tensor = model(*model_inputs, batch["start_positions"], batch["end_positions"])
    return loss


def train(
    args: argparse.Namespace, model: BertForQuestionAnswering, tokenizer: BertTokenizer
) -> TrainingLog:
    """Fine-tune the model in place on --train_file."""
    _, windows = load_windows(args, tokenizer, args.train_file, for_training=True)
    batches = training.training_batches(args, windows, collate_for(args))
    options = training.options_from(args)
    training.seed_training(args.seed)
    # No output depends on the pooler: it has no gradient, and must not decay either.
    return fit(model, batches, span_loss, options, exclude="pooler")


def predict(
    args: argparse.Namespace, model: BertForQuestionAnswering, tokenizer: BertTokenizer
) -> Predictions:
    """Answer the questions of --predict_file."""
    examples, windows = load_windows(args, tokenizer, args.predict_file, for_training=False)
    batches = Batches(windows, args.predict_batch_size, collate_for(args))
    model.bert.skip_padding = True  # its scores are cut off below
    scores = []
    for batch, (starts, ends) in training.predict(model, batches, "Answering"):
        lengths = batch["attention_mask"].sum(1).tolist()
        for start, end, length in zip(starts.tolist(), ends.tolist(), lengths, strict=True):
            scores.append(Scores(start[:length], end[:length]))
    options = AnswerOptions(
        n_best_size=args.n_best_size,
        max_answer_length=args.max_answer_length,
        do_lower_case=args.do_lower_case,
        verbose_logging=args.verbose_logging,
        with_negative=args.version_2_with_negative,
        null_score_diff_threshold=args.null_score_diff_threshold,
    )
    return choose_answers(examples, windows, scores, tokenizer, options)


def print_metrics(path: Path, predictions: Predictions) -> None:
    """Print the official metrics, unless the file has no answers to compare with."""
    questions = read_questions(path)
    unknown = [question for question in questions if question.answers is None]
    if unknown:
        logger.info(
            "%s: %d of %d questions have no `answers`: no metrics.",
            path,
            len(unknown),
            len(questions),
        )
        return
    metrics = squad_evaluate.evaluate(
        questions, predictions.answers, predictions.null_odds or None, predictions.nbest
    )
    print(json.dumps(metrics, indent=2))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    if args.do_train and args.do_predict:
        # A mistake in the file is better known before the training than after it.
        read_examples(args.predict_file, training=False, with_negative=args.version_2_with_negative)
    model, tokenizer = load(args)
    if args.do_train:
        train(args, model, tokenizer)
        training.save(model, tokenizer, args, args.output_dir)
    if args.do_predict:
        predictions = predict(args, model, tokenizer)
        if processes.is_first():
            predictions.write(args.output_dir)
            print_metrics(args.predict_file, predictions)
    training.finish(args, trained=args.do_train)


if __name__ == "__main__":
    main()
