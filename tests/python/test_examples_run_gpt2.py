"""run_gpt2.py: samples from nothing and after prompts."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

import ptbert
import run_gpt2
from examples_support import write_gpt2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny GPT-2 whose window has 64 tokens."""
    return write_gpt2(tmp_path_factory.mktemp("models") / "gpt2")


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Makes someone type these lines and then Ctrl-D."""
    answers = iter(lines)

    def answer(prompt: str) -> str:
        print(prompt, end="")
        for line in answers:
            print(line)
            return line
        raise EOFError

    monkeypatch.setattr("builtins.input", answer)


def run(capsys: pytest.CaptureFixture[str], model: Path, *flags: str) -> str:
    """What the script prints."""
    run_gpt2.main(["--model_name_or_path", str(model), *flags])
    return capsys.readouterr().out


def samples(printed: str) -> list[str]:
    """The texts between the separators."""
    parts = re.split(rf"^{'=' * 40} SAMPLE \d+ {'=' * 40}\n", printed, flags=re.MULTILINE)
    return [part.removesuffix("\n") for part in parts[1:]]


def test_flags_have_the_defaults_of_2019() -> None:
    assert vars(run_gpt2.parse_arguments([])) == {
        "model_name_or_path": "gpt2",
        "cache_dir": None,
        "seed": 0,
        "nsamples": 1,
        "batch_size": -1,
        "length": -1,
        "temperature": 1.0,
        "top_k": 0,
        "unconditional": False,
        "no_cuda": False,
        "local_rank": -1,
        "ddp_timeout": 1800.0,
    }


def test_unconditional_samples_follow_the_end_of_a_text(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(capsys, model, "--unconditional", "--nsamples", "4", "--batch_size", "2")
    titles = [line for line in printed.splitlines() if "SAMPLE" in line]
    assert titles == [f"{'=' * 40} SAMPLE {n} {'=' * 40}" for n in range(1, 5)]
    assert len(set(samples(printed))) == 4
    language_model = ptbert.GPT2LMHeadModel.from_pretrained(str(model)).eval()
    tokenizer = ptbert.GPT2Tokenizer.from_pretrained(str(model))
    numbers = random.Random(0)
    expected = [
        tokenizer.decode(sample.ids, clean_up_tokenization_spaces=False)
        for _ in range(2)
        for sample in language_model.generate(
            [tokenizer.encoder["<|endoftext|>"]],
            max_new_tokens=32,
            temperature=1.0,
            num_return_sequences=2,
            seed=numbers.getrandbits(64),
        )
    ]
    assert samples(printed) == expected


def test_same_seed_gives_the_same_run(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--unconditional", "--length", "10"]
    first, second = (run(capsys, model, *flags) for _ in range(2))
    assert first == second
    assert run(capsys, model, *flags, "--seed", "1") != first


def test_prompts_are_asked_for_again_and_again(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "the cat", "", "the cat")
    printed = run(capsys, model, "--length", "8", "--top_k", "5", "--temperature", "0.8")
    assert printed.count("Model prompt >>> ") == 4
    assert "Model prompt >>> \nPrompt should not be empty!\nModel prompt >>> " in printed
    assert printed.count(f"\n{'=' * 80}\nModel prompt >>> ") == 2
    assert printed.endswith("Model prompt >>> \n")
    first, second = (text.split("=" * 80)[0] for text in samples(printed))
    assert first != second


def test_prompt_that_does_not_fit_is_told_and_another_asked_for(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "a cat " * 20, "a cat")
    printed = run(capsys, model, "--length", "8")
    message = "tokens) and `--length` (8) must fit into the window of 64 tokens.\nModel prompt >>> "
    assert message in printed
    assert len(samples(printed)) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--nsamples", "3", "--batch_size", "2"],
            "`--nsamples` (3) must be a positive multiple of `--batch_size` (2).",
        ),
        (["--nsamples", "0"], "`--nsamples` (0) must be a positive multiple of"),
        (["--batch_size", "0"], "`--batch_size` (0) must be at least 1."),
        (["--length", "64"], "`--length` (64) must be at least 1 and below the window of the"),
        (["--length", "0"], "`--length` (0) must be at least 1 and below the window of the"),
    ],
)
def test_mistakes_are_refused(model: Path, flags: list[str], message: str) -> None:
    with pytest.raises(ValueError) as error:
        run_gpt2.main(["--model_name_or_path", str(model), *flags])
    assert str(error.value).startswith(message)


def test_vocabulary_without_the_end_of_a_text_has_no_beginning(tmp_path: Path) -> None:
    model = write_gpt2(tmp_path)
    vocabulary = (model / "vocab.json").read_text().replace("<|endoftext|>", "other")
    (model / "vocab.json").write_text(vocabulary)
    with pytest.raises(ValueError, match=r"`--unconditional` needs the token <\|endoftext\|>, but"):
        run_gpt2.main(["--model_name_or_path", str(model), "--unconditional"])
