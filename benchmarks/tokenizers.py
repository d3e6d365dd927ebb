"""The speed of the tokenizers beside those of other libraries, one thread, all in one run.

Every library encodes the same lines; they take turns, and the median counts. A section gives rows
of (name, function that encodes a text); add a function to SECTIONS for another tokenizer.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

# In the place of this folder, whose tokenizers.py would hide the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests" / "python")

import bpe_reference  # noqa: E402
import ptbert  # noqa: E402

Encode = Callable[[str], Any]


def gpt2(vocab: Path) -> dict[str, Encode]:
    files = vocab / "gpt2" / "encoder.json", vocab / "gpt2" / "vocab.bpe"
    tables = ptbert.GPT2Tokenizer(*files)
    tiktoken = bpe_reference.tiktoken_encoding(dict(tables.encoder), dict(tables.bpe_ranks))
    ours = ptbert.GPT2Tokenizer(*files)
    rows = {
        "ptbert encode": ours.encode,
        "ptbert tokenize": ours.tokenize,
        "tiktoken encode_ordinary": tiktoken.encode_ordinary,
    }
    try:
        from tokenizers import ByteLevelBPETokenizer
    except ImportError:
        return rows
    hugging_face = ByteLevelBPETokenizer(*map(str, files))
    return {**rows, "tokenizers encode().ids": lambda text: hugging_face.encode(text).ids}


def openai_gpt(vocab: Path) -> dict[str, Encode]:
    sys.modules["ftfy"] = None  # type: ignore[assignment]  # BasicTokenizer makes the words
    folder = vocab / "openai-gpt"
    files = [str(folder / name) for name in ("encoder_bpe_40000.json", "vocab_40000.bpe")]
    rows: dict[str, Encode] = {"ptbert encode": ptbert.OpenAIGPTTokenizer(*files).encode}
    try:
        from pytorch_pretrained_bert import tokenization_openai
    except ImportError:
        return rows
    return {**rows, "0.6.2 encode": tokenization_openai.OpenAIGPTTokenizer(*files).encode}


SECTIONS: dict[str, Callable[[Path], dict[str, Encode]]] = {"gpt2": gpt2, "openai-gpt": openai_gpt}


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(rows: dict[str, Encode], lines: list[str], repeats: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(repeats):
        for name, encode in rows.items():
            times[name].append(seconds(lambda encode=encode: [encode(line) for line in lines]))  # type: ignore[misc]
    size = sum(len(line.encode()) for line in lines) / 1e6
    first = median(next(iter(times.values())))
    for name, taken in times.items():
        middle = median(taken)
        print(f"  {name:<28}{size / middle:8.1f} MB/s {middle / first:8.2f} times the first's time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path, help="a text file, such as wikitext-2/valid.txt")
    parser.add_argument("vocab", type=Path, help="folder with gpt2/, openai-gpt/, ...")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    lines = arguments.text.read_text(encoding="utf-8").splitlines()
    for section in arguments.sections:
        print(f"{section}, {len(lines)} lines")
        measure(SECTIONS[section](arguments.vocab), lines, arguments.repeats)
    if "gpt2" in arguments.sections:
        files = arguments.vocab / "gpt2" / "encoder.json", arguments.vocab / "gpt2" / "vocab.bpe"
        loads = [seconds(lambda: ptbert.GPT2Tokenizer(*files)) for _ in range(arguments.repeats)]
        print(f"loading gpt2: {1e3 * median(loads):.1f} ms")


if __name__ == "__main__":
    main()
