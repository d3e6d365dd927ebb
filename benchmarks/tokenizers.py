"""The tokenizers beside those of other libraries, all in one run.

    python benchmarks/tokenizers.py DATA --output benchmarks/results/tokenizers.json

On one thread every library encodes the same lines, call by call; they take turns, and the median
counts. Then all lines in one call on 1, 2, ... threads, beside a hash, whose speeds show what more
threads give on the machine; and loading. Compared where installed
(`pip install --group bench`): pytorch-pretrained-bert, tokenizers, flash-tokenizer, tiktoken.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

# In the place of this folder, whose tokenizers.py would hide the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests" / "python")
sys.modules["ftfy"] = None  # type: ignore[assignment]  # BasicTokenizer makes the words of GPT

import bpe_reference  # noqa: E402
import ptbert  # noqa: E402

LANGUAGES = {
    "Chinese": "cmn_hans",
    "Japanese": "jpn",
    "Hindi": "hin",
    "Arabic": "arb",
    "Russian": "rus",
    "Korean": "kor",
    "German": "deu_1996",
}
LONG = 1 << 20  # no limit on the tokens of a line
Encode = Callable[[str], Any]

LOADING = """
import resource, sys, time
sys.modules["ftfy"] = None
import ptbert
def memory():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
before, start = memory(), time.perf_counter()
tokenizer = getattr(ptbert, sys.argv[1])(*sys.argv[2:])
print((time.perf_counter() - start) * 1e3, (memory() - before) / 1e6)
"""


def corpora(data: Path) -> dict[str, list[str]]:
    """Lines of 0.5 MB and more in each kind of text; texts that are shorter are repeated."""

    def lines(file: Path) -> list[str]:
        return file.read_text(encoding="utf-8").splitlines()

    texts = {"English": lines(data / "lm" / "wikitext-2" / "valid.txt")}
    for name, code in LANGUAGES.items():
        texts[name] = lines(data / "text" / "udhr" / f"{code}.txt")
    emoji = lines(data / "text" / "unicode-15.0" / "emoji-test.txt")
    texts["emoji"] = [line.partition("# ")[2] for line in emoji if "; fully-qualified" in line]
    return {name: some * math.ceil(0.5 / megabytes(some)) for name, some in texts.items()}


def megabytes(lines: list[str]) -> float:
    return sum(len(line.encode()) for line in lines) / 1e6


def installed(name: str) -> Any:
    """A package, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def files_of(data: Path) -> dict[str, list[str]]:
    """The arguments that each of our classes is loaded with."""
    vocab = data / "vocab"
    gpt2, gpt = vocab / "gpt2", vocab / "openai-gpt"
    return {
        "BertTokenizer": [str(vocab / "bert-base-uncased-vocab.txt")],
        "GPT2Tokenizer": [str(gpt2 / "encoder.json"), str(gpt2 / "vocab.bpe")],
        "OpenAIGPTTokenizer": [str(gpt / "encoder_bpe_40000.json"), str(gpt / "vocab_40000.bpe")],
    }


def bert_encoders(files: list[str]) -> dict[str, Encode]:
    ours = ptbert.BertTokenizer(*files)
    found: dict[str, Encode] = {"ptbert encode": ours.encode, "ptbert tokenize": ours.tokenize}
    if flash := installed("flash_tokenizer"):
        tokenizer = flash.BertTokenizerFlash(*files, True, model_max_length=LONG)
        inner = tokenizer.tokenizer
        found["flash_tokenizer encode"] = lambda text: inner.encode(text, "longest", LONG)
        found["flash_tokenizer tokenize"] = tokenizer.tokenize
    if tokenizers := installed("tokenizers"):
        fast = tokenizers.BertWordPieceTokenizer(*files, lowercase=True)
        found["tokenizers"] = lambda text: fast.encode(text, add_special_tokens=False).ids
    if original := installed("pytorch_pretrained_bert.tokenization"):
        slow = original.BertTokenizer(*files)
        found["0.6.2"] = lambda text: slow.convert_tokens_to_ids(slow.tokenize(text))
    return found


def gpt2_encoders(files: list[str]) -> dict[str, Encode]:
    ours = ptbert.GPT2Tokenizer(*files)
    found: dict[str, Encode] = {"ptbert encode": ours.encode, "ptbert tokenize": ours.tokenize}
    if installed("tiktoken"):
        tables = ptbert.GPT2Tokenizer(*files)
        tiktoken = bpe_reference.tiktoken_encoding(dict(tables.encoder), dict(tables.bpe_ranks))
        found["tiktoken"] = tiktoken.encode_ordinary
    if tokenizers := installed("tokenizers"):
        fast = tokenizers.ByteLevelBPETokenizer(*files)
        found["tokenizers"] = lambda text: fast.encode(text).ids
    return found  # 0.6.2 raises KeyError on most text: it takes characters for bytes


def openai_gpt_encoders(files: list[str]) -> dict[str, Encode]:
    ours = ptbert.OpenAIGPTTokenizer(*files)
    found: dict[str, Encode] = {"ptbert encode": ours.encode, "ptbert tokenize": ours.tokenize}
    if original := installed("pytorch_pretrained_bert.tokenization_openai"):
        found["0.6.2"] = original.OpenAIGPTTokenizer(*files).encode
    return found


ENCODERS: dict[str, Callable[[list[str]], dict[str, Encode]]] = {
    "BertTokenizer": bert_encoders,
    "GPT2Tokenizer": gpt2_encoders,
    "OpenAIGPTTokenizer": openai_gpt_encoders,
}


def speeds(calls: dict[str, Callable[[], Any]], size: float, repeats: int) -> dict[str, float]:
    """MB/s of each call, the median of `repeats` turns.

    In each turn they come in another order: the first after a slow library finds cold caches.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for _ in range(repeats):
        for name in order.sample(list(calls), len(calls)):
            start = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: round(size / median(taken), 2) for name, taken in seconds.items()}


def line_by_line(encode: Encode, lines: list[str]) -> Callable[[], Any]:
    def call() -> None:
        for line in lines:
            encode(line)

    return call


def batches(tokenizer: Any, lines: list[str], threads: int) -> dict[str, Callable[[], Any]]:
    """All lines in one call, as lists and as one padded array."""
    return {
        f"lists, {threads} thread(s)": lambda: tokenizer.encode_batch(lines, threads),
        f"arrays, {threads} thread(s)": lambda: tokenizer.encode_batch(
            lines, threads, return_tensors="np"
        ),
    }


def hashing(threads: int) -> tuple[str, Callable[[], Any]]:
    """Hashing of 32 MB in equal parts: how much faster this machine is now with more threads."""
    part = bytes(32_000_000 // threads)
    pool = ThreadPoolExecutor(threads)
    return f"sha256, {threads} thread(s)", lambda: list(pool.map(hashlib.sha256, [part] * threads))


def loading(name: str, files: list[str], repeats: int) -> dict[str, float]:
    """Milliseconds and MB that loading takes, in processes of their own."""
    rows = []
    for _ in range(repeats):
        command = [sys.executable, "-W", "ignore", "-c", LOADING, name, *files]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append([float(value) for value in done.stdout.split()])
    milliseconds, megabytes = (round(median(column), 1) for column in zip(*rows, strict=True))
    return {"milliseconds": milliseconds, "MB": megabytes}


def show(kind: str, row: dict[str, float]) -> None:
    print(f"  {kind:<10}", "  ".join(f"{name} {speed}" for name, speed in row.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder with vocab/, lm/ and text/")
    parser.add_argument("--only", nargs="+", choices=ENCODERS, default=list(ENCODERS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a JSON file for the results")
    arguments = parser.parse_args()
    texts = corpora(arguments.data)
    short = [line for line in texts["English"] if 0 < len(line) < 1000]
    results: dict[str, Any] = {
        "unit": "MB/s of UTF-8",
        "machine": {
            "architecture": platform.machine(),
            "processors": os.cpu_count(),
            "python": platform.python_version(),
        },
    }
    for name in arguments.only:
        print(name)
        files = files_of(arguments.data)[name]
        encoders = ENCODERS[name](files)
        results[name] = section = {"one thread": {}, "loading": {}}
        for kind, lines in texts.items():
            calls = {library: line_by_line(e, lines) for library, e in encoders.items()}
            section["one thread"][kind] = speeds(calls, megabytes(lines), arguments.repeats)
            show(kind, section["one thread"][kind])
        tokenizer = getattr(ptbert, name)(*files)
        calls = {}
        for threads in sorted({1, 2, os.cpu_count() or 1}):
            calls |= dict([*batches(tokenizer, short, threads).items(), hashing(threads)])
        section["batch"] = speeds(calls, megabytes(short), 8 * arguments.repeats)
        show("batch", section["batch"])
        section["loading"] = loading(name, files, arguments.repeats)
        show("loading", section["loading"])
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
