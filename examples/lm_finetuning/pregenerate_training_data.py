"""Make the examples of several epochs of BERT's pre-training task from a text."""

from __future__ import annotations

import argparse
import functools
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import examples_folder  # noqa: F401

# isort: split
import arguments
import pretraining_corpus
import pretraining_instances
from pretraining_instances import Instance, TaskOptions, Vocabulary
from ptbert import BertTokenizer


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--train_corpus", required=True, type=Path, help="text, a sentence per line; see README")
    add("--output_dir", required=True, type=Path, help="folder for epoch_N.json")
    add("--bert_model", required=True, help="shortcut name, folder or archive: the vocabulary")
    add("--cache_dir", help="folder for downloaded models")
    add("--do_lower_case", action="store_true", help="give this for an uncased model")
    add("--reduce_memory", action="store_true", help="keep the tokenized text on the disk")
    add("--epochs_to_generate", type=int, default=3, help="passes over the text, each different")
    arguments.add_pretraining_task_arguments(parser)
    return parser.parse_args(argv)


def as_json(instance: Instance, tokens: Sequence[str]) -> str:
    """The line of an example, as the scripts of 2019 read it."""
    length = len(instance.ids)
    return json.dumps(
        {
            "tokens": [tokens[index] for index in instance.ids.tolist()],
            "segment_ids": [0] * instance.second + [1] * (length - instance.second),
            "is_random_next": instance.is_random_next,
            "masked_lm_positions": instance.positions.tolist(),
            "masked_lm_labels": [tokens[index] for index in instance.labels.tolist()],
        }
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    args = parse_arguments(argv)
    options = arguments.pretraining_task(args)
    arguments.require_file(args.train_corpus, "--train_corpus")
    if args.epochs_to_generate < 1:
        raise ValueError(f"`--epochs_to_generate` ({args.epochs_to_generate}) must be at least 1.")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer.from_pretrained(
        args.bert_model, cache_dir=args.cache_dir, do_lower_case=args.do_lower_case
    )
    folder = args.output_dir if args.reduce_memory else None
    corpus = pretraining_corpus.read_corpus([args.train_corpus], tokenizer, folder)
    write_epochs(args, options, corpus, tokenizer)


def write_epochs(
    args: argparse.Namespace,
    options: TaskOptions,
    corpus: pretraining_corpus.Corpus,
    tokenizer: BertTokenizer,
) -> None:
    """Write epoch_N.json and epoch_N_metrics.json for each epoch."""
    render = functools.partial(as_json, tokens=list(tokenizer.vocab))
    for epoch in range(args.epochs_to_generate):
        count = 0
        path = args.output_dir / f"epoch_{epoch}.json"
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("w", encoding="utf-8") as file:
            for line in pretraining_instances.render_instances(
                corpus,
                Vocabulary.of(tokenizer),
                options,
                render,
                seed=args.seed,
                epoch=epoch,
                num_workers=args.num_workers,
            ):
                file.write(line + "\n")
                count += 1
        unfinished.replace(path)
        metrics = {"num_training_examples": count, "max_seq_len": options.max_seq_len}
        (args.output_dir / f"epoch_{epoch}_metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
