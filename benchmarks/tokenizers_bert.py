"""BERT tokenizers side by side on one thread, then batches on more, then loading.

All libraries tokenize the same lines in the same run, taking turns; medians count.

    python benchmarks/tokenizers_bert.py ../shared/data --output results.json

Compared where they are installed: pytorch-pretrained-bert, tokenizers and flash-tokenizer.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from ptbert.tokenization import BertTokenizer

LANGUAGES = {
    "Chinese": "cmn_hans",
    "Japanese": "jpn",
    "Hindi": "hin",
    "Arabic": "arb",
    "Russian": "rus",
    "Korean": "kor",
    "German": "deu_1996",
}
Encode = Callable[[str], Any]

LOADING = """
import sys, time, resource
from ptbert.tokenization import BertTokenizer
def memory():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
before, start = memory(), time.perf_counter()
tokenizer = BertTokenizer(sys.argv[1])
loaded, after = time.perf_counter() - start, memory()
tokenizer.vocab, tokenizer.ids_to_tokens
print(loaded * 1e3, (after - before) / 1e6, (memory() - before) / 1e6)
"""


def corpora(data: Path) -> dict[str, list[str]]:
    """Lines of some 0.5 MB and more in each kind of text."""

    def lines(file: Path) -> list[str]:
        return file.read_text(encoding="utf-8").splitlines()

    texts = {"English": lines(data / "lm" / "wikitext-2" / "valid.txt")}
    for name, code in LANGUAGES.items():
        texts[name] = lines(data / "text" / "udhr" / f"{code}.txt") * 10
    emoji = lines(data / "text" / "unicode-15.0" / "emoji-test.txt")
    texts["emoji"] = [line.partition("# ")[2] for line in emoji if "; fully-qualified" in line] * 4
    return texts


def encoders(vocab_file: Path) -> dict[str, Encode]:
    """What turns a line into ids (or tokens), by library."""
    ours = BertTokenizer(vocab_file)
    found: dict[str, Encode] = {"ptbert encode": ours.encode, "ptbert tokenize": ours.tokenize}

    def present(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError:
            return None

    if flash := present("flash_tokenizer"):
        tokenizer = flash.BertTokenizerFlash(str(vocab_file), True, model_max_length=1 << 20)
        inner = tokenizer.tokenizer
        found["flash_tokenizer encode"] = lambda text: inner.encode(text, "longest", 1 << 20)
        found["flash_tokenizer tokenize"] = tokenizer.tokenize
    if tokenizers := present("tokenizers"):
        fast = tokenizers.BertWordPieceTokenizer(str(vocab_file), lowercase=True)
        found["tokenizers"] = lambda text: fast.encode(text, add_special_tokens=False).ids
    if original := present("pytorch_pretrained_bert.tokenization"):
        slow = original.BertTokenizer(str(vocab_file))
        found["pytorch_pretrained_bert"] = lambda text: slow.convert_tokens_to_ids(
            slow.tokenize(text)
        )
    return found


def speeds(lines: list[str], by_name: dict[str, Encode], repeats: int) -> dict[str, float]:
    """MB/s of each, the median of `repeats` turns."""
    seconds: dict[str, list[float]] = {name: [] for name in by_name}
    for _ in range(repeats):
        for name, encode in by_name.items():
            start = time.perf_counter()
            for line in lines:
                encode(line)
            seconds[name].append(time.perf_counter() - start)
    size = sum(len(line.encode()) for line in lines)
    return {name: round(size / median(times) / 1e6, 2) for name, times in seconds.items()}


def loading(vocab_file: Path, repeats: int) -> dict[str, float]:
    """Milliseconds and MB that loading takes, in processes of their own."""
    rows = []
    for _ in range(repeats):
        command = [sys.executable, "-c", LOADING, str(vocab_file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append([float(value) for value in done.stdout.split()])
    names = ("milliseconds", "MB", "MB with vocab and ids_to_tokens")
    return {n: round(median(c), 1) for n, c in zip(names, zip(*rows, strict=True), strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with vocab/, lm/ and text/")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a JSON file for the results")
    arguments = parser.parse_args()
    vocab_file = arguments.data / "vocab" / "bert-base-uncased-vocab.txt"

    by_name = encoders(vocab_file)
    texts = corpora(arguments.data)
    results: dict[str, Any] = {
        "unit": "MB/s, one thread, bert-base-uncased",
        "machine": {"system": platform.machine(), "processors": os.cpu_count()},
        "speed": {},
    }
    for kind, lines in texts.items():
        results["speed"][kind] = row = speeds(lines, by_name, arguments.repeats)
        print(f"{kind:<10}", "  ".join(f"{name} {speed}" for name, speed in row.items()))

    tokenizer = BertTokenizer(vocab_file)
    # One call for all lines.
    for threads in (1, 2):
        size = sum(len(line.encode()) for line in texts["English"])
        times = []
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            tokenizer.encode_batch(texts["English"], num_threads=threads)
            times.append(time.perf_counter() - start)
        results[f"encode_batch, {threads} threads"] = speed = round(size / median(times) / 1e6, 2)
        print(f"encode_batch, {threads} threads: {speed} MB/s")
    results["loading"] = loading(vocab_file, arguments.repeats)
    print("loading", results["loading"])
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
