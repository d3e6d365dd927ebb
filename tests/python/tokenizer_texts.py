"""Texts that tokenizers are compared on: real ones, every character, and random strings.

Only characters that Unicode 15.0 and this Python's `unicodedata` both know: libraries of another
Unicode version treat the others in their own way.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import tokenization_reference as reference

# Each is special to some step of some tokenizer.
SPECIAL_CHARACTERS = (
    "aAbBzZ  \t\n\r\v\x1c\x85\xa0\u1680\u2009\u2028\u3000.-[]()<>'ΣσςİıÉéß水\u8c48\uf900한각½²"
    "\u00ad\u0301\u0323\u302e\u1734\U0001d165\u0315\u00a8\u2260\u037e\u0344\u200b\u200d\ufe0f\ufeff"
    "\ufffd\0\x7fǅﬁ\u0345कि\u0e33\U0001f600\U0001f468\U0001f3fd\U0001f1e9\U0001f1ea…\u2013\xb4"
)
SPECIAL_WORDS = (
    *("the", " The", "un", "able", "Tokenizer", "don't", "'s", "'ll", "  ", "\r\n", "123", "..."),
    *("水", "é", "x" * 101, "👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "e\u0301\u0323\u0301"),
    *("[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<unk>", "</w>", "<eos>", "<|endoftext|>"),
)
_LONGEST_LINE = 2000  # of the JSON of SQuAD, which is one line


@functools.cache
def known_characters() -> list[str]:
    return [c for c in map(chr, range(sys.maxunicode + 1)) if reference.is_assigned(c)]


def real_lines(data: Path) -> Iterator[str]:
    """The distinct lines of all files of text/, lm/ and squad/."""
    seen = set()
    for folder in ("text", "lm", "squad"):
        for file in sorted(filter(Path.is_file, (data / folder).rglob("*"))):
            for line in file.read_text(encoding="utf-8").splitlines():
                for start in range(0, len(line), _LONGEST_LINE):
                    part = line[start : start + _LONGEST_LINE]
                    if part not in seen and all(map(reference.is_assigned, part)):
                        seen.add(part)
                        yield part


def character_texts() -> Iterator[str]:
    """Every character: alone, between letters, twice, beside punctuation."""
    for character in known_characters():
        yield f"{character} a{character}B {character}{character}.{character}"


def random_strings(count: int, seed: str) -> Iterator[str]:
    """Strings of special characters and words, common characters, and any others."""
    generator = random.Random(seed)
    known = known_characters()
    pools = (SPECIAL_CHARACTERS, SPECIAL_CHARACTERS, SPECIAL_WORDS, known, known[:3000])
    for _ in range(count):
        yield "".join(
            generator.choice(pools[generator.randrange(len(pools))])
            for _ in range(generator.randrange(40))
        )
