"""Tokenizes a line of 100 MB and words of 1, 2 and 4 MB: seconds must grow with the length alone.

python tests/slow/long_texts.py
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
sys.modules["ftfy"] = None  # type: ignore[assignment]  # BasicTokenizer makes the words of GPT

from ptbert import BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer, TransfoXLTokenizer  # noqa: E402
from support import GOLDEN  # noqa: E402

DATA = GOLDEN.parent / "data"


def seconds(tokenizer: Any, text: str) -> tuple[float, int]:
    """The time of `encode` and the number of ids."""
    start = time.perf_counter()
    ids = tokenizer.encode(text)
    return time.perf_counter() - start, len(ids)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100)
    arguments = parser.parse_args()
    words = TransfoXLTokenizer(special=["<unk>"])
    words.count_sents([["the", "sea"]])
    words.build_vocab()
    tokenizers: tuple[Any, ...] = (
        BertTokenizer(DATA / "vocab.txt"),
        GPT2Tokenizer.from_pretrained(DATA / "gpt2"),
        OpenAIGPTTokenizer.from_pretrained(DATA / "openai-gpt"),
        words,
    )
    unit = " the sea"
    for tokenizer in tokenizers:
        name = type(tokenizer).__name__
        repeats = arguments.megabytes * 1_000_000 // len(unit)
        taken, count = seconds(tokenizer, unit * repeats)
        if count != len(tokenizer.encode(unit)) * repeats:
            sys.exit(f"{name}: {count} ids")
        print(f"{name}: a line of {arguments.megabytes} MB in {taken:.1f} s")
        for megabytes in (1, 2, 4):
            # Different letters, so that there is much to merge.
            taken, count = seconds(tokenizer, "theseatide" * (megabytes * 100_000))
            print(f"{name}: a word of {megabytes} MB in {taken:.2f} s, {count} ids", flush=True)
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
