"""Writes hf_tokenizers_characters.json: the characters that `tokenizers` treats in another way.

    python tests/golden/generate_hf_characters.py DATA

Each is tried between letters and alone, with the vocabularies of bert-base-uncased and -cased.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import tokenizers

from tokenizer_comparisons import HF_CHARACTERS_FILE, Comparison, bert_and_hf, gpt_and_hf
from tokenizer_texts import known_characters


def ranges(codes: list[int]) -> list[tuple[int, int]]:
    """First and last code points of runs without a gap."""
    runs: list[tuple[int, int]] = []
    for code in codes:
        if runs and runs[-1][1] == code - 1:
            runs[-1] = (runs[-1][0], code)
        else:
            runs.append((code, code))
    return runs


def differing(*comparisons: Comparison) -> list[tuple[int, int]]:
    texts = {c: f"{c} a{c}B {c}{c}.{c}" for c in known_characters()}
    return ranges(
        [
            ord(c)
            for c, text in texts.items()
            if any(o.ours(text) != o.theirs(text) for o in comparisons)
        ]
    )


def main() -> None:
    data = Path(sys.argv[1])
    record = {
        "oracle": f"tokenizers {tokenizers.__version__}",
        "lower case": differing(bert_and_hf(data, "base-uncased"), gpt_and_hf(data)),
        "cased": differing(bert_and_hf(data, "base-cased")),
    }
    HF_CHARACTERS_FILE.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
