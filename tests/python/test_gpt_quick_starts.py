"""The quick-starts of the 2019 documentation for GPT and GPT-2, from a folder of tiny models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import ptbert
from test_tokenization_gpt2 import FOLDER as GPT2_VOCABULARY
from test_tokenization_openai import FOLDER as OPENAI_VOCABULARY

TEXT = "Who was Jim Henson ? Jim Henson was a puppeteer"
FAMILIES = {"OpenAIGPT": OPENAI_VOCABULARY, "GPT2": GPT2_VOCABULARY}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def of(family: str, name: str) -> Any:
    return getattr(ptbert, family + name)


@pytest.fixture
def tokenizer(family: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "ftfy", None)  # GPT's other way of words
    return of(family, "Tokenizer").from_pretrained(FAMILIES[family])


@pytest.fixture
def folder(family: str, tokenizer: Any, tmp_path: Path) -> Path:
    config = of(family, "Config")(
        len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64, n_ctx=64
    )
    model = of(family, "DoubleHeadsModel")(config)
    torch.save(model.state_dict(), tmp_path / ptbert.WEIGHTS_NAME)
    config.to_json_file(tmp_path / ptbert.CONFIG_NAME)
    return tmp_path


def test_hidden_states(family: str, tokenizer: Any, folder: Path) -> None:
    tokens = torch.tensor([tokenizer.convert_tokens_to_ids(tokenizer.tokenize(TEXT))])
    model = of(family, "Model").from_pretrained(folder).eval()
    with torch.no_grad():
        hidden_states = model(tokens) if family == "OpenAIGPT" else model(tokens)[0]
    assert len(hidden_states) == 3
    assert hidden_states[-1].shape == (1, tokens.size(1), 32)


def test_the_most_probable_next_token(family: str, tokenizer: Any, folder: Path) -> None:
    ids = tokenizer.encode(TEXT)
    model = of(family, "LMHeadModel").from_pretrained(folder).eval()
    with torch.no_grad():
        output = model(torch.tensor([ids]))
        predictions = output if family == "OpenAIGPT" else output[0]
    predicted = int(predictions[0, -1].argmax())
    assert isinstance(tokenizer.decode([predicted]), str)
    (written,) = model.generate([ids], max_new_tokens=1)  # greedy: the same token
    assert written.ids == [predicted]


@pytest.mark.parametrize("family", ["GPT2"], indirect=True)  # GPT has no past
def test_a_past_goes_on(tokenizer: Any, folder: Path) -> None:
    first, second = "Who was Jim Henson ?", " Jim Henson was a"
    model = ptbert.GPT2LMHeadModel.from_pretrained(folder).eval()
    with torch.no_grad():
        _, past = model(torch.tensor([tokenizer.encode(first)]))
        predictions, past = model(torch.tensor([tokenizer.encode(second)]), past=past)
        ids = torch.tensor([tokenizer.encode(first) + tokenizer.encode(second)])
        whole, _ = model(ids)
    torch.testing.assert_close(predictions[0, -1], whole[0, -1])


def test_double_heads(family: str, tokenizer: Any, folder: Path) -> None:
    tokenizer.set_special_tokens(["[CLS]"])
    (classify,) = tokenizer.convert_tokens_to_ids(["[CLS]"])
    choices = ["Hello, my dog is cute", "Hello, my cat is cute"]
    ids = [[*tokenizer.encode(choice), classify] for choice in choices]
    length = max(map(len, ids))
    tokens = torch.tensor([[row + [0] * (length - len(row)) for row in ids]])
    mc_token_ids = torch.tensor([[len(row) - 1 for row in ids]])
    model = of(family, "DoubleHeadsModel").from_pretrained(folder, num_special_tokens=1).eval()
    with torch.no_grad():
        lm_logits, multiple_choice_logits, *_ = model(tokens, mc_token_ids)
    assert lm_logits.shape == (1, 2, length, len(tokenizer))
    assert multiple_choice_logits.shape == (1, 2)
