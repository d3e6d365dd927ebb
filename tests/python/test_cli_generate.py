"""The command `ptbert generate`."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import ptbert
from examples_support import write_gpt, write_gpt2, write_model, write_transfo_xl
from ptbert import cli

SHORT = ["--max-new-tokens", "12", "--seed", "3"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny GPT-2."""
    return write_gpt2(tmp_path_factory.mktemp("models") / "gpt2")


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny GPT."""
    return write_gpt(tmp_path_factory.mktemp("models") / "gpt")


@pytest.fixture(autouse=True)
def without_spacy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes GPT's tokenizer quick to load."""
    monkeypatch.setitem(sys.modules, "ftfy", None)


def generate(capsys: pytest.CaptureFixture[str], model: Path, *more: str) -> str:
    """What the command prints, which must succeed."""
    assert cli.main(["generate", "--model", str(model), *SHORT, *more]) == 0
    return capsys.readouterr().out


def expected(model: Path, prompt: str, family: str = "GPT2", **options: Any) -> list[list[int]]:
    """The tokens that the library writes."""
    tokenizer = getattr(ptbert, f"{family}Tokenizer").from_pretrained(str(model))
    language_model = getattr(ptbert, f"{family}LMHeadModel").from_pretrained(str(model)).eval()
    arguments = {"max_new_tokens": 12, "seed": 3, "temperature": 1.0, **options}
    results = language_model.generate(tokenizer.encode(prompt), **arguments)
    return [one.ids for one in results]


def text(model: Path, ids: list[int], family: str = "GPT2") -> str:
    """The text of tokens."""
    tokenizer = getattr(ptbert, f"{family}Tokenizer").from_pretrained(str(model))
    decoded: str = tokenizer.decode(ids, clean_up_tokenization_spaces=family != "GPT2")
    return decoded


def test_text_is_that_of_the_library(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ids,) = expected(gpt2, "the cat")
    assert generate(capsys, gpt2, "the cat") == text(gpt2, ids) + "\n"


def test_options_reach_the_library(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"temperature": 0.7, "top_k": 9, "top_p": 0.8, "min_p": 0.01}
    options |= {"repetition_penalty": 1.3}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    (ids,) = expected(gpt2, "the cat", **options)
    assert generate(capsys, gpt2, "the cat", *flags) == text(gpt2, ids) + "\n"


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
def test_weights_may_be_stored_in_fewer_bytes(
    gpt2: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(capsys, gpt2, "the cat", "--weights", weights).endswith("\n")


def test_gpt_is_told_by_its_configuration(gpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ids,) = expected(gpt, "The cat", "OpenAIGPT")
    assert generate(capsys, gpt, "The cat") == text(gpt, ids, "OpenAIGPT") + "\n"


def test_transfo_xl_writes_lines_of_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_transfo_xl(tmp_path / "model")
    tokenizer = ptbert.TransfoXLTokenizer.from_pretrained(model)
    language_model = ptbert.TransfoXLLMHeadModel.from_pretrained(model).eval()
    prompts = {"the cat": ["the", "cat"], "a\nthe": ["a", "<eos>", "the"], "": ["<eos>"]}
    written = set()
    for prompt, symbols in prompts.items():
        ids = tokenizer.convert_tokens_to_ids(symbols)
        (row,) = language_model.generate(ids, max_new_tokens=60, temperature=1.0, seed=3)
        words = tokenizer.convert_ids_to_tokens(row.ids)
        shown = "".join("\n" if word == "<eos>" else f"{word} " for word in words)
        assert generate(capsys, model, prompt, "--max-new-tokens", "60") == shown + "\n"
        written.update(words)
    assert "<eos>" in written
    with pytest.raises(SystemExit):
        cli.main(["generate", "--model", str(model), "the"])
    assert "`max_new_tokens` must be given for a model with memory" in capsys.readouterr().err


def test_family_is_told_by_every_sign(tmp_path: Path, gpt: Path, gpt2: Path) -> None:
    fields = json.loads((gpt / "config.json").read_text())
    del fields["afn"]
    for name, content in (
        ("openai_gpt_config.json", fields),
        ("config.json", {**fields, "model_type": "openai-gpt"}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(json.dumps(content))
        assert cli._family_of(str(folder), None) == "openai-gpt"
    with tarfile.open(tmp_path / "gpt2.tar.gz", "w:gz") as archive:
        archive.add(gpt2, "gpt2")
    assert cli._family_of(str(tmp_path / "gpt2.tar.gz"), None) == "gpt2"
    assert cli._family_of("openai-gpt", None) == "openai-gpt"
    assert cli._family_of("gpt2-medium", None) == "gpt2"


def test_several_continuations_are_numbered(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = expected(gpt2, "the cat", num_return_sequences=2)
    printed = generate(capsys, gpt2, "the cat", "--num-return-sequences", "2")
    assert printed == f"--- 1 ---\n{text(gpt2, first)}\n--- 2 ---\n{text(gpt2, second)}\n"


def test_beams_search_for_the_most_probable(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ids,) = expected(gpt2, "the cat", num_beams=3, temperature=0.0)
    assert generate(capsys, gpt2, "the cat", "--num-beams", "3") == text(gpt2, ids) + "\n"


def test_text_ends_with_a_stop_string(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = generate(capsys, gpt2, "the cat", "--max-new-tokens", "40")
    stop = next(char for char in whole if char.isascii() and char.isprintable())
    flags = ["--max-new-tokens", "40", "--stop", "never", f"--stop-string={stop}"]
    stopped = generate(capsys, gpt2, "the cat", *flags)
    assert stopped == whole[: whole.index(stop) + 1] + "\n"


def test_sliding_window_goes_on(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--max-new-tokens", "100", "--sliding-window"]
    (ids,) = expected(gpt2, "the cat", max_new_tokens=100, sliding_window=True)
    assert generate(capsys, gpt2, "the cat", *arguments) == text(gpt2, ids) + "\n"


class Script:
    """A decoder that writes given tokens, to look at what the command does with them."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.prompts: list[list[int]] = []
        self.arguments: dict[str, Any] = {}

    def stream(self, prompt: list[int], **arguments: Any) -> Iterator[ptbert.generation.NewToken]:
        self.prompts.append(prompt)
        self.arguments = arguments
        for index in self.ids:
            yield ptbert.generation.NewToken(0, index, 0.0)


def use(monkeypatch: pytest.MonkeyPatch, script: Script) -> Script:
    """Makes the command write by the script."""
    monkeypatch.setattr(cli, "Decoder", lambda model, weights: script)
    return script


class Pieces(io.StringIO):
    """A standard output that remembers its flushes."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def flush(self) -> None:
        if text := self.getvalue()[sum(map(len, self.pieces)) :]:
            self.pieces.append(text)


def pieces_of(model: Path, script: Script, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the command writes between flushes."""
    use(monkeypatch, script)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", output := Pieces())
        assert cli.main(["generate", "--model", str(model), "the"]) == 0
    return output.pieces


def test_characters_of_several_tokens_are_written_whole(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = ptbert.GPT2Tokenizer.from_pretrained(str(gpt2))
    ids = tokenizer.encode("né \N{SNOWMAN}\N{GRINNING FACE} the")
    assert pieces_of(gpt2, Script(ids), monkeypatch) == [
        *("n", "é", " ", "\N{SNOWMAN}", "\N{GRINNING FACE}", " the", "\n")
    ]


def test_bytes_that_are_no_characters_are_written_as_decode_does(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = ptbert.GPT2Tokenizer.from_pretrained(str(gpt2))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        ids = torch.randint(len(tokenizer) - 1, (60,), generator=generator).tolist()
        ids += tokenizer.encode("\N{GRINNING FACE}")[:3]
        written = "".join(pieces_of(gpt2, Script(ids), monkeypatch))
        assert written == tokenizer.decode(ids, clean_up_tokenization_spaces=False) + "\n"


def test_words_of_gpt_are_written_as_decode_joins_them(
    gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = ptbert.OpenAIGPTTokenizer.from_pretrained(str(gpt))
    words = "the cat , do not ! the cat 's not a ' cat ' . do n't the n ' t cat ' m i do not , a"
    ids = tokenizer.encode(words) * 3
    pieces = pieces_of(gpt, Script(ids), monkeypatch)
    assert "".join(pieces) == tokenizer.decode(ids) + "\n"
    assert len(pieces) > 30


def test_end_of_text_ends_the_text_and_is_not_written(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = ptbert.GPT2Tokenizer.from_pretrained(str(gpt2)).encoder["<|endoftext|>"]
    script = Script([7, end])
    assert "".join(pieces_of(gpt2, script, monkeypatch)) == text(gpt2, [7]) + "\n"
    assert script.arguments["stop_ids"] == [end]


def test_empty_prompt_begins_a_text(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end = ptbert.GPT2Tokenizer.from_pretrained(str(gpt2)).encoder["<|endoftext|>"]
    script = use(monkeypatch, Script([7]))
    generate(capsys, gpt2, "")
    assert script.prompts == [[end]]


def test_lines_of_standard_input_are_prompts(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("the cat\n\na cat"))
    texts = [text(gpt2, expected(gpt2, prompt)[0]) for prompt in ("the cat", "a cat")]
    assert generate(capsys, gpt2) == "".join(f"{text}\n" for text in texts)


class Terminal(io.StringIO):
    """A standard input where someone types."""

    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch, *typed: str | type[BaseException]) -> None:
    """Makes the command ask someone who types these lines."""
    answers = iter(typed)

    def answer(prompt: str) -> str:
        print(prompt, end="")
        typed = next(answers)
        if isinstance(typed, str):
            return typed
        raise typed

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", answer)


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_prompts_are_asked_for_until_the_end(
    gpt2: Path,
    end: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = use(monkeypatch, Script([7, 8]))
    at_terminal(monkeypatch, "the cat", "", "a", end)
    written = text(gpt2, [7, 8])
    assert generate(capsys, gpt2) == (f"Prompt: {written}\nPrompt: Prompt: {written}\nPrompt: \n")
    assert len(script.prompts) == 2


def test_error_or_interrupt_at_a_terminal_ends_that_text_only(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Script):
        def stream(self, prompt: list[int], **arguments: Any) -> Iterator[Any]:
            yield from super().stream(prompt, **arguments)
            if len(self.prompts) == 1:
                raise KeyboardInterrupt
            raise ValueError("too long")

    use(monkeypatch, Interrupted([7]))
    at_terminal(monkeypatch, "the", "the", EOFError)
    assert cli.main(["generate", "--model", str(gpt2)]) == 0
    printed = capsys.readouterr()
    written = text(gpt2, [7])
    assert printed.out == f"Prompt: {written}Prompt: {written}Prompt: \n"
    assert printed.err == "\nptbert: error: too long\n"


def test_interrupt_without_a_terminal_ends_the_command(
    gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Script):
        def stream(self, prompt: list[int], **arguments: Any) -> Iterator[Any]:
            raise KeyboardInterrupt

    use(monkeypatch, Interrupted([]))
    with pytest.raises(SystemExit) as end:
        cli.main(["generate", "--model", str(gpt2), "the"])
    assert end.value.code == 128 + signal.SIGINT


def test_reader_that_has_seen_enough_ends_the_command(gpt2: Path) -> None:
    command = [sys.executable, "-m", "ptbert", "generate", "--model", str(gpt2)]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        result = subprocess.run([*command, "the"], stdout=closed, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "")


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a command that fails."""
    with pytest.raises(SystemExit) as end:
        cli.main(["generate", *arguments])
    assert end.value.code == 1
    return capsys.readouterr().err


def test_mistakes_are_told_in_one_line(
    tmp_path: Path, gpt: Path, gpt2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(gpt2)]
    for arguments, message in (
        ([*model, "the", "--top-p", "0"], "`top_p` must be in (0, 1], but is 0."),
        ([*model, "the", "--sliding-window"], "`max_new_tokens` must be given with"),
        ([*model, "the cat " * 60], "Prompt 0 ("),
        (["--model", "bert-base-cased", "the"], "`--model` must be a GPT, GPT-2 or Tr"),
        (["--model", str(tmp_path / "none"), "the"], f"`{tmp_path / 'none'}` must be an existing"),
        (["--model", str(gpt), ""], "`prompt` must hold at least one token for a model without "),
    ):
        error = error_of(capsys, *arguments)
        assert error.splitlines()[-1].startswith(f"ptbert: error: {message}"), error


def test_other_models_and_damaged_configurations_are_refused(
    tmp_path: Path, gpt2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bert = write_model(tmp_path / "bert")
    message = f"`--model` must be a GPT, GPT-2 or Transformer-XL, but `{bert}` is of bert."
    assert error_of(capsys, "--model", str(bert), "the") == f"ptbert: error: {message}\n"
    damaged = shutil.copytree(gpt2, tmp_path / "damaged")
    (damaged / "config.json").write_text("{")
    error = error_of(capsys, "--model", str(damaged), "the")
    assert f"`--model`: {damaged / 'config.json'} must be JSON, but is not: " in error


def test_token_without_a_name_is_told(
    tmp_path: Path, gpt2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(gpt2, tmp_path / "gpt2")
    (folder / "vocab.json").write_text('{"a": 0}')
    error = error_of(capsys, "--model", str(folder), "a", "--seed", "1")
    assert error.startswith("ptbert: error: `ids` must be in the vocabulary of 1 tokens, but ")
