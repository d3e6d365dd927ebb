"""Ids as clients have them: tensors, arrays, lists of their elements, a single id, a batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from ptbert import BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer, TransfoXLTokenizer
from support import GOLDEN
from test_tokenization import VOCABULARY

DATA = GOLDEN.parent / "data"
NAMES = ("bert", "gpt2", "gpt2 with a decoder", "openai-gpt", "transfo-xl")
IDS = [3, 1, 2, 3]
Read = Callable[[Any], Any]


@pytest.fixture(scope="module")
def tokenizers() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ftfy", None)
        words = TransfoXLTokenizer(special=["<unk>", "<eos>"])
        words.count_sents([["the", "sea", "tide", "in"]])
        words.build_vocab()
        with_decoder = GPT2Tokenizer.from_pretrained(DATA / "gpt2", special_tokens=["<s>"])
        assert with_decoder.decoder
        yield {
            "bert": BertTokenizer(VOCABULARY),
            "gpt2": GPT2Tokenizer.from_pretrained(DATA / "gpt2"),
            "gpt2 with a decoder": with_decoder,
            "openai-gpt": OpenAIGPTTokenizer.from_pretrained(DATA / "openai-gpt"),
            "transfo-xl": words,
        }


@pytest.fixture(
    params=[(name, method) for name in NAMES for method in ("convert_ids_to_tokens", "decode")],
    ids=lambda param: " ".join(param),
)
def read(tokenizers: dict[str, Any], request: pytest.FixtureRequest) -> Read:
    name, method = request.param
    if not hasattr(tokenizers[name], method):
        pytest.skip("BERT's tokenizer has no decode")
    found: Read = getattr(tokenizers[name], method)
    return found


SAME_IDS: dict[str, Callable[[], Any]] = {
    "tensor": lambda: torch.tensor(IDS),
    "int32 tensor": lambda: torch.tensor(IDS, dtype=torch.int32),
    "row of a batch": lambda: torch.tensor([IDS, IDS])[1],
    "array": lambda: np.array(IDS),
    "list of numpy integers": lambda: list(np.array(IDS)),
    "list of tensors": lambda: list(torch.tensor(IDS)),
    "tuple of both": lambda: (torch.tensor(3), np.int32(1), 2, 3),
    "generator": lambda: iter(IDS),
    "bools for 0 and 1": lambda: [3, True, 2, 3],
}


@pytest.mark.parametrize("same", SAME_IDS)
def test_ids_of_any_kind_are_read(read: Read, same: str) -> None:
    assert read(SAME_IDS[same]()) == read(IDS)


def test_empty_tensor_is_no_ids(read: Read) -> None:
    assert read(torch.tensor([], dtype=torch.long)) == read([])


BAD_IDS: dict[str, tuple[Any, str]] = {
    "int": (4, r"is the single id 4: pass `\[4\]`\."),
    "numpy integer": (np.int64(4), r"is the single id 4: pass `\[4\]`\."),
    "tensor of one id": (torch.tensor(4), r"is the single id 4: pass `\[4\]`\."),
    "batch": (torch.tensor([IDS]), r"is a Tensor of shape \[1, 4\]: pass one row at a time\."),
    "column": (torch.tensor([[1], [2]]), r"is a Tensor of shape \[2, 1\]: pass one row"),
    "batch array": (np.array([IDS]), r"is an? ndarray of shape \[1, 4\]: pass one row at a time\."),
    "str": ("12", "is the str '12'"),
    "None": (None, r"is a NoneType\."),
}


@pytest.mark.parametrize("kind", BAD_IDS)
def test_a_single_id_or_a_batch_is_a_type_error(read: Read, kind: str) -> None:
    ids, message = BAD_IDS[kind]
    pattern = f"^`(ids|indices)` must be the ids of one text, but {message}"
    with pytest.raises(TypeError, match=pattern):
        read(ids)


@pytest.mark.parametrize("kind", ["lists", "tensors"])
def test_a_batch_in_a_list_is_a_type_error(read: Read, kind: str) -> None:
    batch: list[Any] = [IDS, IDS] if kind == "lists" else [torch.tensor(IDS)] * 2
    with pytest.raises(TypeError, match=r"`(ids|indices)(\[\.\.\.\])?` must be .*(list|Tensor)"):
        read(batch)


def test_something_else_in_the_list_is_a_type_error(read: Read) -> None:
    for bad in (None, "1"):
        with pytest.raises(TypeError, match=r"`(ids|indices)\[\.\.\.\]` must be an int, but is a"):
            read([1, bad])


def test_unknown_ids_of_any_kind_are_named(read: Read) -> None:
    for ids in ([99999], torch.tensor([99999]), [torch.tensor(99999)], np.array([99999])):
        with pytest.raises(LookupError, match="99999"):
            read(ids)


def test_ids_to_leave_out_may_be_of_any_kind(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["transfo-xl"]
    expected = tokenizer.decode([2, 2])
    for exclude in ([3, 1], {1, 3}, torch.tensor([1, 3]), list(torch.tensor([3, 1]))):
        assert tokenizer.decode(list(torch.tensor([2, 3, 1, 2])), exclude=exclude) == expected


def test_special_ids_of_any_kind_are_read(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["gpt2 with a decoder"]
    ids = [len(tokenizer) - 1, 1]
    for same in (torch.tensor(ids), list(torch.tensor(ids))):
        assert tokenizer.convert_ids_to_tokens(same) == tokenizer.convert_ids_to_tokens(ids)
        skipped = tokenizer.convert_ids_to_tokens(same, skip_special_tokens=True)
        assert skipped == tokenizer.convert_ids_to_tokens([1])


# Tokens


def test_str_is_its_characters_for_bert_as_in_2019(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["bert"]
    assert tokenizer.convert_tokens_to_ids("ab") == tokenizer.convert_tokens_to_ids(["a", "b"])
    with pytest.raises(KeyError, match=r'its characters: pass `\["\[CLS\]"\]` for one'):
        tokenizer.convert_tokens_to_ids("[CLS]")
    assert tokenizers["transfo-xl"].convert_tokens_to_ids("ab") == [0, 0]


@pytest.mark.parametrize("name", ["gpt2", "openai-gpt"])
def test_str_is_one_token_for_gpt_as_in_2019(tokenizers: dict[str, Any], name: str) -> None:
    tokenizer = tokenizers[name]
    assert tokenizer.convert_tokens_to_ids("t") == tokenizer.convert_tokens_to_ids(["t"])[0]
    array = np.array(["t", "h"])
    assert tokenizer.convert_tokens_to_ids(array) == tokenizer.convert_tokens_to_ids(["t", "h"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tokens", [None, 5, [["the"]], np.array([["the"]])], ids=repr)
def test_tokens_that_are_none_are_a_type_error(
    tokenizers: dict[str, Any], name: str, tokens: Any
) -> None:
    with pytest.raises(TypeError, match=r"`(tokens|symbols)(\[\.\.\.\])?` must be"):
        tokenizers[name].convert_tokens_to_ids(tokens)


@pytest.mark.parametrize("tokens", [[1], torch.tensor([1]), b"1"], ids=repr)
def test_ids_as_tokens_of_bert_are_a_type_error(tokenizers: dict[str, Any], tokens: Any) -> None:
    with pytest.raises(
        TypeError, match=r"`tokens\[\.\.\.\]` must be a str, but is an? (int|Tensor)"
    ):
        tokenizers["bert"].convert_tokens_to_ids(tokens)
