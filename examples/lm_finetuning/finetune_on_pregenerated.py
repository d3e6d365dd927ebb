"""Fine-tune BERT's language model on the examples that pregenerate_training_data.py has made."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import examples_folder  # noqa: F401

# isort: split
import arguments
import language_model
import training
from inputs import stream_lines
from pretraining_rows import Array, RowBatches, batch_loss, row_type
from ptbert import BertForPreTraining, BertTokenizer
from ptbert.training import TrainingLog, fit, track


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--pregenerated_data", required=True, type=Path, help="folder with epoch_N.json")
    add("--bert_model", required=True, help="shortcut name, folder or archive of a pretrained BERT")
    add("--do_lower_case", action="store_true", help="as the examples were made")
    add("--reduce_memory", action="store_true", help="keep the examples on the disk")
    arguments.add_training_arguments(parser, learning_rate=3e-5)
    add("--epochs", dest="num_train_epochs", type=float, help="the same as --num_train_epochs")
    return parser.parse_args(argv)


def find_epochs(folder: Path) -> list[tuple[Path, int, int]]:
    """The files of the epochs that are there, with their numbers of examples and of tokens.

    Raises:
        FileNotFoundError: The first epoch is missing.
        ValueError: The examples of the epochs are of different lengths.
    """
    found: list[tuple[Path, int, int]] = []
    while (path := folder / f"epoch_{len(found)}.json").is_file():
        metrics_path = arguments.require_file(
            folder / f"epoch_{len(found)}_metrics.json", "--pregenerated_data"
        )
        metrics = json.loads(metrics_path.read_text(encoding="utf-8"))
        found.append((path, metrics["num_training_examples"], metrics["max_seq_len"]))
    if not found:
        raise FileNotFoundError(f"`--pregenerated_data`: there is no file {path}.")
    lengths = sorted({length for _, _, length in found})
    if len(lengths) > 1:
        raise ValueError(
            f"The epochs in {folder} must have examples of one length, but have {lengths}."
        )
    return found


def fill(table: Array, path: Path, tokenizer: BertTokenizer) -> None:
    """Read the examples of an epoch into the rows of a table; an error names the line."""
    most = table["ids"].shape[1]
    with path.open("rb") as file:
        count = sum(1 for _ in file)
        if count != len(table):
            raise ValueError(
                f"{path} must have {len(table)} examples, as its metrics say, but has {count}."
            )
        file.seek(0)
        lines = stream_lines(file, path)
        rows = track(table, desc=f"Reading {path.name}", unit="example")
        for number, (row, (line, _)) in enumerate(zip(rows, lines, strict=True), start=1):
            example: dict[str, Any] = json.loads(line)
            if len(example["tokens"]) > most:
                raise ValueError(
                    f"{path}, line {number}: an example must have at most {most} tokens, but has "
                    f"{len(example['tokens'])}."
                )
            set_row(row, example, tokenizer)


def set_row(row: Array, example: dict[str, Any], tokenizer: BertTokenizer) -> None:
    """Write an example into a row of a table."""
    tokens, segments = example["tokens"], example["segment_ids"]
    positions = example["masked_lm_positions"]
    row["length"], row["predictions"] = len(tokens), len(positions)
    row["second"] = segments.index(1) if 1 in segments else len(tokens)
    row["is_random_next"] = example["is_random_next"]
    row["ids"][: len(tokens)] = tokenizer.convert_tokens_to_ids(tokens)
    row["positions"][: len(positions)] = positions
    labels = tokenizer.convert_tokens_to_ids(example["masked_lm_labels"])
    row["labels"][: len(positions)] = labels


@contextlib.contextmanager
def open_tables(args: argparse.Namespace, tokenizer: BertTokenizer) -> Iterator[list[Array]]:
    """The examples of each epoch, in memory or on the disk for as long as they are used."""
    with tempfile.TemporaryDirectory(dir=args.output_dir, prefix="examples-") as folder:
        tables: list[Array] = []
        for path, count, length in find_epochs(args.pregenerated_data):
            # No example has more predictions than tokens.
            dtype = row_type(length, length)
            file = Path(folder) / f"{len(tables)}.npy"
            tables.append(
                np.lib.format.open_memmap(file, "w+", dtype, (count,))
                if args.reduce_memory
                else np.zeros(count, dtype)
            )
            fill(tables[-1], path, tokenizer)
        yield tables


def train(args: argparse.Namespace, model: BertForPreTraining, tables: list[Array]) -> TrainingLog:
    """Fine-tune the model in place; each epoch sees the examples that were made for it."""
    batches = RowBatches(tables, training.batch_size(args), args.seed, epochs_apart=True)
    training.seed_training(args.seed)
    loss = functools.partial(batch_loss, shard=args.shard)
    return fit(model, batches, loss, training.options_from(args))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script."""
    args = parse_arguments(argv)
    training.start(args)
    arguments.check_arguments(args)
    _, _, length = find_epochs(args.pregenerated_data)[0]
    arguments.prepare_output_dir(
        args.output_dir, training=True, overwrite=args.overwrite_output_dir or args.resume
    )
    model, tokenizer = language_model.load(args)
    arguments.check_length(length, model, least=5, flag="max_seq_len of --pregenerated_data")
    with open_tables(args, tokenizer) as tables:
        log = train(args, model, tables)
    language_model.save(args, model, tokenizer, log)


if __name__ == "__main__":
    main()
