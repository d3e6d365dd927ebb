"""Evaluate a Transformer-XL: loss and perplexity on a corpus, read as one text with memory."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

import arguments
import training
from ptbert import TransfoXLCorpus, TransfoXLLMHeadModel, TransfoXLTokenizer
from ptbert.training import track

SPLITS = {"all": ("valid", "test"), "valid": ("valid",), "test": ("test",)}
DATASETS = ("wt103", "wt2", "ptb", "enwik8", "text8", "lm1b")
# Corpora whose symbols are characters; their figure is bits per character.
OF_CHARACTERS = ("enwik8", "text8")

logger = logging.getLogger(__name__)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model_name", default="transfo-xl-wt103", help="name, folder or archive of a model")
    add("--cache_dir", help="folder for downloaded models")
    add("--data_dir", type=Path, help="folder with valid.txt and test.txt; without it the corpus")
    add("--dataset", default="wt103", choices=DATASETS, help="the rules by which it is read")
    add("--split", default="test", choices=tuple(SPLITS), help="what to evaluate on")
    add("--batch_size", type=int, default=10, help="parts of the text that are read side by side")
    add("--tgt_len", type=int, default=128, help="tokens of a segment")
    add("--ext_len", type=int, default=0, help="tokens by which memory ends earlier")
    add("--mem_len", type=int, default=1600, help="tokens that memory holds")
    add("--clamp_len", type=int, default=1000, help="distances beyond this one count as this one")
    add("--same_length", action="store_true", help="every token attends to equally many")
    add("--work_dir", type=Path, help="folder for eval_results.txt")
    add("--no_log", action="store_true", help="do not write eval_results.txt")
    arguments.add_device_arguments(parser)
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments before anything is loaded."""
    arguments.check_one_process()
    arguments.check_batch_sizes(args)
    for split in SPLITS[args.split] if args.data_dir else ():
        arguments.require_file(args.data_dir / f"{split}.txt", "--data_dir")


def load_corpus(args: argparse.Namespace) -> TransfoXLCorpus:
    """The corpus that comes with the model, or files in its vocabulary."""
    if args.data_dir is None:
        return TransfoXLCorpus.from_pretrained(args.model_name, args.cache_dir)
    corpus = TransfoXLCorpus()
    corpus.vocab = TransfoXLTokenizer.from_pretrained(args.model_name, args.cache_dir)
    for split in SPLITS[args.split]:
        corpus.encode_split(args.data_dir, args.dataset, split)
    return corpus


def load_model(args: argparse.Namespace) -> TransfoXLLMHeadModel:
    """The model, with the lengths of the arguments."""
    model = TransfoXLLMHeadModel.from_pretrained(args.model_name, cache_dir=args.cache_dir)
    model.reset_length(args.tgt_len, args.ext_len, args.mem_len)
    model.transformer.clamp_len = args.clamp_len
    model.transformer.same_length = args.same_length
    model.transformer.cache_memory = True
    return model.to(training.select_device(args)).eval()


@torch.no_grad()
def evaluate(model: TransfoXLLMHeadModel, batches: Iterable[Any], desc: str) -> float:
    """The mean loss of a token; each segment goes on from the memory of the one before."""
    total, count = 0.0, 0
    mems = None
    for input_ids, target, seq_len in track(batches, desc=desc, unit="segment"):
        loss, mems = model(input_ids, target=target, mems=mems)
        total += seq_len * float(loss.mean())
        count += seq_len
    if count == 0:
        raise ValueError(f"`--batch_size` parts of {desc} must have two tokens each, but have one.")
    return total / count


def report(split: str, loss: float, dataset: str) -> dict[str, float | None]:
    """Print a loss and what it stands for; returns the results."""
    results: dict[str, float | None] = {f"{split}_loss": loss}
    if dataset in OF_CHARACTERS:
        results[f"{split}_bpc"] = loss / math.log(2)
        print(f"| {split} loss {loss:5.2f} | {split} bpc {loss / math.log(2):9.5f}")
    else:
        results[f"{split}_perplexity"] = math.exp(loss)
        print(f"| {split} loss {loss:5.2f} | {split} ppl {math.exp(loss):9.3f}")
    return results


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    check_arguments(args)
    model = load_model(args)
    corpus = load_corpus(args)
    device = next(model.parameters()).device
    results: dict[str, float | None] = {}
    for split in SPLITS[args.split]:
        start = time.perf_counter()
        batches = corpus.get_iterator(
            split, args.batch_size, args.tgt_len, device=device, ext_len=args.ext_len
        )
        loss = evaluate(model, batches, split)
        logger.info("%s: %.1f s", split, time.perf_counter() - start)
        results |= report(split, loss, corpus.dataset or args.dataset)
    if args.work_dir is not None and not args.no_log:
        args.work_dir.mkdir(parents=True, exist_ok=True)
        training.write_results(args.work_dir, results)


if __name__ == "__main__":
    main()
