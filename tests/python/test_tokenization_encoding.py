"""Ids of texts, pairs and batches, and offsets of tokens."""

from __future__ import annotations

import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tokenization_reference as reference
from ptbert.tokenization import BasicTokenizer, BertTokenizer, WordpieceTokenizer
from support import import_or_skip
from test_tokenization import TEXTS, VOCABULARY

TOKENIZER = BertTokenizer(VOCABULARY)
SEA, TIDE, IN, QUICK = TOKENIZER.encode("sea tide in quick")
PAD, UNK, CLS, SEP = TOKENIZER.encode("[PAD] [UNK] [CLS] [SEP]")


@pytest.fixture
def tokenizer() -> BertTokenizer:
    return BertTokenizer(VOCABULARY)


@given(TEXTS, st.booleans())
def test_encode_equals_tokens_then_ids(text: str, do_basic_tokenize: bool) -> None:
    tokenizer = BertTokenizer(VOCABULARY, do_basic_tokenize=do_basic_tokenize)
    assert tokenizer.encode(text) == tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))


def test_encode_respects_changes(tokenizer: BertTokenizer) -> None:
    assert tokenizer.encode("sea quick zz") == [SEA, *tokenizer.encode("quick"), UNK]
    tokenizer.vocab["zz"] = 500
    assert tokenizer.encode("sea zz") == [SEA, 500]
    tokenizer.do_lower_case = False
    assert tokenizer.encode("Sea sea") == [tokenizer.vocab["Sea"], SEA]
    tokenizer.vocab = type(tokenizer.vocab)({"sea": 7, "Sea": 8})
    assert tokenizer.encode("sea Sea") == [7, 8]
    tokenizer.wordpiece_tokenizer.vocab = tokenizer.vocab
    assert tokenizer.encode("sea Sea") == [7, 8]
    with pytest.raises(KeyError, match=r"\[UNK\]"):
        tokenizer.encode("tide")


def test_encode_uses_replaced_tokenizers(tokenizer: BertTokenizer) -> None:
    class Shouting(BasicTokenizer):
        def tokenize(self, text: str) -> list[str]:
            return [token.capitalize() for token in super().tokenize(text)]

    tokenizer.basic_tokenizer = Shouting()
    assert tokenizer.encode("sea") == [tokenizer.vocab["Sea"]]
    tokenizer.basic_tokenizer = BasicTokenizer()
    tokenizer.wordpiece_tokenizer = WordpieceTokenizer({"sea": 0})
    assert tokenizer.encode("sea tide") == [SEA, UNK]


def test_encode_uses_replaced_methods(tokenizer: BertTokenizer) -> None:
    class Shouting(BertTokenizer):
        def tokenize(self, text: str) -> list[str]:
            return super().tokenize(text)[:1]

    shouting = Shouting(VOCABULARY)
    assert shouting.encode("sea tide") == [SEA]
    with pytest.raises(TypeError, match="and no other `tokenize` and `convert_tokens_to_ids`"):
        shouting.encode_batch(["sea tide"])
    tokenizer.convert_tokens_to_ids = lambda tokens: [7]  # type: ignore[method-assign]
    assert tokenizer.encode("sea tide") == [7]


def test_dicts_are_made_when_asked_for(tokenizer: BertTokenizer) -> None:
    assert tokenizer.encode("sea") == [SEA]
    assert len(tokenizer) == 140
    assert tokenizer._loaded._vocab is None
    first = tokenizer.vocab
    del first["quick"]
    assert tokenizer.ids_to_tokens[QUICK] == "quick"
    assert tokenizer.vocab is tokenizer.wordpiece_tokenizer.vocab is first
    assert len(tokenizer) == 139
    other = pickle.loads(pickle.dumps(tokenizer))
    assert other.ids_to_tokens == tokenizer.ids_to_tokens
    assert other.encode("quick") == tokenizer.encode("quick") == [UNK]


@given(st.lists(TEXTS, max_size=5), st.integers(0, 3))
def test_batch_equals_texts_one_by_one(texts: list[str], num_threads: int) -> None:
    assert TOKENIZER.encode_batch(texts, num_threads=num_threads) == list(
        map(TOKENIZER.encode, texts)
    )


def test_large_batch_on_many_threads() -> None:
    texts = [f"Sea {'tide ' * (i % 90)}é{i} zzz" for i in range(3000)]
    expected = list(map(TOKENIZER.encode, texts))
    assert TOKENIZER.encode_batch(iter(texts), num_threads=4) == expected
    assert TOKENIZER.encode_batch(texts) == expected
    with ThreadPoolExecutor(4) as threads:
        assert (
            list(threads.map(lambda _: TOKENIZER.encode_batch(texts), range(4))) == [expected] * 4
        )


def test_pair_is_joined_with_token_types(tokenizer: BertTokenizer) -> None:
    assert tokenizer.encode_pair("Sea", "tide in") == {
        "input_ids": [CLS, SEA, SEP, TIDE, IN, SEP],
        "token_type_ids": [0, 0, 0, 1, 1, 1],
        "attention_mask": [1] * 6,
    }
    assert tokenizer.encode_pair("sea tide")["input_ids"] == [CLS, SEA, TIDE, SEP]
    assert tokenizer.encode_pair("sea", "")["input_ids"] == [CLS, SEA, SEP, SEP]


@given(st.integers(0, 9), st.integers(0, 9), st.integers(3, 25))
def test_pair_is_cut_as_in_run_classifier_of_2019(length_a: int, length_b: int, limit: int) -> None:
    a, b = [SEA] * length_a, [TIDE] * length_b
    while len(a) + len(b) > limit - 3:
        (a if len(a) > len(b) else b).pop()
    pair = TOKENIZER.encode_pair("sea " * length_a, "tide " * length_b, limit)
    assert pair["input_ids"] == [CLS, *a, SEP, *b, SEP]
    assert pair["token_type_ids"] == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    single = TOKENIZER.encode_pair("sea " * length_a, max_length=limit)
    assert single["input_ids"] == [CLS, *[SEA] * min(length_a, limit - 2), SEP]


def test_batch_as_tensors_is_padded(tokenizer: BertTokenizer) -> None:
    batch = tokenizer.encode_batch(["sea", "tide"], text_pairs=["in", "in in"], return_tensors="pt")
    expected = {
        "input_ids": [[CLS, SEA, SEP, IN, SEP, PAD], [CLS, TIDE, SEP, IN, IN, SEP]],
        "token_type_ids": [[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]],
        "attention_mask": [[1, 1, 1, 1, 1, 0], [1] * 6],
    }
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())
    assert {name: tensor.tolist() for name, tensor in batch.items()} == expected
    cut = tokenizer.encode_batch(["sea tide", ""], return_tensors="pt", max_length=3)
    assert cut["input_ids"].tolist() == [[CLS, SEA, SEP], [CLS, SEP, PAD]]
    assert tokenizer.encode_batch([], return_tensors="pt")["input_ids"].shape == (0, 0)


def test_batch_as_arrays(tokenizer: BertTokenizer) -> None:
    numpy = import_or_skip("numpy")
    batch = tokenizer.encode_batch(["sea", "sea tide"], return_tensors="np")
    assert batch["input_ids"].dtype == numpy.int64
    assert batch["input_ids"].tolist() == [[CLS, SEA, SEP, PAD], [CLS, SEA, TIDE, SEP]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


@given(TEXTS, st.booleans())
def test_offsets_equal_plain_python(text: str, do_lower_case: bool) -> None:
    tokenizer = BertTokenizer(VOCABULARY, do_lower_case)
    expected = []
    for word in reference.basic_tokens_with_sources(text, do_lower_case):
        string = "".join(char for char, _ in word)
        pieces = reference.word_pieces(string, tokenizer.vocab)
        at = 0
        for piece in pieces:
            length = (
                len(string) if pieces == ["[UNK]"] else len(piece.removeprefix("##" * (at > 0)))
            )
            sources = [source for _, source in word[at : at + length]]
            expected.append((min(sources), max(sources) + 1))
            at += length
    assert tokenizer.offsets(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sea, TIDE!", ["Sea", ",", "TIDE", "!"]),
        ("[CLS] sea", ["[CLS]", "sea"]),
        ("s\u00e9a se\u0301a\u0301", ["s\u00e9a", "se\u0301a"]),
        ("s\u200bea\u200b \u200btide", ["s\u200bea", "tide"]),
        ("\U0001f30asea\U0001f30a", ["\U0001f30asea\U0001f30a"]),
    ],
)
def test_offsets_are_positions_in_the_str(text: str, expected: list[str]) -> None:
    assert [text[begin:end] for begin, end in TOKENIZER.offsets(text)] == expected


def test_more_ids_than_max_len_warn(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = BertTokenizer(VOCABULARY, max_len=2)
    tokenizer.encode("sea tide")
    assert caplog.messages == []
    tokenizer.encode("sea sea sea")
    tokenizer.encode_pair("sea")
    tokenizer.encode_batch(["sea", "sea sea sea"])
    tokenizer.encode_batch(["sea"], return_tensors="pt")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 4
    assert all("at most 2 tokens (`max_len`), but holds 3" in text for text in caplog.messages)


def test_wrong_arguments_raise(tokenizer: BertTokenizer) -> None:
    loose: Any = tokenizer
    cases: list[tuple[type[Exception], str, Any]] = [
        (TypeError, "`text` must be a str, but is a bytes.", lambda: loose.encode(b"sea")),
        (TypeError, "`text_b` must be a str, but is an int.", lambda: loose.encode_pair("a", 3)),
        (
            TypeError,
            "`texts[...]` must be a str, but is an int.",
            lambda: loose.encode_batch(["a", 3]),
        ),
        (
            TypeError,
            '`texts` must be an iterable of texts, but is the str "sea".',
            lambda: loose.encode_batch("sea"),
        ),
        (
            ValueError,
            "`max_length` (2) must be at least 3, which [CLS] and [SEP] take.",
            lambda: loose.encode_pair("a", "b", 2),
        ),
        (
            ValueError,
            "`max_length` must not be negative, but is -1.",
            lambda: loose.encode_pair("a", "b", -1),
        ),
        (
            ValueError,
            "`num_threads` must not be negative, but is -1.",
            lambda: loose.encode_batch(["a"], num_threads=-1),
        ),
        (
            ValueError,
            '`return_tensors` must be "np", "pt" or None, but is \'tf\'.',
            lambda: loose.encode_batch(["a"], return_tensors="tf"),
        ),
        (
            ValueError,
            "`text_pairs` and `max_length` must come with `return_tensors`, but it is None.",
            lambda: loose.encode_batch(["a"], text_pairs=["b"]),
        ),
        (
            ValueError,
            "`text_pairs` must have as many texts as `texts` (1), but has 2.",
            lambda: loose.encode_batch(["a"], text_pairs=["b", "c"], return_tensors="pt"),
        ),
    ]
    for kind, message, call in cases:
        with pytest.raises(kind) as error:
            call()
        assert str(error.value) == message
    for call in (tokenizer.encode, tokenizer.encode_pair, tokenizer.offsets):
        with pytest.raises(UnicodeEncodeError):
            call("sea \ud83c")


def test_replaced_tokenizer_raises_where_it_cannot_be_used(tokenizer: BertTokenizer) -> None:
    tokenizer.wordpiece_tokenizer = WordpieceTokenizer({"sea": 0})
    for method in ("encode_pair", "offsets"):
        with pytest.raises(TypeError) as error:
            getattr(tokenizer, method)("sea")
        assert str(error.value).startswith(
            f"`{method}` must have a `BasicTokenizer` and a `WordpieceTokenizer` with the `vocab` "
            "of the tokenizer, and no other `tokenize` and `convert_tokens_to_ids` than theirs, "
            "but has "
        )
