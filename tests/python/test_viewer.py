"""The page that `ptbert view-attention` writes: what is in it, and what it does in a browser."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import browser
import ptbert
from browser import Browser, open_browser
from examples_support import write_gpt, write_gpt2, write_model
from ptbert import cli
from ptbert._analysis.viewer import MOST_TOKENS
from ptbert.analysis import attention_page

READY = "document.documentElement.dataset.ready === ''"
WEIGHT_ERROR, COSINE_ERROR = 0.004, 2e-5
# Of 12 layers of 12 heads and 128 tokens.
MOST_MEGABYTES = 3.0


def data_of(page: str) -> dict[str, Any]:
    """What a page holds."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def unpack(packed: str, dtype: str) -> Any:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype)


def bert(folder: Path) -> tuple[Any, Any]:
    write_model(folder)
    return ptbert.BertForPreTraining.from_pretrained(str(folder)), tokenizer_of(
        ptbert.BertTokenizer, folder
    )


def gpt(folder: Path) -> tuple[Any, Any]:
    write_gpt(folder)
    return ptbert.OpenAIGPTLMHeadModel.from_pretrained(str(folder)), tokenizer_of(
        ptbert.OpenAIGPTTokenizer, folder
    )


def gpt2(folder: Path) -> tuple[Any, Any]:
    write_gpt2(folder)
    return ptbert.GPT2LMHeadModel.from_pretrained(str(folder)), tokenizer_of(
        ptbert.GPT2Tokenizer, folder
    )


def tokenizer_of(kind: Any, folder: Path) -> Any:
    return kind.from_pretrained(str(folder))


FAMILIES = {"bert": bert, "openai-gpt": gpt, "gpt2": gpt2}
TEXTS = {"bert": "The cats", "openai-gpt": "the cat", "gpt2": "the cat"}
TOKENS = {
    "bert": ["[CLS]", "the", "cat", "##s", "[SEP]", "the", "cat", "##s", "[SEP]"],
    "openai-gpt": ["the", "cat", "the", "cat"],
    "gpt2": ["the", "·cat", "·the", "·cat"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_holds_the_weights_and_cosines_of_the_model(family: str, tmp_path: Path) -> None:
    model, tokenizer = FAMILIES[family](tmp_path)
    model.train()  # dropout would show
    text = TEXTS[family]
    data = data_of(attention_page(model, tokenizer, text, text))
    assert data["tokens"] == TOKENS[family]
    assert model.training and not model.output_attentions
    assert data["causal"] == (family != "bert")

    trunk = getattr(model, "bert", None) or model.transformer
    trunk.eval()
    trunk.output_attentions = True
    half = len(data["tokens"]) // 2 + (family == "bert")
    assert data["segments"] == [0] * half + [1] * (len(data["tokens"]) - half)
    if family == "bert":
        ids, types = tokenizer.convert_tokens_to_ids(data["tokens"]), [data["segments"]]
    else:
        ids, types = tokenizer.encode(f"{text} {text}"), []
    inputs = [torch.tensor([values]) for values in (ids, *types)]
    with torch.no_grad():
        attentions, states, *_ = trunk(*inputs)
        if family == "bert":
            states = [trunk.embeddings(*inputs), *states]
    assert data["heads"] == [4, 4]
    for packed, expected in zip(data["attentions"], attentions, strict=True):
        weights = (unpack(packed, "u1").reshape(expected[0].shape) / 255.0) ** 2
        assert np.abs(weights - expected[0].numpy()).max() < WEIGHT_ERROR
    for packed, expected in zip(data["cosines"], states, strict=True):
        unit = torch.nn.functional.normalize(expected[0].double(), dim=-1)
        pairs = torch.tril_indices(len(unit), len(unit), -1)
        cosines = (unit @ unit.T)[pairs[0], pairs[1]].numpy()
        assert np.abs(unpack(packed, "<i2") / 32767 - cosines).max() < COSINE_ERROR


def test_pruned_layers_have_fewer_heads(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path)
    model.bert.prune_heads({1: [0, 2]})
    data = data_of(attention_page(model, tokenizer, "The cats"))
    assert data["heads"] == [4, 2]
    assert len(unpack(data["attentions"][1], "u1")) == 2 * len(data["tokens"]) ** 2


def test_texts_cannot_leave_their_place_in_the_page(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path)
    hostile = "</script><b>{{page.js}}"
    page = attention_page(model, tokenizer, hostile, title=hostile)
    assert data_of(page)["texts"] == [hostile]
    assert "<b>" not in page
    assert page.count('"use strict"') == 1


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path)
    with pytest.raises(ValueError, match=r'^`text_a` must hold at least one token, but is " "\.$'):
        attention_page(model, tokenizer, " ")
    message = (
        r"^`text_a` must have at most 64 tokens, the length that the model can read, but there are "
        r"72\.$"
    )
    with pytest.raises(ValueError, match=message):
        attention_page(model, tokenizer, "cat " * 70)
    with pytest.raises(TypeError, match=r"^`model` must be a BERT, GPT or GPT-2, or hold one, but"):
        attention_page(torch.nn.Linear(1, 1), tokenizer, "cat")
    _, tokenizer_of_gpt2 = gpt2(tmp_path / "gpt2")
    with pytest.raises(TypeError, match=r"^`tokenizer` must be a BertTokenizer for a model of"):
        attention_page(model, tokenizer_of_gpt2, "cat")
    large = ptbert.BertModel(ptbert.BertConfig(99, 32, 1, 4, 32, max_position_embeddings=600))
    message = (
        rf"^`text_a` and `text_b` together must have at most {MOST_TOKENS} tokens, to fit a page, "
        r"but there are 543\.$"
    )
    with pytest.raises(ValueError, match=message):
        attention_page(large, tokenizer, "cat " * 270, "cat " * 270)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_command_writes_the_page(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = FAMILIES[family](tmp_path / "small")
    output, text = tmp_path / "page.html", TEXTS[family]
    arguments = ["view-attention", "-m", str(tmp_path / "small"), text, "-o", str(output)]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == f"{output} shows it: 0.0 MB, to open in a browser.\n"
    assert output.read_text(encoding="utf-8") == attention_page(
        model, tokenizer, text, title="small"
    )


def test_bert_config_json_is_enough_to_know_a_bert(tmp_path: Path) -> None:
    bert(tmp_path)
    (tmp_path / "config.json").rename(tmp_path / "bert_config.json")
    output = tmp_path / "page.html"
    assert cli.main(["view-attention", "-m", str(tmp_path), "cat", "-o", str(output)]) == 0


def test_the_command_keeps_case(tmp_path: Path) -> None:
    bert(tmp_path)
    output = tmp_path / "page.html"
    arguments = ["view-attention", "-m", str(tmp_path), "The", "-o", str(output)]
    cli.main(arguments)
    assert data_of(output.read_text(encoding="utf-8"))["tokens"][1] == "the"
    cli.main([*arguments, "--cased"])
    assert data_of(output.read_text(encoding="utf-8"))["tokens"][1] != "the"


def test_the_command_explains_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpt2(tmp_path / "gpt2")
    folder = str(tmp_path / "gpt2")

    def error(model: str, output: Path, *more: str) -> str:
        with pytest.raises(SystemExit) as status:
            cli.main(["view-attention", "-m", model, "the", "-o", str(output), *more])
        assert status.value.code == 1
        return capsys.readouterr().err.removeprefix("ptbert: error: ").rstrip("\n")

    page, missing = tmp_path / "page.html", tmp_path / "missing"
    assert error(folder, missing / "p.html") == f"`--output`: there is no folder {missing}."
    assert error(folder, tmp_path) == f"`--output` must be a file, but {tmp_path} is a folder."
    assert error("transfo-xl-wt103", page) == (
        "`--model` must be a BERT, GPT or GPT-2, but `transfo-xl-wt103` is of transfo-xl."
    )
    assert error(folder, page, "--cased") == (
        f"`--cased` must be used with a BERT only, but `{folder}` is of gpt2."
    )
    assert not page.exists()


# ------------------------------------------------------------------------------------ in a browser

needs_browser = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium is installed")


def write_large_page(folder: Path) -> Path:
    """The page of a BERT with 12 x 12 heads and of 128 tokens."""
    write_model(folder)
    tokenizer = tokenizer_of(ptbert.BertTokenizer, folder)
    torch.manual_seed(0)
    sizes: Any = {"num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 96}
    config = ptbert.BertConfig(
        len(tokenizer.vocab), 96, initializer_range=0.2, max_position_embeddings=128, **sizes
    )
    html = attention_page(
        ptbert.BertModel(config), tokenizer, "The dog ran . " * 15, "Who ran ? The cat " * 13
    )
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """That page in a browser."""
    folder = tmp_path_factory.mktemp("viewer")
    file = write_large_page(folder)
    assert len(data_of(file.read_text(encoding="utf-8"))["tokens"]) == 128
    assert file.stat().st_size < MOST_MEGABYTES * 1e6
    with open_browser(folder / "profile") as opened:
        opened.size(1400, 900)
        opened.open(file, READY)
        yield opened


def text_of(page: Browser, selector: str) -> str:
    text: str = page.run(f"document.querySelector({selector!r}).textContent")
    return text


def focused(page: Browser) -> str:
    name: str = page.run(
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.title"
    )
    return name


@needs_browser
def test_a_pointer_shows_what_a_token_attends_to(page: Browser) -> None:
    page.point("#grid button[data-at='4,7']", press=True)
    assert text_of(page, "#shown") == "Head 5.8"
    page.point("#from li:nth-child(3)")
    assert text_of(page, "#token-title") == "“dog”"
    assert text_of(page, "#token-text") == "token 3 of 128 attends to"
    data = json.loads(text_of(page, "#data"))
    weights = (unpack(data["attentions"][4], "u1").reshape(12, 128, 128)[7] / 255.0) ** 2
    best = int(weights[2].argmax())
    assert text_of(page, "#shares li span") == data["tokens"][best]
    assert text_of(page, "#shares li em") == str(best + 1)
    page.point("#to li:nth-child(3)")
    assert text_of(page, "#token-text") == "token 3 of 128 is attended to by"
    assert text_of(page, "#shares li em") == str(int(weights[:, 2].argmax()) + 1)
    page.point("#title")
    assert text_of(page, "#token-title") == "Choose a token"


@needs_browser
def test_the_keyboard_reaches_heads_and_tokens(page: Browser) -> None:
    page.point("#grid button[data-at='0,0']", press=True)
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.key(key)
    assert focused(page) == "Layer 2, head 2"
    assert text_of(page, "#shown") == "Head 2.2"
    page.key("ArrowDown")
    page.point("#grid button[data-at='2,2']", press=True)
    page.key(" ")  # the only one stays
    assert text_of(page, "#shown") == "Head 3.3"
    page.run("document.querySelector('#from [tabindex=\"0\"]').focus()")
    page.key("Home")
    page.key("ArrowDown")
    assert focused(page) == "the (2)"
    assert text_of(page, "#token-title") == "“the”"
    page.key("Enter")
    page.point("#from li:nth-child(7)")  # a kept token stays
    assert text_of(page, "#token-text") == "token 2 of 128 attends to"
    page.key("ArrowRight")
    assert text_of(page, "#token-text") == "token 2 of 128 is attended to by"
    page.key("Escape")
    assert text_of(page, "#token-title") == "Choose a token"


@needs_browser
def test_neighbours_are_those_of_the_layer(page: Browser) -> None:
    page.point("#tab-neighbours", press=True)
    page.wait("document.querySelector('#layer-title').textContent === 'After layer 12 of 12'")
    page.point("#flow li:nth-child(3)", press=True)
    page.key("ArrowDown")
    assert text_of(page, "#layer-title") == "After layer 11 of 12"
    assert text_of(page, "#like-title") == "Most like “dog”"
    data = json.loads(text_of(page, "#data"))
    cosines = np.full((128, 128), -2.0)
    rows, columns = np.tril_indices(128, -1)
    cosines[rows, columns] = cosines[columns, rows] = unpack(data["cosines"][11], "<i2") / 32767
    assert text_of(page, "#likes li em") == str(int(cosines[2].argmax()) + 1)
    assert text_of(page, "#likes li small") == f"{cosines[2].max():.3f}"
    page.point("#tab-attention", press=True)


@needs_browser
def test_the_theme_follows_the_system_until_it_is_chosen(page: Browser) -> None:
    def paper() -> str:
        colour: str = page.run("getComputedStyle(document.body).backgroundColor")
        return colour

    page.prefer("light")
    light = paper()
    page.prefer("dark")
    dark = paper()
    assert light != dark
    page.point("#theme", press=True)
    assert text_of(page, "#theme") == "Theme: light"
    assert paper() == light
    page.point("#theme", press=True)
    page.prefer("light")
    assert paper() == dark
    page.point("#theme", press=True)
    assert text_of(page, "#theme") == "Theme: system"


@needs_browser
def test_everything_that_can_be_used_has_a_name(page: Browser) -> None:
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    used = ("button", "slider", "checkbox", "listbox", "tab", "tabpanel", "option")
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node.get("ignored") and node["role"]["value"] in used
    ]
    assert {role for role, _ in found} == set(used)
    assert [role for role, name in found if not name.strip()] == []


# The last: the page has been used by then.
@needs_browser
def test_no_script_failed_and_nothing_was_loaded(page: Browser) -> None:
    assert page.complaints() == []
