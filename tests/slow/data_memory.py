"""Memory that the scripts need for a text that does not fit into it: 20 MB of text beside 100 MB.

python tests/slow/data_memory.py [--megabytes 20 100]

Making the examples of BERT's pre-training, and reading all of them once as the training scripts do,
each in a process of its own on either text. What counts is the most private memory (RssAnon), as
mapped files only stay in memory while nobody else needs it. With --reduce_memory it must grow by
less than 0.1 bytes for each byte of text.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "lm_finetuning"))

import create_pretraining_data
import finetune_on_pregenerated
import pregenerate_training_data
import pretraining_rows
from pretraining_rows import RowBatches
from ptbert import BertTokenizer

MOST_GROWTH = 0.1
"""Bytes of memory for each byte of text."""
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS, WORDS_IN_SENTENCE, SENTENCES_IN_DOCUMENT = 8000, 16, 20


def write_vocabulary(path: Path) -> list[str]:
    """Random words of 2 to 9 letters."""
    draw = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = {"".join(draw.choice(letters, draw.integers(2, 10))) for _ in range(WORDS)}
    path.write_text("\n".join([*SPECIAL, *sorted(words)]) + "\n", encoding="utf-8")
    return sorted(words)


def write_text(path: Path, words: list[str], megabytes: int) -> None:
    """Documents of random sentences."""
    draw = np.random.default_rng(2)
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 1e6:
            shape = SENTENCES_IN_DOCUMENT, WORDS_IN_SENTENCE
            rows = draw.integers(len(words), size=shape).tolist()
            file.write("".join(" ".join(words[n] for n in row) + "\n" for row in rows) + "\n")


def create(folder: Path, *flags: str) -> None:
    """The examples of run_pretraining.py."""
    start = ["--train_corpus", str(folder / "text.txt"), "--output_dir", str(folder / "shards")]
    start += ["--vocab", str(folder.parent / "vocab.txt"), "--dupe_factor", "1"]
    create_pretraining_data.main([*start, "--rows_per_shard", "10000", *flags])


def pregenerate(folder: Path, *flags: str) -> None:
    """The examples of finetune_on_pregenerated.py."""
    start = ["--train_corpus", str(folder / "text.txt"), "--output_dir", str(folder / "json")]
    start += ["--bert_model", str(folder.parent), "--epochs_to_generate", "1"]
    pregenerate_training_data.main([*start, *flags])


def read_shards(folder: Path) -> None:
    """One epoch of run_pretraining.py, without a model."""
    for _ in RowBatches(pretraining_rows.open_shards([folder / "shards"]), 32, 42).of_epoch(0):
        pass


def read_json(folder: Path, *flags: str) -> None:
    """One epoch of finetune_on_pregenerated.py, without a model."""
    start = ["--pregenerated_data", str(folder / "json"), "--output_dir", str(folder)]
    args = finetune_on_pregenerated.parse_arguments([*start, "--bert_model", "", *flags])
    tokenizer = BertTokenizer.from_pretrained(folder.parent)
    with finetune_on_pregenerated.open_tables(args, tokenizer) as tables:
        for _ in RowBatches(tables, 32, 42, epochs_apart=True).of_epoch(0):
            pass


REDUCED = "--reduce_memory"
STEPS: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    f"create_pretraining_data {REDUCED}": (create, (REDUCED,)),
    "run_pretraining reads": (read_shards, ()),
    f"pregenerate_training_data {REDUCED}": (pregenerate, (REDUCED,)),
    f"finetune_on_pregenerated {REDUCED} reads": (read_json, (REDUCED,)),
}


def most_memory(step: Callable[..., None], folder: Path, flags: tuple[str, ...]) -> float:
    """The most private memory of a process that does a step, in MB."""
    process = multiprocessing.get_context("spawn").Process(target=step, args=(folder, *flags))
    process.start()
    most = 0
    while process.is_alive():
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                most = max(most, int(line.split()[1]))
        time.sleep(0.005)
    if process.exitcode:
        sys.exit(f"failed: {step.__name__} of {folder.name}")
    return most * 1024 / 1e6


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, nargs=2, default=[20, 100])
    sizes = parser.parse_args().megabytes
    good = True
    with tempfile.TemporaryDirectory() as name:
        words = write_vocabulary(Path(name, "vocab.txt"))
        folders = [Path(name, f"{size} MB") for size in sizes]
        for folder, size in zip(folders, sizes, strict=True):
            folder.mkdir()
            write_text(folder / "text.txt", words, size)
        for step, (function, flags) in STEPS.items():
            small, large = (most_memory(function, folder, flags) for folder in folders)
            growth = (large - small) / (sizes[1] - sizes[0])
            good &= growth < MOST_GROWTH
            print(
                f"{step}: {small:.0f} MB for {sizes[0]} MB of text, {large:.0f} MB for "
                f"{sizes[1]} MB: {growth:.3f} bytes for each byte",
                flush=True,
            )
    print("passed" if good else "failed")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
