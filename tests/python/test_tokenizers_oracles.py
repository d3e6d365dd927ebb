"""All tokenizers against reference libraries: a part of tests/slow/tokenizers."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

import tokenization_reference as reference
from ptbert import BertTokenizer
from tokenizer_comparisons import BERT_VOCABULARIES, bert_vocabulary, comparisons
from tokenizer_texts import character_texts, random_strings, real_lines

pytestmark = [
    # Files that pytorch-pretrained-bert leaves open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def lines(test_data: Path) -> list[str]:
    return list(islice(real_lines(test_data), 0, None, 50))


@pytest.mark.parametrize("name", comparisons(Path()))
def test_tokenizer_equals_oracle(test_data: Path, lines: list[str], name: str) -> None:
    comparison = comparisons(test_data)[name]()
    texts = [
        *lines,
        *islice(character_texts(), 0, None, 97),
        *random_strings(1000, name),
    ]
    assert sum(map(comparison.explained, texts)) < 0.4 * len(texts)
    assert list(filter(None, map(comparison.difference, texts)))[:5] == []


@pytest.mark.parametrize("name", BERT_VOCABULARIES)
def test_bert_equals_plain_python(test_data: Path, lines: list[str], name: str) -> None:
    ours = BertTokenizer(bert_vocabulary(test_data, name))
    for line in lines[::4]:
        words = reference.basic_tokens(line)
        expected = [p for word in words for p in reference.word_pieces(word, ours.vocab)]
        assert ours.tokenize(line) == expected
