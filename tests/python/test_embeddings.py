"""Embeddings of texts: `ptbert.embed`."""

from __future__ import annotations

import importlib.util
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import demo
import ptbert
from support import assert_close, assert_equal
from text_models import FAMILIES, TEXTS, alone, load


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any]:
    return load(request.param, tmp_path)


@pytest.fixture
def bert(tmp_path: Path) -> tuple[Any, Any]:
    return load("bert", tmp_path)


def test_embeddings_are_those_of_each_text_alone(family: tuple[Any, Any]) -> None:
    vectors = ptbert.embed(*family, TEXTS, batch_size=3)
    expected = torch.stack([alone(*family, text)[-1].mean(0) for text in TEXTS])
    assert_close(vectors, torch.nn.functional.normalize(expected, dim=-1), atol=1e-5)
    plain = ptbert.embed(*family, TEXTS, pooling="max", normalize=False)
    assert_close(plain[1], alone(*family, TEXTS[1])[-1].amax(0), atol=1e-5)
    assert ptbert.embed(*family, []).shape == (0, 32)


def test_a_model_inside_a_module_of_the_users(family: tuple[Any, Any]) -> None:
    model, tokenizer = family
    assert_equal(
        ptbert.embed(nn.Sequential(nn.Identity(), model), tokenizer, TEXTS),
        ptbert.embed(model, tokenizer, TEXTS),
    )


def test_long_texts_are_cut_off_with_a_warning(
    bert: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        cut = ptbert.embed(*bert, ["the cat the", "the"], max_length=4)
    assert caplog.messages == ["1 of 2 texts have more than 4 tokens and were cut off there."]
    assert_close(cut[0], ptbert.embed(*bert, ["the cat"])[0], atol=1e-6)


def test_what_is_wrong_is_named(bert: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = bert
    for pooling in ("a", None):
        message = f'^`pooling` must be "first", "mean" or "max", but is {pooling!r}\\.$'
        for texts in (TEXTS, []):
            with pytest.raises(ValueError, match=message):
                ptbert.embed(model, tokenizer, texts, pooling=pooling)  # type: ignore[arg-type]
    gpt2, tokenizer_of_gpt2 = load("gpt2", tmp_path / "gpt2")
    for wrong_model, wrong_tokenizer, message in (
        (
            nn.Linear(1, 1),
            tokenizer,
            "`model` must be a BERT, GPT or GPT-2, or hold one, but is a Linear.",
        ),
        (
            None,
            tokenizer,
            "`model` must be a BERT, GPT or GPT-2, or hold one, but is a NoneType.",
        ),
        (
            model,
            tokenizer_of_gpt2,
            "`tokenizer` must be a BertTokenizer for a model of the family bert, but is a "
            "GPT2Tokenizer.",
        ),
        (
            gpt2,
            tokenizer,
            "`tokenizer` must be no BertTokenizer for a model of the family gpt2, but is a "
            "BertTokenizer.",
        ),
    ):
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            ptbert.embed(wrong_model, wrong_tokenizer, TEXTS)


def test_embeddings_of_a_text_of_gpt_without_tokens_are_refused(tmp_path: Path) -> None:
    model, tokenizer = load("gpt2", tmp_path)
    message = "^`texts` must hold at least one token each, but text 1 has none"
    with pytest.raises(ValueError, match=message):
        ptbert.embed(model, tokenizer, ["the", ""])


@pytest.mark.skipif(
    importlib.util.find_spec(demo.MODEL_PACKAGE) is None, reason="the demo's model is not installed"
)
def test_embeddings_of_minilm_are_those_of_sentence_transformers() -> None:
    folder = str(demo.locate_model())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        library = pytest.importorskip("sentence_transformers")
        oracle = library.SentenceTransformer(folder, device="cpu")
    texts = ["A man is playing a guitar.", "Someone plays music.", "The stock fell.", "Rain? No!"]
    vectors = ptbert.embed(
        ptbert.BertModel.from_pretrained(folder),
        ptbert.BertTokenizer.from_pretrained(folder),
        texts,
    )
    assert_close(vectors, torch.from_numpy(oracle.encode(texts)), atol=1e-5)
