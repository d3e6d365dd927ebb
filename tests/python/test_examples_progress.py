"""Progress of the scripts: bars on terminals, lines in logs."""

from __future__ import annotations

import sys
import time

import pytest

from ptbert._training import progress


def test_short_work_leaves_no_line_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(3), desc="Features", unit="batch")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_long_work_leaves_whole_lines_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 1e-9)
    with progress.track(total=2, desc="Epoch 1/1", unit="step") as bar:
        for loss in (0.5, 0.25):
            bar.set_postfix(loss=loss)
            bar.update()
    logged = capsys.readouterr().err
    assert "\r" not in logged
    last = logged.splitlines()[-1]
    assert last.startswith("Epoch 1/1: 2 of 2 in 00:00, ")
    assert last.endswith(", loss=0.25")


def test_steps_of_training_are_not_lines_of_their_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    with progress.track(total=2000, desc="Epoch 1/1", unit="step") as bar:
        start = time.monotonic()
        while time.monotonic() - start < 0.2:
            bar.set_postfix(loss=0.5, refresh=False)
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 6


def test_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    list(progress.track(range(3), desc="Evaluating", unit="batch"))
    assert "\rEvaluating: 100%|" in capsys.readouterr().err
