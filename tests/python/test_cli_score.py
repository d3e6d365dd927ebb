"""The command `ptbert score`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

import ptbert
from examples_support import write_gpt, write_gpt2, write_transfo_xl
from ptbert import cli

TEXT = "the cat sat on the mat\n\r\n\nthe\na naïve cat\r\n"
LINES = {1: "the cat sat on the mat", 4: "the", 5: "a naïve cat"}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny GPT-2."""
    return write_gpt2(tmp_path_factory.mktemp("models") / "gpt2")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A text file with a byte order mark, empty lines and two kinds of line ends."""
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    return path


def score(
    capsys: pytest.CaptureFixture[str], file: Path, model: Path, *more: str
) -> dict[str, tuple[int, float, float]]:
    """The lines that the command prints, which must succeed: tokens, log-probability and
    perplexity."""
    assert cli.main(["score", str(file), "--model", str(model), *more]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""  # no bar where nobody sees it
    titles, *lines = printed.out.splitlines()
    assert titles == "line\ttokens\tlog_prob\tperplexity"
    cells = [line.split("\t") for line in lines]
    return {name: (int(n), float(log_prob), float(ppl)) for name, n, log_prob, ppl in cells}


def expected(model: Path, text: str, **options: Any) -> tuple[int, float]:
    """Scored tokens and log-probability by the library."""
    tokenizer = ptbert.GPT2Tokenizer.from_pretrained(str(model))
    language_model = ptbert.GPT2LMHeadModel.from_pretrained(str(model)).eval()
    (scored,) = language_model.score(tokenizer.encode(text), **options)
    return len(scored.log_probs), sum(scored.log_probs)


def test_each_line_and_all_are_scored(
    gpt2: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = score(capsys, file, gpt2)
    assert list(printed) == ["1", "4", "5", "total"]
    for number, line in LINES.items():
        tokens, log_prob = expected(gpt2, line)
        assert printed[str(number)][0] == tokens
        assert printed[str(number)][1] == pytest.approx(log_prob, abs=1e-3)
    assert printed["1"][2] == pytest.approx(math.exp(-printed["1"][1] / printed["1"][0]), rel=1e-4)
    assert printed["4"][:2] == (0, 0.0)
    assert math.isnan(printed["4"][2])
    tokens, log_prob, perplexity = printed["total"]
    assert tokens == printed["1"][0] + printed["5"][0]
    assert log_prob == pytest.approx(printed["1"][1] + printed["5"][1], abs=1e-3)
    assert perplexity == pytest.approx(math.exp(-log_prob / tokens), rel=1e-4)


def test_lines_of_transfo_xl_have_an_end(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_transfo_xl(tmp_path / "model")
    tokenizer = ptbert.TransfoXLTokenizer.from_pretrained(folder)
    model = ptbert.TransfoXLLMHeadModel.from_pretrained(folder).eval()
    ids = [tokenizer.encode(line, add_eos=True) for line in TEXT.splitlines() if line]
    printed = score(capsys, file, folder)
    assert list(printed) == ["1", "4", "5", "total"]
    for name, scored in zip(printed, model.score(ids), strict=False):
        assert printed[name][0] == len(scored.log_probs)
        assert printed[name][1] == pytest.approx(sum(scored.log_probs), abs=1e-3)
    (scored,) = model.score(
        [i for line in TEXT.split("\n")[:-1] for i in tokenizer.encode(line, True)]
    )
    printed = score(capsys, file, folder, "--document")
    assert printed["total"][0] == len(scored.log_probs)
    assert printed["total"][1] == pytest.approx(sum(scored.log_probs), abs=1e-3)


def test_document_is_one_text_of_any_length(
    gpt2: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(TEXT * 10, encoding="utf-8", newline="")
    text = TEXT * 10
    for flags, options in (
        ([], {}),
        (["--stride", "5"], {"stride": 5}),
        (["--window", "10"], {"window": 10}),
    ):
        printed = score(capsys, file, gpt2, "--document", *flags)
        assert list(printed) == ["total"]
        tokens, log_prob = expected(gpt2, text, **options)
        assert printed["total"][0] == tokens
        assert printed["total"][1] == pytest.approx(log_prob, abs=1e-2)


def test_weights_may_be_stored_in_fewer_bytes(
    gpt2: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = score(capsys, file, gpt2)["total"]
    for weights in ("bfloat16", "int8"):
        near = score(capsys, file, gpt2, "--weights", weights)["total"]
        assert near[0] == exact[0]
        assert near[1] != exact[1]
        assert near[1] == pytest.approx(exact[1], rel=0.05)


def test_gpt_scores_as_well(
    tmp_path: Path,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    model = write_gpt(tmp_path / "gpt")
    assert cli.main(["score", str(file), "--model", str(model)]) == 0
    assert "total\t" in capsys.readouterr().out


def test_bar_is_shown_at_a_terminal(
    gpt2: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli.main(["score", str(file), "--model", str(gpt2)]) == 0
    printed = capsys.readouterr()
    assert "Scoring: 100%" in printed.err
    assert "Scoring" not in printed.out


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (b"\n\r\n", [], "`FILE` must hold text, but {} holds none."),
        (
            b"the\ncat \xff\n",
            [],
            "`FILE` must be UTF-8, but the byte 0xff in line 2 of {} is not.",
        ),
        (b"the cat", ["--stride", "0"], "`stride` must be at least 1, but is 0."),
        (b"the cat", ["--window", "0"], "`window` must be at least 1, but is 0."),
    ],
)
def test_mistakes_are_told(
    gpt2: Path,
    file: Path,
    content: bytes,
    flags: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        cli.main(["score", str(file), "--model", str(gpt2), *flags])
    assert end.value.code == 1
    assert capsys.readouterr().err == f"ptbert: error: {message.format(file)}\n"


def test_missing_file_is_told(
    gpt2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["score", str(tmp_path / "none"), "--model", str(gpt2)])
    assert "No such file or directory" in capsys.readouterr().err
