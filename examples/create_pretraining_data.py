"""Make the examples of BERT's pre-training from text files; run_pretraining.py reads them."""

from __future__ import annotations

import argparse
import functools
import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import arguments
import pretraining_instances
import pretraining_rows
from pretraining_corpus import Corpus, read_corpus
from pretraining_instances import TaskOptions, Vocabulary
from ptbert import BertTokenizer

logger = logging.getLogger(__name__)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_corpus", required=True, type=Path, nargs="+", help="text, a sentence per line")
    add("--output_dir", required=True, type=Path, help="folder for shard-*.npy")
    add("--vocab", required=True, help="vocab.txt, or name, folder or archive of a model")
    add("--cache_dir", help="folder for downloaded models")
    add("--do_lower_case", action="store_true", help="for an uncased vocabulary")
    add("--reduce_memory", action="store_true", help="keep the tokenized text on the disk")
    add("--dupe_factor", type=int, default=10, help="passes over the text, each masked anew")
    add("--rows_per_shard", type=int, default=100_000, help="most examples in a file")
    arguments.add_pretraining_task_arguments(parser)
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse wrong arguments and missing files before the first long step."""
    for path in args.train_corpus:
        arguments.require_file(path, "--train_corpus")
    for flag in ("dupe_factor", "rows_per_shard"):
        if getattr(args, flag) < 1:
            raise ValueError(f"`--{flag}` ({getattr(args, flag)}) must be at least 1.")
    if args.output_dir.is_dir() and any(args.output_dir.glob("shard-*.npy")):
        raise ValueError(f"`--output_dir` ({args.output_dir}) has shards already; give another.")


def rows(
    args: argparse.Namespace, options: TaskOptions, corpus: Corpus, tokenizer: BertTokenizer
) -> Iterator[Any]:
    """The examples of all passes over the text."""
    dtype = pretraining_rows.row_type(options.max_seq_len, options.max_predictions_per_seq)
    for epoch in range(args.dupe_factor):
        yield from pretraining_instances.render_instances(
            corpus,
            Vocabulary.of(tokenizer),
            options,
            functools.partial(pretraining_rows.to_row, dtype=dtype),
            seed=args.seed,
            epoch=epoch,
            num_workers=args.num_workers,
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    args = parse_arguments(argv)
    options = arguments.pretraining_task(args)
    check_arguments(args)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer.from_pretrained(
        args.vocab, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    corpus = read_corpus(
        args.train_corpus, tokenizer, args.output_dir if args.reduce_memory else None
    )
    made = rows(args, options, corpus, tokenizer)
    dtype = pretraining_rows.row_type(options.max_seq_len, options.max_predictions_per_seq)
    total = 0
    for number in itertools.count():
        path = args.output_dir / pretraining_rows.SHARD_NAME.format(number)
        count = pretraining_rows.write_rows(path, made, dtype, args.rows_per_shard)
        total += count
        if count < args.rows_per_shard:
            break
    logger.info("%d examples in %s.", total, args.output_dir)


if __name__ == "__main__":
    main()
