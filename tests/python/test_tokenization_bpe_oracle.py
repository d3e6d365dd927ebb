"""Real text and the real vocabularies, side by side with tiktoken and pytorch-pretrained-bert."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bpe_reference as reference
import tokenization_reference
from ptbert.tokenization_gpt2 import GPT2Tokenizer
from ptbert.tokenization_openai import OpenAIGPTTokenizer
from support import import_or_skip

RANDOM_STRINGS = 2000


def is_known(text: str) -> bool:
    return all(map(tokenization_reference.is_assigned, text))


def real_texts(test_data: Path) -> Iterator[str]:
    """All files of text, lm and squad, by 20 lines, as far as both Unicodes know them."""
    for folder in ("text", "lm", "squad"):
        for file in sorted((test_data / folder).rglob("*.*")):
            if file.is_file():
                lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
                for start in range(0, len(lines), 20):
                    yield "".join(filter(is_known, lines[start : start + 20]))


def random_strings(count: int) -> Iterator[str]:
    characters = [c for c in map(chr, range(0x110000)) if tokenization_reference.is_assigned(c)]
    words = [
        "'s",
        "'ll",
        "the",
        " The",
        "don't",
        "  ",
        "\n",
        "\r\n",
        "\u3000",
        "123",
        "½",
        "...",
        "é",
    ]
    generator = random.Random(0)
    for _ in range(count):
        pool = generator.choice([words, characters[:3000], characters, characters[:128]])
        yield "".join(generator.choices(pool, k=generator.randrange(40)))


@pytest.fixture
def gpt2_files(test_data: Path) -> tuple[Path, Path]:
    folder = test_data / "vocab" / "gpt2"
    return folder / "encoder.json", folder / "vocab.bpe"


def test_gpt2_equals_tiktoken(test_data: Path, gpt2_files: tuple[Path, Path]) -> None:
    ours = GPT2Tokenizer(*gpt2_files)
    theirs = reference.tiktoken_encoding(dict(ours.encoder), dict(ours.bpe_ranks))
    for text in [*real_texts(test_data), *random_strings(RANDOM_STRINGS)]:
        ids = theirs.encode_ordinary(text)
        assert ours.encode(text) == ids
        assert ours.decode(ids, clean_up_tokenization_spaces=False) == text


def test_gpt2_equals_tiktoken_on_every_character(gpt2_files: tuple[Path, Path]) -> None:
    ours = GPT2Tokenizer(*gpt2_files)
    theirs = reference.tiktoken_encoding(dict(ours.encoder), dict(ours.bpe_ranks))
    characters = [c for c in map(chr, range(0x110000)) if tokenization_reference.is_assigned(c)]
    for start in range(0, len(characters), 64):
        text = "".join(f"x{c}y {c}\n{c}" for c in characters[start : start + 64])
        assert ours.encode(text) == theirs.encode_ordinary(text)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # files that the oracle leaves open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_openai_gpt_equals_oracle(test_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    oracle = import_or_skip("pytorch_pretrained_bert.tokenization_openai")
    folder = test_data / "vocab" / "openai-gpt"
    files = [str(folder / name) for name in ("encoder_bpe_40000.json", "vocab_40000.bpe")]
    theirs, ours = oracle.OpenAIGPTTokenizer(*files), OpenAIGPTTokenizer(files[0], files[1])
    assert list(ours.encoder.items()) == list(theirs.encoder.items())
    assert ours.bpe_ranks == theirs.bpe_ranks
    for number, text in enumerate([*real_texts(test_data), *random_strings(RANDOM_STRINGS)]):
        if number % 4 == 0:  # the original takes a minute for all of it
            tokens = theirs.tokenize(text)
            assert ours.tokenize(text) == tokens
            ids = theirs.convert_tokens_to_ids(tokens)
            assert ours.encode(text) == ids
            assert ours.decode(ids) == theirs.decode(ids)
