"""BERT's tokenization in plain Python, written from its description: what the C++ is compared to.

Character data is that of the running Python, so only characters that it and Unicode 15.0 both know
may be given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Container
from itertools import groupby

from ptbert.tokenization import _is_control

SPECIAL_TOKENS = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]")

_CHINESE = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f]"
)
_KNOWS_MORE_THAN_15_0 = tuple(map(int, unicodedata.unidata_version.split("."))) > (15, 0, 0)


def is_assigned(char: str) -> bool:
    """Whether both versions of Unicode know the character."""
    if unicodedata.category(char) in ("Cn", "Cs"):
        return False
    return not (
        _KNOWS_MORE_THAN_15_0 and _is_control(char) and unicodedata.category(char)[0] != "C"
    )


def is_whitespace(char: str) -> bool:
    return char in "\t\n\r" or unicodedata.category(char) == "Zs"


def is_control(char: str) -> bool:
    return char not in "\t\n\r" and unicodedata.category(char).startswith("C")


def is_punctuation(char: str) -> bool:
    if char.isascii():
        return char.isprintable() and not char.isalnum() and char != " "
    return unicodedata.category(char).startswith("P")


def basic_tokens(
    text: str, do_lower_case: bool = True, never_split: Collection[str] = SPECIAL_TOKENS
) -> list[str]:
    text = "".join(c for c in text if c not in "\0\ufffd" and not is_control(c))
    text = "".join(" " if is_whitespace(c) else c for c in text)
    tokens = []
    for word in _CHINESE.sub(r" \g<0> ", text).split():
        if do_lower_case and word not in never_split:
            decomposed = unicodedata.normalize("NFD", word.lower())
            word = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
        if word in never_split:
            tokens.append(word)
            continue
        for punctuation, group in groupby(word, is_punctuation):
            run = "".join(group)
            tokens.extend(run if punctuation else [run])
    return [token for token in tokens if token]


def basic_tokens_with_sources(
    text: str, do_lower_case: bool = True, never_split: Collection[str] = SPECIAL_TOKENS
) -> list[list[tuple[str, int]]]:
    """The same tokens, each character with the index of the one in `text` that it comes from."""
    words: list[list[tuple[str, int]]] = [[]]
    for index, char in enumerate(text):
        if char in "\0\ufffd" or is_control(char):
            continue
        if is_whitespace(char) or char.isspace():
            words.append([])
        elif _CHINESE.fullmatch(char):
            words += [[(char, index)], []]
        else:
            words[-1].append((char, index))
    tokens: list[list[tuple[str, int]]] = []
    for word in words:
        string = "".join(char for char, _ in word)
        if do_lower_case and string not in never_split:
            lowered = iter(string.lower())
            word = [(next(lowered), index) for char, index in word for _ in char.lower()]
            word = [(d, index) for char, index in word for d in unicodedata.normalize("NFD", char)]
            for mark, group in groupby(list(enumerate(word)), lambda e: _is_mark(e[1][0])):
                members = list(group)
                ordered = sorted(members, key=lambda e: unicodedata.combining(e[1][0]))
                if mark:
                    word[members[0][0] : members[-1][0] + 1] = [member for _, member in ordered]
            word = [pair for pair in word if unicodedata.category(pair[0]) != "Mn"]
        if "".join(char for char, _ in word) in never_split:
            tokens.append(word)
            continue
        for punctuation, run in groupby(word, lambda pair: is_punctuation(pair[0])):
            pairs = list(run)
            tokens.extend([[pair] for pair in pairs] if punctuation else [pairs])
    return [token for token in tokens if token]


def _is_mark(char: str) -> bool:
    return unicodedata.combining(char) != 0


def word_pieces(
    text: str, vocab: Container[str], unk_token: str = "[UNK]", max_chars: int = 100
) -> list[str]:
    return [piece for word in text.split() for piece in _pieces(word, vocab, unk_token, max_chars)]


def _pieces(word: str, vocab: Container[str], unk_token: str, max_chars: int) -> list[str]:
    pieces: list[str] = []
    rest = word
    while rest and len(word) <= max_chars:
        prefix = "##" if pieces else ""
        ends = (end for end in range(len(rest), 0, -1) if prefix + rest[:end] in vocab)
        end = next(ends, None)
        if end is None:
            return [unk_token]
        pieces.append(prefix + rest[:end])
        rest = rest[end:]
    return [unk_token] if rest else pieces
