"""Comparisons of our tokenizers with reference libraries, and the known differences of each.

`Comparison.explained` is about `tokenizers`, which does three things in another way than
pytorch-pretrained-bert 0.6.2; for all other texts, and all other libraries, nothing may differ.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import bpe_reference
from ptbert import BertTokenizer, GPT2Tokenizer, OpenAIGPTTokenizer, TransfoXLTokenizer
from support import GOLDEN, import_or_skip
from tokenization_reference import SPECIAL_TOKENS

HF_CHARACTERS_FILE = GOLDEN / "hf_tokenizers_characters.json"
BERT_VOCABULARIES = ("base-uncased", "base-cased", "base-chinese")

View = Callable[[str], Any]


def nothing_is_explained(text: str) -> bool:
    return False


@dataclasses.dataclass
class Comparison:
    """Two functions of a text that must agree unless a difference is explained."""

    ours: View
    theirs: View
    explained: Callable[[str], bool] = nothing_is_explained

    def difference(self, text: str) -> str | None:
        """Returns both results where they differ and may not."""
        if self.explained(text):
            return None
        ours, theirs = self.ours(text), self.theirs(text)
        return None if ours == theirs else f"{text!r}: {ours} instead of {theirs}"


def files_of(data: Path, kind: str) -> tuple[str, str]:
    """vocab.json and merges.txt of "gpt2" or "openai-gpt", under their first names."""
    names = {
        "gpt2": ("encoder.json", "vocab.bpe"),
        "openai-gpt": ("encoder_bpe_40000.json", "vocab_40000.bpe"),
    }
    vocab, merges = (str(data / "vocab" / kind / name) for name in names[kind])
    return vocab, merges


def bert_vocabulary(data: Path, name: str) -> str:
    return str(data / "vocab" / f"bert-{name}-vocab.txt")


def without_spacy() -> Any:
    """Makes GPT's tokenizer use BasicTokenizer for words."""
    return mock.patch.dict(sys.modules, ftfy=None)


def bert_and_original(data: Path, name: str, **options: Any) -> Comparison:
    original = import_or_skip("pytorch_pretrained_bert.tokenization")
    file = bert_vocabulary(data, name)
    options = {"do_lower_case": name != "base-cased", **options}
    ours, theirs = BertTokenizer(file, **options), original.BertTokenizer(file, **options)
    assert list(ours.vocab.items()) == list(theirs.vocab.items())
    assert list(ours.ids_to_tokens.items()) == list(theirs.ids_to_tokens.items())

    def their_view(text: str) -> Any:
        tokens = theirs.tokenize(text)
        return tokens, theirs.convert_tokens_to_ids(tokens), len(tokens)

    return Comparison(
        lambda t: (ours.tokenize(t), ours.encode(t), len(ours.offsets(t))), their_view
    )


def gpt_and_original(data: Path) -> Comparison:
    original = import_or_skip("pytorch_pretrained_bert.tokenization_openai")
    files = files_of(data, "openai-gpt")
    with without_spacy():
        ours, theirs = OpenAIGPTTokenizer(*files), original.OpenAIGPTTokenizer(*files)
    assert list(ours.encoder.items()) == list(theirs.encoder.items())
    assert ours.bpe_ranks == theirs.bpe_ranks

    def their_view(text: str) -> Any:
        tokens = theirs.tokenize(text)
        ids = theirs.convert_tokens_to_ids(tokens)
        return tokens, ids, theirs.decode(ids), len(ids)

    def our_view(text: str) -> Any:
        ids = ours.encode(text)
        return ours.tokenize(text), ids, ours.decode(ids), len(ours.offsets(text))

    return Comparison(our_view, their_view)


def gpt2_and_tiktoken(data: Path) -> Comparison:
    files = files_of(data, "gpt2")
    tables, ours = GPT2Tokenizer(*files), GPT2Tokenizer(*files)
    theirs = bpe_reference.tiktoken_encoding(dict(tables.encoder), dict(tables.bpe_ranks))

    def our_view(text: str) -> Any:
        ids = ours.encode(text)
        return ids, ours.decode(ids, clean_up_tokenization_spaces=False), len(ours.offsets(text))

    def their_view(text: str) -> Any:
        ids = theirs.encode_ordinary(text)
        return ids, text, len(ids)

    return Comparison(our_view, their_view)


def transfo_xl_and_original(data: Path, **options: Any) -> Comparison:
    original = import_or_skip("pytorch_pretrained_bert.tokenization_transfo_xl")
    ours, theirs = TransfoXLTokenizer(**options), original.TransfoXLTokenizer(**options)
    corpus = str(data / "lm" / "wikitext-2" / "valid.txt")
    for tokenizer in (ours, theirs):
        tokenizer.count_file(corpus)
        tokenizer.build_vocab()

    def view(tokenizer: Any) -> View:
        def of(text: str) -> Any:
            tokens = tokenizer.tokenize(text, add_eos=True)
            ids = tokenizer.convert_tokens_to_ids(tokens)
            return tokens, ids, tokenizer.decode(ids)

        return of

    return Comparison(view(ours), view(theirs))


def hf_explains(lower_case: bool, special_tokens: Iterable[str]) -> Callable[[str], bool]:
    """Returns whether `tokenizers` may make something else of a text.

    - A capital sigma at the end of a word: str.lower, and so the original, makes the final sigma of
      it; `tokenizers` lowers each character alone.
    - A special token within a word or beside punctuation: the original keeps one whole only where
      white space is around it.
    - Characters in the committed file: its character data is of Unicode 8, and its block of CJK
      extension E begins at U+2B920 instead of U+2B820.
    """
    record = json.loads(HF_CHARACTERS_FILE.read_text(encoding="utf-8"))
    kind = "lower case" if lower_case else "cased"
    characters = {chr(code) for first, last in record[kind] for code in range(first, last + 1)}
    return lambda text: not characters.isdisjoint(text) or any(t in text for t in special_tokens)


def bert_and_hf(data: Path, name: str) -> Comparison:
    file, lower_case = bert_vocabulary(data, name), name != "base-cased"
    theirs = import_or_skip("tokenizers").BertWordPieceTokenizer(file, lowercase=lower_case)
    ours = BertTokenizer(file, lower_case)

    def their_view(text: str) -> Any:
        encoding = theirs.encode(text, add_special_tokens=False)
        return encoding.tokens, encoding.ids

    return Comparison(
        lambda text: (ours.tokenize(text), ours.encode(text)),
        their_view,
        hf_explains(lower_case, SPECIAL_TOKENS),
    )


def gpt2_and_hf(data: Path) -> Comparison:
    files = files_of(data, "gpt2")
    theirs = import_or_skip("tokenizers").ByteLevelBPETokenizer(*files)
    ours = GPT2Tokenizer(*files)
    return Comparison(ours.encode, lambda text: theirs.encode(text).ids)


def gpt_and_hf(data: Path) -> Comparison:
    tokenizers = import_or_skip("tokenizers")
    files = files_of(data, "openai-gpt")
    model = tokenizers.models.BPE.from_file(
        *files, unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=False
    )
    theirs = tokenizers.Tokenizer(model)
    theirs.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    with without_spacy():
        ours = OpenAIGPTTokenizer(*files)
    return Comparison(ours.encode, lambda text: theirs.encode(text).ids, hf_explains(True, ()))


def comparisons(data: Path) -> dict[str, Callable[[], Comparison]]:
    """All comparisons by name."""
    return {
        "BERT base-uncased, 0.6.2": lambda: bert_and_original(data, "base-uncased"),
        "BERT base-cased, 0.6.2": lambda: bert_and_original(data, "base-cased"),
        "BERT base-chinese, 0.6.2": lambda: bert_and_original(data, "base-chinese"),
        "BERT without basic tokenization, 0.6.2": lambda: bert_and_original(
            data, "base-uncased", do_basic_tokenize=False
        ),
        "GPT, 0.6.2": lambda: gpt_and_original(data),
        "GPT-2, tiktoken": lambda: gpt2_and_tiktoken(data),
        "Transformer-XL, 0.6.2": lambda: transfo_xl_and_original(data, special=["<unk>", "<eos>"]),
        "Transformer-XL lower case, 0.6.2": lambda: transfo_xl_and_original(
            data, special=["<unk>", "<eos>"], lower_case=True
        ),
        "BERT base-uncased, tokenizers": lambda: bert_and_hf(data, "base-uncased"),
        "BERT base-cased, tokenizers": lambda: bert_and_hf(data, "base-cased"),
        "GPT, tokenizers": lambda: gpt_and_hf(data),
        "GPT-2, tokenizers": lambda: gpt2_and_hf(data),
    }
