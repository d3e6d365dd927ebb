"""Behaviour common to all tokenizers: batches as arrays, offsets, and unusual input."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptbert import BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer, TransfoXLTokenizer
from support import GOLDEN
from test_tokenization import VOCABULARY

DATA = GOLDEN.parent / "data"
NAMES = ("bert", "gpt2", "openai-gpt", "transfo-xl")
TEXTS = ["The sea", "", "the quick tide 123 in the sea", "a"]


@pytest.fixture(scope="module")
def tokenizers() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ftfy", None)  # BasicTokenizer makes the words of GPT
        words = TransfoXLTokenizer(special=["<unk>", "<eos>"])
        words.count_sents([["the", "sea", "tide", "in"]])
        words.build_vocab()
        yield {
            "bert": BertTokenizer(VOCABULARY),
            "gpt2": GPT2Tokenizer.from_pretrained(DATA / "gpt2"),
            "openai-gpt": OpenAIGPTTokenizer.from_pretrained(DATA / "openai-gpt"),
            "transfo-xl": words,
        }


@pytest.fixture(params=NAMES)
def tokenizer(tokenizers: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    return tokenizers[request.param]


# Batches


@pytest.mark.parametrize("num_threads", [0, 1, 3])
def test_batches_are_what_encode_gives(tokenizer: Any, num_threads: int) -> None:
    texts = [*TEXTS, "the tide in the sea " * 5000] * 3  # long enough for several threads
    expected = [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch(texts, num_threads) == expected
    assert tokenizer.encode_batch(iter(texts), num_threads) == expected


@pytest.mark.parametrize("num_threads", [0, 1, 3])
def test_arrays_are_the_ids_padded(tokenizer: Any, num_threads: int) -> None:
    texts = [*TEXTS, "the tide in the sea " * 5000] * 3
    batch = tokenizer.encode_batch(texts, num_threads, return_tensors="pt")
    for row, mask, text in zip(batch["input_ids"], batch["attention_mask"], texts, strict=True):
        ids = row[mask.bool()].tolist()
        assert mask.tolist() == [1] * len(ids) + [0] * (len(mask) - len(ids))
        assert not row[len(ids) :].any()
        assert (ids[1:-1] if isinstance(tokenizer, BertTokenizer) else ids) == tokenizer.encode(
            text
        )
    arrays = tokenizer.encode_batch(texts, return_tensors="np")
    assert {name: array.dtype for name, array in arrays.items()} == dict.fromkeys(batch, np.int64)
    assert all(np.array_equal(arrays[name], batch[name]) for name in batch)
    assert tokenizer.encode_batch([], return_tensors="pt")["input_ids"].shape == (0, 0)


@pytest.mark.parametrize("name", ["gpt2", "openai-gpt"])
def test_texts_are_cut(
    tokenizers: dict[str, Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = tokenizers[name]
    whole = tokenizer.encode(TEXTS[2])
    cut = tokenizer.encode_batch(TEXTS[1:3], return_tensors="pt", max_length=3)
    assert cut["input_ids"].tolist() == [[0, 0, 0], whole[:3]]
    assert tokenizer.encode_batch(TEXTS, return_tensors="pt", max_length=0)["input_ids"].shape == (
        4,
        0,
    )
    limit = tokenizer.max_len
    tokenizer.max_len = 3
    try:
        with caplog.at_level(logging.WARNING):
            tokenizer.encode_batch(TEXTS, return_tensors="pt", max_length=3)
            assert caplog.messages == []
            tokenizer.encode_batch(TEXTS, return_tensors="pt")
        assert "at most 3 tokens (`max_len`)" in caplog.text
    finally:
        tokenizer.max_len = limit


def test_batches_of_replaced_methods(tokenizers: dict[str, Any]) -> None:
    class Shouting(GPT2Tokenizer):
        def tokenize(self, text: str) -> list[str]:
            return super().tokenize(text.upper())

    shouting, plain = Shouting.from_pretrained(DATA / "gpt2"), tokenizers["gpt2"]
    expected = plain.encode_batch(["SEA", "A"], return_tensors="pt")
    batch = shouting.encode_batch(["sea", "a"], return_tensors="pt")
    assert all(torch.equal(batch[name], expected[name]) for name in expected)
    with pytest.raises(TypeError, match="`offsets` must know where words come from"):
        shouting.offsets("sea")

    class Lettered(TransfoXLTokenizer):
        def tokenize(self, line: str, add_eos: bool = False, add_double_eos: bool = False) -> Any:
            return list(line)

    lettered = Lettered()
    lettered.count_sents([["a", "b"]])
    lettered.build_vocab()
    assert lettered.encode_batch(["ab", "b"]) == [[0, 1], [1]]


def test_ends_of_lines_are_added() -> None:
    tokenizer = TransfoXLTokenizer(special=["<unk>", "<eos>", "<S>"])
    tokenizer.count_sents([["sea"]])
    tokenizer.build_vocab()
    assert tokenizer.encode("sea", add_eos=True) == [3, 1]
    assert tokenizer.encode_batch(["sea", ""], add_eos=True) == [[3, 1], [1]]
    assert tokenizer.encode_batch(["sea"], add_double_eos=True) == [[2, 3, 2]]


def test_symbols_without_id_raise() -> None:
    tokenizer = TransfoXLTokenizer()
    tokenizer.count_sents([["sea"]])
    tokenizer.build_vocab()
    with pytest.raises(ValueError, match='which has no <unk>, but "tide" is not'):
        tokenizer.encode_batch(["sea tide"])


def test_bad_batches_raise(tokenizer: Any) -> None:
    cases: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
        (TypeError, "`texts` must be an iterable of texts, but is the str", ("sea",), {}),
        (TypeError, r"`texts\[\.\.\.\]` must be a str, but is an int\.", (["a", 3],), {}),
        (TypeError, "`num_threads` must be an int, but is of type list", (["a"], ["b"]), {}),
        (ValueError, "`num_threads` must not be negative, but is -1", (["a"], -1), {}),
        (ValueError, 'must be "np", "pt" or None, but is \'tf\'', ([],), {"return_tensors": "tf"}),
    ]
    for kind, message, arguments, keywords in cases:
        with pytest.raises(kind, match=message):
            tokenizer.encode_batch(*arguments, **keywords)


# Special tokens


@pytest.mark.parametrize("name", ["gpt2", "openai-gpt"])
@pytest.mark.parametrize("tokens", ["<s>", b"<s>", ""])
def test_str_as_special_tokens_raises(tokenizers: dict[str, Any], name: str, tokens: Any) -> None:
    folder = DATA / name
    cls: Any = type(tokenizers[name])
    calls: list[Any] = [
        lambda: cls(folder / "vocab.json", folder / "merges.txt", special_tokens=tokens),
        lambda: cls.from_pretrained(folder, special_tokens=tokens),
        lambda: tokenizers[name].set_special_tokens(tokens),
    ]
    for call in calls:
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value) == (
            "`special_tokens` must be a list of tokens, but is the "
            f"{type(tokens).__name__} {tokens!r}."
        )
    assert tokenizers[name].special_tokens == {}


def test_str_as_other_collections_of_tokens_raises(tokenizers: dict[str, Any]) -> None:
    words = tokenizers["transfo-xl"]
    calls: dict[str, Any] = {
        "never_split": lambda: BertTokenizer(VOCABULARY, never_split="[UNK]").tokenize("a"),
        "special": lambda: TransfoXLTokenizer(special="<unk>"),
        "texts": lambda: tokenizers["bert"].encode_batch("sea"),
        "text_pairs": lambda: tokenizers["bert"].encode_batch(
            ["sea"], text_pairs="s", return_tensors="pt"
        ),
        "sents": lambda: words.count_sents("the sea"),
        "sents again": lambda: words.encode_sents("the sea"),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=f"^`{name.split()[0]}` must be .*, but is the str"):
            call()


def test_special_tokens_of_gpt_are_whole_words_everywhere() -> None:
    """`BasicTokenizer` keeps them; byte-pair encoding then spells them, as in 2019."""
    tokenizer = OpenAIGPTTokenizer.from_pretrained(DATA / "openai-gpt", special_tokens=["The_Sea"])
    text = "The_Sea, The_Sea the"
    assert tokenizer.nlp.tokenize(text) == ["the", "_", "sea", ",", "The_Sea", "the"]
    tokens = [*tokenizer.tokenize("the_sea,"), *tokenizer.bpe("The_Sea").split(" "), "the</w>"]
    assert tokenizer.tokenize(text) == tokens
    ids = tokenizer.convert_tokens_to_ids(tokens)
    assert tokenizer.encode(text) == ids
    assert tokenizer.encode_batch([text, text]) == [ids, ids]
    assert tokenizer.encode_batch([text], return_tensors="pt")["input_ids"].tolist() == [ids]
    spans = tokenizer.offsets(text)
    assert len(spans) == len(ids)
    word = [span for span in spans if 9 <= span[0] < 16]
    assert (word[0][0], word[-1][1]) == (9, 16)
    assert len(word) == len(tokenizer.bpe("The_Sea").split(" "))


# Offsets


@given(st.text(max_size=20))
def test_offsets_of_gpt2_cover_the_text(tokenizers: dict[str, Any], text: str) -> None:
    tokenizer = tokenizers["gpt2"]
    offsets = tokenizer.offsets(text)
    assert len(offsets) == len(tokenizer.tokenize(text))
    position = 0
    for begin, end in offsets:
        assert begin in (position, position - 1) and begin < end  # bytes of one character overlap
        position = end
    assert position == len(text)


@given(st.text(max_size=20))
def test_offsets_of_gpt_are_those_of_its_words(tokenizers: dict[str, Any], text: str) -> None:
    tokenizer = tokenizers["openai-gpt"]
    offsets = tokenizer.offsets(text)
    assert len(offsets) == len(tokenizer.tokenize(text))
    for token, (begin, end) in zip(tokenizer.tokenize(text), offsets, strict=True):
        shown, place = token.removesuffix("</w>"), text[begin:end]
        if place.isascii() and place.isprintable() and shown.isascii():  # without controls
            assert place.lower() == shown


def test_offsets_are_positions_in_the_str(tokenizers: dict[str, Any]) -> None:
    def marked(name: str, text: str) -> list[str]:
        return [text[begin:end] for begin, end in tokenizers[name].offsets(text)]

    assert "".join(marked("gpt2", "The sea, 123")) == "The sea, 123"
    assert marked("gpt2", "水") == ["水"] * len(tokenizers["gpt2"].tokenize("水"))
    assert "".join(marked("openai-gpt", "Séa, x")) == "Séa,x"


# Unusual input


def test_lone_surrogates_are_errors_with_their_position(tokenizer: Any) -> None:
    calls = [tokenizer.tokenize, tokenizer.encode, lambda text: tokenizer.encode_batch(["", text])]
    if not isinstance(tokenizer, TransfoXLTokenizer):
        calls.append(tokenizer.offsets)
    for call in calls:
        with pytest.raises(UnicodeEncodeError, match=r"'\\ud83c' in position 4") as error:
            call("sea \ud83c")
        assert (error.value.start, error.value.end) == (4, 5)


def test_a_word_of_a_megabyte(tokenizers: dict[str, Any]) -> None:
    word = "a" * 1_000_000
    assert tokenizers["bert"].tokenize(word) == ["[UNK]"]
    assert tokenizers["bert"].offsets(f"sea {word}")[-1] == (4, 1_000_004)
    assert tokenizers["transfo-xl"].tokenize(word) == [word]
    gpt2 = tokenizers["gpt2"]
    assert gpt2.decode(gpt2.encode(word), clean_up_tokenization_spaces=False) == word
    assert tokenizers["openai-gpt"].decode(tokenizers["openai-gpt"].encode(word)) == word


def test_a_line_of_megabytes(tokenizer: Any) -> None:
    unit, count = " the sea", 500_000
    ids = tokenizer.encode(unit)
    assert tokenizer.encode(unit * count) == ids * count


@pytest.mark.parametrize("name", NAMES)
def test_ids_out_of_range_raise(tokenizers: dict[str, Any], name: str) -> None:
    tokenizer = tokenizers[name]
    read = tokenizer.convert_ids_to_tokens if name == "bert" else tokenizer.decode
    for index in (-1, len(tokenizer), 2**62):
        with pytest.raises(LookupError, match=f"must be in the vocabulary .*{index}"):
            read([index])
