# ruff: noqa: RUF001 (dashes and accents are what is tried here)

from __future__ import annotations

import copy
import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptbert import tokenization_openai
from ptbert.tokenization import BasicTokenizer
from ptbert.tokenization_openai import OpenAIGPTTokenizer, get_pairs, text_standardize
from support import GOLDEN, import_or_skip

FOLDER = GOLDEN.parent / "data" / "openai-gpt"
RECORD = json.loads((GOLDEN / "bpe.json").read_text())


@pytest.fixture
def without_spacy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)


@pytest.fixture
def tokenizer(without_spacy: None) -> OpenAIGPTTokenizer:
    return OpenAIGPTTokenizer.from_pretrained(FOLDER, special_tokens=RECORD["special_tokens"])


def words_of_spacy(tokenizer: OpenAIGPTTokenizer, text: str) -> list[str]:
    """The rule of the original in plain Python."""
    tokens: list[str] = []
    assert tokenizer.fix_text is not None
    for word in tokenizer.nlp(text_standardize(tokenizer.fix_text(text))):
        tokens += tokenizer.bpe(word.text.lower()).split(" ")
    return tokens


# Values


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_tokens_and_ids_equal_golden(tokenizer: OpenAIGPTTokenizer, case: dict[str, Any]) -> None:
    text = case["text"]
    assert tokenizer.tokenize(text) == case["openai_tokens"]
    assert tokenizer.encode(text) == case["openai_ids"]
    assert tokenizer.encode_batch([text, text], 2) == [case["openai_ids"]] * 2
    assert tokenizer.decode(case["openai_ids"]) == case["openai_text"]


@given(st.text(st.sampled_from(" \n\t\r\x1c\u3000-–—―…´'!?\"~;+,)(\\/*[]}{|_aé水"), max_size=30))
def test_text_standardize_equals_its_regular_expressions(text: str) -> None:
    expected = re.sub("[—–―]", "-", text).replace("…", "...").replace("´", "'")
    expected = re.sub(r"""([-~!";?+,)(\\/*[\]}{|_])\1*""", r" \g<0> ", expected)
    expected = re.sub(r"\s*\n\s*", " \n ", expected)
    assert text_standardize(text) == re.sub(r"[^\S\n]+", " ", expected).strip()


def test_spacy_path_equals_the_rule_of_the_original() -> None:
    import_or_skip("ftfy")
    import_or_skip("spacy")
    tokenizer = OpenAIGPTTokenizer.from_pretrained(FOLDER)
    assert tokenizer.fix_text is not None
    for case in RECORD["cases"]:
        if case["name"] == "special tokens":
            continue
        tokens = words_of_spacy(tokenizer, case["text"])
        assert tokenizer.tokenize(case["text"]) == tokens
        ids = tokenizer.convert_tokens_to_ids(tokens)
        assert tokenizer.encode(case["text"]) == ids
        assert tokenizer.encode_batch([case["text"]]) == [ids]


def test_words_with_spaces_are_split_as_the_original_does(tokenizer: OpenAIGPTTokenizer) -> None:
    assert tokenizer.bpe("\n ") == "\n</w>"  # the original's own exception
    native = tokenizer._current()
    assert native.tokenize_words(["\n", "\n ", " ", "A b", ""]) == [
        *("\n</w>", "\n</w>", "", "</w>"),
        *("a", "", "", "b</w>"),
    ]


def test_words_without_spacy_warn(without_spacy: None, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = OpenAIGPTTokenizer.from_pretrained(FOLDER)
    assert "ftfy or spaCy is not installed" in caplog.text
    assert (tokenizer.fix_text, type(tokenizer.nlp)) == (None, BasicTokenizer)


# Names and attributes of 2019


def test_names_of_2019() -> None:
    module = tokenization_openai
    assert (module.VOCAB_NAME, module.MERGES_NAME) == ("vocab.json", "merges.txt")
    assert module.SPECIAL_TOKENS_NAME == "special_tokens.txt"
    assert module.PRETRAINED_VOCAB_ARCHIVE_MAP["openai-gpt"].endswith("vocab.json")
    assert module.PRETRAINED_MERGES_ARCHIVE_MAP["openai-gpt"].endswith("merges.txt")
    assert module.PRETRAINED_VOCAB_POSITIONAL_EMBEDDINGS_SIZE_MAP == {"openai-gpt": 512}
    assert get_pairs(("a", "b</w>")) == {("a", "b</w>")}


def test_special_tokens_are_left_whole(tokenizer: OpenAIGPTTokenizer) -> None:
    assert tokenizer.nlp.never_split == tuple(RECORD["special_tokens"])
    tokenizer.set_special_tokens(["[a]"])
    assert tokenizer.nlp.never_split == ("[a]",)
    assert tokenizer.tokenize("[a] [b]") == ["[", "a", "]</w>", "[</w>", "b</w>", "]</w>"]
    assert tokenizer.convert_tokens_to_ids("[a]") == len(tokenizer) - 1
    assert tokenizer.decode([len(tokenizer) - 1]) == "[a]"
    tokenizer.set_special_tokens([])
    assert tokenizer.nlp.never_split == ("[a]",)  # as in 2019


def test_changed_attributes_count(tokenizer: OpenAIGPTTokenizer) -> None:
    tokenizer.nlp.do_lower_case = False
    assert tokenizer.tokenize("A") == ["A</w>"]
    tokenizer.nlp = BasicTokenizer(never_split=["A."])
    assert tokenizer.tokenize("A.") == ["A", ".</w>"]

    class Words:
        def tokenize(self, text: str) -> list[str]:
            return ["A", "水"]

    tokenizer.nlp = Words()
    assert tokenizer.tokenize("") == ["a</w>", "水</w>"]
    tokenizer.special_tokens["水</w>"] = 5
    tokenizer.encoder["a</w>"] = 99
    assert tokenizer.encode("") == [99, 5]
    assert tokenizer.encode_batch(["", ""]) == [[99, 5]] * 2


def test_copies_are_equal(tokenizer: OpenAIGPTTokenizer) -> None:
    expected = tokenizer.encode("The sea <cls> won't")
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other.encode("The sea <cls> won't") == expected


def test_saving_and_loading(tokenizer: OpenAIGPTTokenizer, tmp_path: Path) -> None:
    tokenizer.save_vocabulary(tmp_path)
    again = OpenAIGPTTokenizer.from_pretrained(tmp_path, max_len=5)
    assert (again.encoder, again.bpe_ranks) == (tokenizer.encoder, tokenizer.bpe_ranks)
    assert (again.special_tokens, again.max_len) == (tokenizer.special_tokens, 5)
    assert (tmp_path / "merges.txt").read_bytes() == (FOLDER / "merges.txt").read_bytes()
