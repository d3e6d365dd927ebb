"""Compares BERT's tokenizer with pytorch-pretrained-bert 0.6.2, text by text.

Every line of text/, lm/ and squad/ with three vocabularies, every code point alone and between
letters, and 200,000 random strings; only characters that this Python and Unicode 15.0 both know.

    python tests/slow/tokenization.py ../shared/data
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytorch_pretrained_bert.tokenization import BertTokenizer as Original

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import tokenization_reference as reference
from ptbert.tokenization import BertTokenizer

NAMES = ("base-uncased", "base-cased", "base-chinese")
SPECIAL = (
    "aAbBzZ  \t\n\u2028.-[]()ΣσςİıÉéß水\u8c48\uf900한각\u00ad\u0301\u0323\u302e\u1734"
    "\U0001d165\u0315'\u00a8\u2260\u037e\u0344\u200b\ufffd\0\U0001f600ǅﬁ\u0345कि"
)


def real_lines(data: Path) -> Iterator[str]:
    """The distinct lines of all files, those of the JSON of SQuAD cut to 2,000 characters."""
    seen = set()
    for folder in ("text", "lm", "squad"):
        for file in sorted(filter(Path.is_file, (data / folder).rglob("*"))):
            content = file.read_text(encoding="utf-8")
            for line in content.splitlines():
                for start in range(0, len(line), 2000):
                    part = line[start : start + 2000]
                    if part not in seen and all(map(reference.is_assigned, part)):
                        seen.add(part)
                        yield part


def code_points() -> Iterator[str]:
    """Every known code point: alone, between letters, twice, beside punctuation."""
    for char in map(chr, range(sys.maxunicode + 1)):
        if reference.is_assigned(char):
            yield f"{char} a{char}B {char}{char}.{char}"


def random_strings(count: int, seed: str) -> Iterator[str]:
    """Strings of characters that are special to some step, and of any others."""
    generator = random.Random(seed)
    known = [c for c in map(chr, range(0x20000)) if reference.is_assigned(c)]
    words = ["the", "un", "able", "Tokenizer", "[CLS]", "[MASK]", "水", "é", "x" * 101]
    for _ in range(count):
        length = generator.randrange(40)
        yield "".join(
            generator.choice((SPECIAL, SPECIAL, known, words)[generator.randrange(4)])
            for _ in range(length)
        )


def differences(texts: Iterable[str], ours: BertTokenizer, theirs: Original) -> tuple[int, int]:
    """Returns how many texts were compared and how many gave other tokens, ids or offsets."""
    compared = wrong = 0
    for text in texts:
        compared += 1
        expected = theirs.tokenize(text)
        ids = [theirs.vocab[token] for token in expected]
        tokens = ours.tokenize(text)
        if tokens != expected or ours.encode(text) != ids or len(ours.offsets(text)) != len(ids):
            wrong += 1
            if wrong <= 5:
                print(f"{text!r}: {tokens} instead of {expected}")
    return compared, wrong


def main() -> None:
    """Run the comparison; exit with an error when a text differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with vocab/, text/, lm/ and squad/")
    parser.add_argument("--strings", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=2019)
    parser.add_argument("--names", nargs="+", default=NAMES, help="vocabularies")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.names:
        vocab_file = arguments.data / "vocab" / f"bert-{name}-vocab.txt"
        lower_case = name != "base-cased"
        ours = BertTokenizer(vocab_file, lower_case)
        theirs = Original(str(vocab_file), lower_case)
        sources = {
            "lines": real_lines(arguments.data),
            "code points": code_points(),
            "random strings": random_strings(
                arguments.strings // len(NAMES) + 1, f"{arguments.seed} {name}"
            ),
        }
        for kind, texts in sources.items():
            compared, wrong = differences(texts, ours, theirs)
            print(f"{name}: {wrong} of {compared} {kind} differ", flush=True)
            failed = failed or wrong > 0 or compared == 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
