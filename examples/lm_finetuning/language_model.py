"""What both scripts that fine-tune a language model share: their model, and its end."""

from __future__ import annotations

import argparse
import logging

import examples_folder  # noqa: F401

# isort: split
import training
from ptbert import BertForPreTraining, BertTokenizer
from ptbert.training import TrainingLog, processes

logger = logging.getLogger(__name__)


def load(args: argparse.Namespace) -> tuple[BertForPreTraining, BertTokenizer]:
    """The pretrained model with both heads, and its tokenizer."""
    training.seed_everything(args.seed)
    tokenizer = BertTokenizer.from_pretrained(
        args.bert_model, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    model = BertForPreTraining.from_pretrained(args.bert_model, cache_dir=args.cache_dir)
    return model.to(training.select_device(args)), tokenizer


def save(
    args: argparse.Namespace,
    model: BertForPreTraining,
    tokenizer: BertTokenizer,
    log: TrainingLog,
) -> None:
    """Write the model folder, tell the loss, and end the script."""
    training.save(model, tokenizer, args, args.output_dir)
    if processes.is_first():
        logger.info("Mean loss of the last epoch: %.4f", log.mean_loss)
    training.finish(args, trained=True)
