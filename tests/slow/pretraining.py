"""BERT learns from nothing on WikiText: ten minutes on two cores, and 30 steps beside 0.6.2.

python tests/slow/pretraining.py DATA [--minutes 10] [--folder FOLDER]

DATA is that of PTBERT_TEST_DATA. A vocabulary of 8,000 pieces is learned from WikiText, and a model
of 4 layers of 256 on examples of 128 tokens. The loss of the masked tokens of held-out documents
must end below 6.0 and below their unigram entropy, and still be falling; and the first 30 losses
must be those of pytorch-pretrained-bert 0.6.2's model and optimizer, within 1e-4.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import create_pretraining_data
import pretraining_rows
import ptbert
import run_pretraining
from pretraining_rows import RowBatches
from ptbert import cli

FILES = ("wikitext-103/test.txt", "wikitext-2/valid.txt")
SIZES = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "max_position_embeddings": 128,
}
BATCH, STEPS_BESIDE, SEED = 32, 30, 42


def write_text(data: Path, train: Path, held_out: Path) -> None:
    """WikiText with a sentence per line: each article is a document, every tenth is held out."""
    articles: list[list[str]] = []
    for name in FILES:
        for line in (data / "lm" / name).read_text(encoding="utf-8").split("\n"):
            text = line.strip().replace(" @-@ ", "-").replace(" @,@ ", ",").replace(" @.@ ", ".")
            if text.startswith("= ") and not text.startswith("= = "):
                articles.append([])
            if text and not text.startswith("=") and articles:
                articles[-1] += [part for part in text.replace(" . ", " .\n").split("\n") if part]
    for path, chosen in (
        (train, [a for n, a in enumerate(articles) if n % 10]),
        (held_out, articles[::10]),
    ):
        path.write_text("\n\n".join("\n".join(article) for article in chosen), encoding="utf-8")


def make_data(data: Path, folder: Path) -> None:
    """Vocabulary and examples."""
    write_text(data, folder / "train.txt", folder / "held_out.txt")
    train = str(folder / "train.txt")
    cli.main(["train-vocab", "--type", "wordpiece", "--size", "8000", "-o", str(folder), train])
    for name, copies in (("train", "10"), ("held_out", "1")):
        start = ["--train_corpus", str(folder / f"{name}.txt"), "--vocab", str(folder)]
        start += ["--output_dir", str(folder / name), "--do_lower_case", "--dupe_factor", copies]
        create_pretraining_data.main([*start, "--num_workers", str(os.cpu_count())])


def entropy_of_labels(folder: Path) -> float:
    """The unigram entropy of the masked tokens of held-out text, in nats."""
    labels = np.concatenate(
        [
            table["labels"][np.arange(table["labels"].shape[1]) < table["predictions"][:, None]]
            for table in pretraining_rows.open_shards([folder / "held_out"])
        ]
    )
    _, counts = np.unique(labels, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def first_losses(name: str, folder: Path, state: dict[str, Any]) -> list[float]:
    """The losses of the first steps, without dropout, of one of the libraries."""
    library: Any = importlib.import_module(name)
    config = library.BertConfig(
        8000, **SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    model = library.BertForPreTraining(config)
    model.load_state_dict(state)
    model.train()
    optimizer = library.BertAdam(model.parameters(), lr=1e-4, warmup=0.1, t_total=100)
    tables = pretraining_rows.open_shards([folder / "train"])
    losses = []
    batches = RowBatches(tables, BATCH, SEED).of_epoch(0)
    for batch in itertools.islice(batches, STEPS_BESIDE):
        loss = pretraining_rows.whole_loss(model, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def pretrain(folder: Path, minutes: float) -> None:
    """As many steps as the minutes hold, after a look at how long one takes."""
    flags = ["--train_data", str(folder / "train"), "--eval_data", str(folder / "held_out")]
    flags += ["--vocab", str(folder), "--do_lower_case", "--learning_rate", "1e-3"]
    flags += ["--train_batch_size", str(BATCH), "--save_steps", "0"]
    flags += [part for name, size in SIZES.items() for part in (f"--{name}", str(size))]
    begin = time.perf_counter()
    trial = ["--num_train_steps", "20", "--eval_every", "0"]
    run_pretraining.main([*flags, "--output_dir", str(folder / "trial"), *trial])
    seconds = (time.perf_counter() - begin) / 20
    steps = int(60 * minutes / seconds)
    run = ["--num_train_steps", str(steps), "--eval_every", str(max(steps // 8, 1))]
    run_pretraining.main([*flags, "--output_dir", str(folder / "model"), *run])


def main() -> None:
    """Run everything and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        make_data(args.data, folder)
        state = ptbert.BertForPreTraining(ptbert.BertConfig(8000, **SIZES)).state_dict()
        ours = first_losses("ptbert", folder, state)
        theirs = first_losses("pytorch_pretrained_bert", folder, state)
        worst = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        print(f"{STEPS_BESIDE} steps beside 0.6.2: losses differ by at most {worst:.2e}")
        pretrain(folder, args.minutes)
        entropy = entropy_of_labels(folder)
        with (folder / "model" / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["metric"] == "masked_lm_loss"]
        losses = [float(row["value"]) for row in rows]
        for row in rows:
            print(f"step {row['step']}: loss of masked tokens {float(row['value']):.3f}")
        print(f"unigram entropy of the masked tokens: {entropy:.3f}")
    good = worst < 1e-4 and losses[-1] < min(6.0, entropy) and losses[-1] < losses[-2]
    print("passed" if good else "failed")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
