"""Real text and real vocabularies, side by side with pytorch-pretrained-bert."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenization_reference as reference
from ptbert.tokenization import BertTokenizer
from support import import_or_skip

OPTIONS: tuple[dict[str, Any], ...] = (
    {"do_lower_case": True},
    {"do_lower_case": False},
    {"do_basic_tokenize": False},
)


def real_lines(test_data: Path) -> Iterator[str]:
    """Lines of 25 languages, emoji, Wikipedia and reviews, as far as both Unicodes know them."""
    files = [
        *sorted((test_data / "text" / "udhr").glob("*.txt")),
        test_data / "text" / "unicode-15.0" / "emoji-test.txt",
        test_data / "lm" / "wikitext-2" / "valid.txt",
        test_data / "glue" / "SST-2" / "dev.tsv",
    ]
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines()[:1500]:
            if all(map(reference.is_assigned, line)):
                yield line


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["base-uncased", "base-cased", "base-chinese"])
def test_real_text_equals_oracle(test_data: Path, name: str, options: dict[str, Any]) -> None:
    oracle = import_or_skip("pytorch_pretrained_bert.tokenization")
    vocab_file = test_data / "vocab" / f"bert-{name}-vocab.txt"
    ours = BertTokenizer(vocab_file, **options)
    theirs = oracle.BertTokenizer(str(vocab_file), **options)
    assert list(ours.vocab.items()) == list(theirs.vocab.items())
    assert list(ours.ids_to_tokens.items()) == list(theirs.ids_to_tokens.items())
    for line in real_lines(test_data):
        tokens = ours.tokenize(line)
        assert tokens == theirs.tokenize(line)
        assert ours.convert_tokens_to_ids(tokens) == theirs.convert_tokens_to_ids(tokens)


@pytest.mark.parametrize("name", ["base-uncased", "base-cased", "base-chinese"])
def test_real_text_equals_plain_python(test_data: Path, name: str) -> None:
    ours = BertTokenizer(test_data / "vocab" / f"bert-{name}-vocab.txt")
    for number, line in enumerate(real_lines(test_data)):
        if number % 8 == 0:
            words = reference.basic_tokens(line)
            expected = [p for word in words for p in reference.word_pieces(word, ours.vocab)]
            assert ours.tokenize(line) == expected
