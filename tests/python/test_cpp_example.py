"""The C++ examples give what the Python model saved in the same folder gives."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import ptbert
from examples_support import write_model
from support import GOLDEN, REPOSITORY, assert_close, seed_weights
from transfo_xl_cases import TINY_TRANSFO_XL

EXAMPLES = REPOSITORY / "build" / "release" / "examples" / "cpp"
CLASSIFY, GENERATE = EXAMPLES / "classify", EXAMPLES / "generate"
PERPLEXITY = EXAMPLES / "perplexity"
NEAREST = EXAMPLES / "nearest"
FOLDER = GOLDEN / "checkpoints" / "classifier"
TEXTS = ["The boats sailed quietly.", "The Sea is quick!"]

pytestmark = pytest.mark.skipif(
    not all(path.is_file() for path in (CLASSIFY, GENERATE, PERPLEXITY, NEAREST)),
    reason="examples/cpp is not built: see PTBERT_BUILD_TESTS",
)


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(argument) for argument in (program, *arguments)]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    )


def classify(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run(CLASSIFY, *arguments)


def logits_of_cpp(folder: Path, texts: list[str]) -> torch.Tensor:
    result = classify(folder, *texts)
    assert result.stderr == ""
    assert result.returncode == 0
    return torch.tensor([float(line) for line in result.stdout.splitlines()])


def logits_of_python(model: ptbert.BertForSequenceClassification, texts: list[str]) -> torch.Tensor:
    tokenizer = ptbert.BertTokenizer(str(FOLDER / "vocab.txt"))
    tokens, types = ["[CLS]"], [0]
    for index, text in enumerate(texts):
        pieces = [*tokenizer.tokenize(text), "[SEP]"]
        tokens += pieces
        types += [index] * len(pieces)
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(tokens)])
    with torch.no_grad():
        logits: torch.Tensor = model(ids, torch.tensor([types]))
    return logits[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "vocab.txt"):
        shutil.copy(FOLDER / name, tmp_path)
    return tmp_path


@pytest.fixture
def model(folder: Path) -> ptbert.BertForSequenceClassification:
    config = ptbert.BertConfig.from_json_file(str(folder / "config.json"))
    model = ptbert.BertForSequenceClassification(config, num_labels=4)
    seed_weights(model)
    return model.eval()


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]], ids=["pair", "single"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_logits_are_those_of_python(
    folder: Path,
    model: ptbert.BertForSequenceClassification,
    name: str,
    dtype: torch.dtype,
    texts: list[str],
) -> None:
    model.to(dtype)
    state = model.state_dict()
    if name.endswith(".bin"):
        torch.save(state, folder / name)
    else:
        save_file(state, folder / name)
    expected = logits_of_python(model.float(), texts)
    assert_close(logits_of_cpp(folder, texts), expected, 1e-6)


def test_logits_are_those_of_2019() -> None:
    golden = json.loads((GOLDEN / "checkpoints.json").read_text())["classifier"]
    expected = torch.tensor(golden["logits"], dtype=torch.float64)
    assert_close(logits_of_cpp(FOLDER, golden["texts"]), expected)


def test_usage() -> None:
    result = classify(FOLDER)
    assert result.stderr == "usage: classify FOLDER TEXT [SECOND_TEXT]\n"
    assert result.returncode == 1


def test_folder_without_weights(folder: Path) -> None:
    result = classify(folder, "text")
    assert result.stderr == (
        f"`{folder}` must hold model.safetensors or pytorch_model.bin, but holds neither.\n"
    )
    assert result.returncode == 1


def test_model_without_classifier(
    folder: Path, model: ptbert.BertForSequenceClassification
) -> None:
    torch.save(ptbert.BertModel(model.config).state_dict(), folder / "pytorch_model.bin")
    result = classify(folder, "text")
    assert result.stderr == (
        "The checkpoint lacks `classifier.weight`: it is no fine-tuned classifier.\n"
    )


def test_too_long_text(folder: Path, model: ptbert.BertForSequenceClassification) -> None:
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    result = classify(folder, "boat " * 30)
    assert "must hold at most 24 tokens a row" in result.stderr
    assert result.returncode == 1


VOCABULARY = REPOSITORY / "tests" / "data" / "gpt2"
PROMPT = "The sea 海 "


@pytest.fixture
def writer(tmp_path: Path) -> ptbert.GPT2LMHeadModel:
    """A GPT-2 with random weights, saved in a folder with its vocabulary."""
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(VOCABULARY / name, tmp_path)
    tokens = len(json.loads((VOCABULARY / "vocab.json").read_text(encoding="utf-8")))
    config = ptbert.GPT2Config(tokens, n_positions=24, n_ctx=24, n_embd=16, n_layer=2, n_head=4)
    model = ptbert.GPT2LMHeadModel(config)
    seed_weights(model)
    config.to_json_file(str(tmp_path / "config.json"))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    return model.eval()


def continuation(model: ptbert.GPT2LMHeadModel, tokens: int, seed: int) -> str:
    """What the example should write, from Python."""
    tokenizer = ptbert.GPT2Tokenizer(VOCABULARY / "vocab.json", VOCABULARY / "merges.txt")
    (generated,) = model.generate(
        tokenizer.encode(PROMPT),
        max_new_tokens=tokens,
        temperature=0.8,
        top_p=0.95,
        stop_ids=[tokenizer.encoder["<|endoftext|>"]],
        sliding_window=True,
        seed=seed,
    )
    return tokenizer.decode(generated.ids, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize(("tokens", "seed"), [(12, 1), (60, 2), (60, 3)])
def test_text_is_that_of_python(
    tmp_path: Path, writer: ptbert.GPT2LMHeadModel, tokens: int, seed: int
) -> None:
    result = run(GENERATE, tmp_path, PROMPT, tokens, seed)
    assert result.stderr == ""
    assert result.returncode == 0
    assert result.stdout == PROMPT + continuation(writer, tokens, seed) + "\n"


def test_writer_has_defaults(tmp_path: Path, writer: ptbert.GPT2LMHeadModel) -> None:
    assert run(GENERATE, tmp_path, PROMPT).stdout == PROMPT + continuation(writer, 100, 1) + "\n"


def test_usage_of_writer() -> None:
    result = run(GENERATE, VOCABULARY)
    assert result.stderr == "usage: generate FOLDER PROMPT [TOKENS [SEED]]\n"
    assert result.returncode == 1


def test_writer_needs_a_gpt2_model(tmp_path: Path, writer: ptbert.GPT2LMHeadModel) -> None:
    state = writer.state_dict()
    del state["transformer.h.1.mlp.c_fc.bias"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    result = run(GENERATE, tmp_path, PROMPT)
    assert result.stderr == (
        "The checkpoint lacks `transformer.h.1.mlp.c_fc.bias`: it is no GPT-2 model.\n"
    )
    assert result.returncode == 1


def test_writer_needs_a_prompt(tmp_path: Path, writer: ptbert.GPT2LMHeadModel) -> None:
    result = run(GENERATE, tmp_path, "")
    assert result.stderr.startswith("`input_ids` must hold at least one token a prompt")
    assert result.returncode == 1


@pytest.fixture
def reader(tmp_path: Path) -> ptbert.TransfoXLLMHeadModel:
    """A Transformer-XL saved with its vocabulary in `tmp_path`, beside a text."""
    tokenizer = ptbert.TransfoXLTokenizer(special=["<eos>", "<unk>"])
    text = tmp_path / "text.txt"
    text.write_text("the sea is wide\n\nthe tide is high , is the sea ?\n", encoding="utf-8")
    tokenizer.count_file(str(text))
    tokenizer.build_vocab()
    (tmp_path / "vocab.txt").write_text("\n".join(tokenizer.idx2sym), encoding="utf-8")
    fields = {**TINY_TRANSFO_XL, "n_token": len(tokenizer), "cutoffs": [4, 7]}
    model = ptbert.TransfoXLLMHeadModel(ptbert.TransfoXLConfig.from_dict(fields))
    seed_weights(model)
    model.config.to_json_file(str(tmp_path / "config.json"))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    return model.eval()


@pytest.mark.parametrize("vocabulary", ["vocab.txt", "vocab.bin", "zipped vocab.bin", "vocab.pkl"])
@pytest.mark.parametrize("length", [None, 3])
def test_perplexity_is_that_of_python(
    tmp_path: Path, reader: ptbert.TransfoXLLMHeadModel, length: int | None, vocabulary: str
) -> None:
    tokenizer = ptbert.TransfoXLTokenizer(vocab_file=tmp_path / "vocab.txt", lower_case=True)
    tokenizer.build_vocab()
    if vocabulary != "vocab.txt":
        text = (tmp_path / "text.txt").read_text(encoding="utf-8")
        (tmp_path / "text.txt").write_text(text.replace("the", "The"), encoding="utf-8")
        (tmp_path / "vocab.txt").unlink()
    if vocabulary == "vocab.bin":
        tokenizer.save_vocabulary(tmp_path)
    elif vocabulary == "zipped vocab.bin":
        torch.save({**vars(tokenizer), "vocab_file": None}, tmp_path / "vocab.bin")
    elif vocabulary == "vocab.pkl":
        (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(vars(tokenizer)))
    ids = tokenizer.encode_file(str(tmp_path / "text.txt"), ordered=True, add_eos=True)[None]
    mems, losses = None, []
    for inputs, target in zip(
        ids[:, :-1].split(length or 4, 1), ids[:, 1:].split(length or 4, 1), strict=True
    ):
        with torch.no_grad():
            loss, mems = reader(inputs, target, mems)
        losses.append(loss)
    expected = torch.cat(losses, 1).mean().exp().item()
    result = run(PERPLEXITY, tmp_path, tmp_path / "text.txt", *([length] if length else []))
    assert result.stderr == ""
    assert result.stdout == f"{ids.numel() - 1} tokens, perplexity {expected:.4f}\n"


def test_reader_names_what_is_wrong(tmp_path: Path, reader: ptbert.TransfoXLLMHeadModel) -> None:
    usage = "usage: perplexity FOLDER TEXT_FILE [TOKENS_A_SEGMENT]\n"
    assert run(PERPLEXITY, tmp_path).stderr == usage
    result = run(PERPLEXITY, tmp_path, tmp_path / "text.txt", 0)
    assert result.stderr == "`TOKENS_A_SEGMENT` must be at least 1, but is 0.\n"
    (tmp_path / "none").mkdir()
    shutil.copy(tmp_path / "config.json", tmp_path / "none")
    result = run(PERPLEXITY, tmp_path / "none", tmp_path / "text.txt")
    assert result.stderr == (
        f"`{tmp_path / 'none'}` must hold vocab.bin, vocab.pkl or vocab.txt, but does not.\n"
    )
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    result = run(PERPLEXITY, tmp_path, tmp_path / "empty.txt")
    assert result.stderr.endswith("` must hold at least two tokens.\n")
    state = reader.state_dict()
    del state["transformer.layers.1.pos_ff.layer_norm.bias"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    result = run(PERPLEXITY, tmp_path, tmp_path / "text.txt")
    assert result.stderr == (
        "The checkpoint lacks `transformer.layers.1.pos_ff.layer_norm.bias`: it is no "
        "Transformer-XL model.\n"
    )
    assert result.returncode == 1


def test_nearest_lines_are_those_of_python(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    lines = ["The cats", "a dog ran", "Who ran ?", "the cat"]
    (tmp_path / "lines.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    model: Any = ptbert.BertModel.from_pretrained(str(folder))
    tokenizer = ptbert.BertTokenizer.from_pretrained(str(folder))
    vectors = ptbert.embed(model, tokenizer, ["who ran", *lines])
    values, places = (vectors[1:] @ vectors[0]).topk(2)
    expected = [f"{value:.4f}\t{lines[at]}\n" for value, at in zip(values, places, strict=True)]
    result = run(NEAREST, folder, tmp_path / "lines.txt", "who ran", 2)
    assert result.stderr == ""
    assert result.stdout == "".join(expected)


def test_nearest_names_what_is_wrong(tmp_path: Path) -> None:
    usage = "usage: nearest FOLDER TEXT_FILE QUERY [HOW_MANY]\n"
    assert run(NEAREST, tmp_path).stderr == usage
    lines = tmp_path / "lines.txt"
    assert run(NEAREST, tmp_path, lines, "a").stderr == f"cannot open {lines}\n"
    lines.write_text("\n", encoding="utf-8")
    message = f"{lines} must hold at least one line of text.\n"
    assert run(NEAREST, tmp_path, lines, "a").stderr == message
    message = "`HOW_MANY` must be at least 1, but is 0.\n"
    assert run(NEAREST, tmp_path, lines, "a", 0).stderr == message
