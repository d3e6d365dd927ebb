"""Features and embeddings of texts: `ptbert.analysis.hidden_states`, `ptbert.embed`."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import demo
import ptbert
from examples_support import write_gpt, write_gpt2, write_model
from ptbert.analysis import hidden_states
from support import assert_close

TEXTS = ["the cat", "the", "the cat the cat the", "cat the the"]
FAMILIES: dict[str, Any] = {
    "bert": (write_model, ptbert.BertForPreTraining, ptbert.BertTokenizer),
    "openai-gpt": (write_gpt, ptbert.OpenAIGPTLMHeadModel, ptbert.OpenAIGPTTokenizer),
    "gpt2": (write_gpt2, ptbert.GPT2LMHeadModel, ptbert.GPT2Tokenizer),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any]:
    """A model of each family, in training mode, and its tokenizer."""
    write, model_class, tokenizer_class = FAMILIES[request.param]
    write(tmp_path)
    return model_class.from_pretrained(str(tmp_path)), tokenizer_class.from_pretrained(
        str(tmp_path)
    )


@pytest.fixture
def bert(tmp_path: Path) -> tuple[Any, Any]:
    write_model(tmp_path)
    model: Any = ptbert.BertModel.from_pretrained(str(tmp_path))
    return model, ptbert.BertTokenizer.from_pretrained(str(tmp_path))


def alone(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """The states of one text by itself, [layers and embeddings, tokens, hidden]."""
    trunk = getattr(model, "bert", None) or getattr(model, "transformer", model)
    is_bert = isinstance(trunk, ptbert.BertModel)
    trunk.eval()
    row = tokenizer.encode_pair(text)["input_ids"] if is_bert else tokenizer.encode(text)
    ids = torch.tensor([row])
    with torch.no_grad():
        output = trunk(ids)
        states = output if isinstance(trunk, ptbert.OpenAIGPTModel) else output[0]
        states = [trunk.embeddings(ids), *states] if is_bert else states
    return torch.cat(states)


@pytest.mark.parametrize("pooling", ["first", "mean", "max"])
def test_pooled_states_are_those_of_each_text_alone(
    family: tuple[Any, Any], pooling: Any, tmp_path: Path
) -> None:
    path = tmp_path / "states.npy"
    file = hidden_states(
        *family, TEXTS, path, layers=[0, 1, -1], pooling=pooling, dtype="float32", batch_size=3
    )
    assert family[0].training
    assert file.layers == [0, 1, 2] and file.offsets is None
    for states, text in zip(np.load(path), TEXTS, strict=True):
        expected = alone(*family, text)
        pooled = {"first": expected[:, 0], "mean": expected.mean(1), "max": expected.amax(1)}
        assert_close(torch.tensor(states), pooled[pooling], atol=1e-5)


def test_without_pooling_all_tokens_are_kept(family: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "states.npy"
    file = hidden_states(*family, TEXTS, path, layers="all", pooling=None, batch_size=3)
    assert file.states.dtype == np.float16
    offsets = np.load(tmp_path / "states.offsets.npy")
    assert offsets.tolist() == file.offsets.tolist()
    for number, text in enumerate(TEXTS):
        states = torch.tensor(file.states[offsets[number] : offsets[number + 1]]).float()
        expected = alone(*family, text).transpose(0, 1)
        assert_close(states, expected.half().float(), atol=4e-3)
    assert sorted(one.name for one in tmp_path.glob("*.npy*")) == [
        "states.npy",
        "states.offsets.npy",
    ]


def test_embeddings_are_those_of_each_text_alone(family: tuple[Any, Any]) -> None:
    vectors = ptbert.embed(*family, TEXTS, batch_size=3)
    expected = torch.stack([alone(*family, text)[-1].mean(0) for text in TEXTS])
    assert_close(vectors, torch.nn.functional.normalize(expected, dim=-1), atol=1e-5)
    plain = ptbert.embed(*family, TEXTS, pooling="max", normalize=False)
    assert_close(plain[1], alone(*family, TEXTS[1])[-1].amax(0), atol=1e-5)
    assert ptbert.embed(*family, []).shape == (0, 32)


def test_long_texts_are_cut_off_with_a_warning(
    bert: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        cut = ptbert.embed(*bert, ["the cat the", "the"], max_length=4)
    assert caplog.messages == ["1 of 2 texts have more than 4 tokens and were cut off there."]
    assert_close(cut[0], ptbert.embed(*bert, ["the cat"])[0], atol=1e-6)


def test_what_is_wrong_is_named(bert: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "states.npy"

    def fails(kind: type[Exception], message: str, texts: Any = TEXTS, **options: Any) -> None:
        with pytest.raises(kind) as error:
            hidden_states(*bert, texts, options.pop("path", path), **options)
        assert str(error.value) == message
        assert not list(tmp_path.glob("*.npy*"))

    fails(ValueError, "`layers` (3) must be between -3 and 2.", layers=[3])
    fails(ValueError, "`layers` must hold at least one number, but is empty.", layers=[])
    fails(
        ValueError, '`layers` must be numbers, "all" or "last_four", but is "last".', layers="last"
    )
    fails(ValueError, "`layers` (-4) must be between -3 and 2.", layers="last_four")
    message = '`pooling` must be "first", "mean", "max" or None, but is \'sum\'.'
    fails(ValueError, message, pooling="sum")
    fails(ValueError, '`dtype` must be "float16" or "float32", but is \'int8\'.', dtype="int8")
    fails(ValueError, "`path` must end with .npy, but is states.", path="states")
    missing = tmp_path / "missing"
    fails(FileNotFoundError, f"`path`: there is no folder {missing}.", path=missing / "a.npy")
    fails(ValueError, "`texts` must hold at least one text, but is empty.", texts=[])
    message = '`texts` must be an iterable of texts, but is the str "cat".'
    fails(TypeError, message, texts="cat")
    fails(ValueError, "`batch_size` (0) must be at least 1.", batch_size=0)
    message = "`max_length` (65) must be between 3 and 64, the length that the model can read."
    fails(ValueError, message, max_length=65)
    bert[0].embeddings.LayerNorm.bias.data.fill_(1e6)
    message = '`dtype` must be "float32" for this model, but is "float16": its hidden states have '
    fails(ValueError, message + "numbers above 65504.", layers=[0])
    with pytest.raises(
        ValueError, match=r'^`pooling` must be "first", "mean" or "max", but is "a"'
    ):
        ptbert.embed(*bert, TEXTS, pooling="a")  # type: ignore[arg-type]


def test_embeddings_of_a_text_of_gpt_without_tokens_are_refused(tmp_path: Path) -> None:
    write_gpt2(tmp_path)
    model: Any = ptbert.GPT2Model.from_pretrained(str(tmp_path))
    tokenizer = ptbert.GPT2Tokenizer.from_pretrained(str(tmp_path))
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
