"""Pictures and the numbers beside them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ptbert import plots
from ptbert._training.history import History


def numbers(path: Path) -> list[list[str]]:
    """The rows of the CSV beside a picture."""
    with path.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_head_map(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / "map.png"
    plots.head_map([[0.0, 1.0, 0.5], [0.25, 0.75, 1.0]], path, title="importance")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert numbers(path)[0] == ["layer", "head", "value"]
    assert numbers(path)[4] == ["1", "0", "0.25"]
    assert len(numbers(path)) == 7


def test_curve_and_bars(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plots.curve([(0, 0.9), (4, 0.8)], tmp_path / "curve.svg", x="heads", y="acc")
    assert "<svg" in (tmp_path / "curve.svg").read_text(encoding="utf-8")
    assert numbers(tmp_path / "curve.svg") == [["heads", "acc"], ["0", "0.9"], ["4", "0.8"]]
    assert "stroke-dasharray: 5" not in (tmp_path / "curve.svg").read_text(encoding="utf-8")
    plots.curve([(0, 0.9)], tmp_path / "limit.svg", x="heads", y="acc", limit=0.81)
    assert "stroke-dasharray: 5" in (tmp_path / "limit.svg").read_text(encoding="utf-8")
    values = {"batch 1": {"ours": 1.5, "theirs": 3.0}, "batch 8": {"ours": 2.0}}
    plots.bars(values, tmp_path / "bars.png", unit="ms")
    assert numbers(tmp_path / "bars.png")[1:] == [
        ["batch 1", "ours", "1.5"],
        ["batch 1", "theirs", "3.0"],
        ["batch 8", "ours", "2.0"],
    ]


def test_training_curves(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    history = History(tmp_path, None, 0)
    history.add_step(1, 0, 2.5, 1e-3, 1.0)
    history.add_step(2, 0, 2.0, 5e-4, 1.0)
    history.add_metric(2, "acc", 0.75)
    history.close()
    plots.training_curves(tmp_path, tmp_path / "run.png")
    assert numbers(tmp_path / "run.png") == [
        ["series", "step", "value"],
        ["loss", "1", "2.5"],
        ["loss", "2", "2.0"],
        ["learning_rate", "1", "0.001"],
        ["learning_rate", "2", "0.0005"],
        ["acc", "2", "0.75"],
    ]


def test_schedules(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plots.schedules(tmp_path / "schedules.png")
    rows = numbers(tmp_path / "schedules.png")[1:]
    linear = {row[1]: float(row[2]) for row in rows if row[0] == "warmup_linear"}
    assert (linear["0.0"], linear["0.05"], linear["0.55"]) == pytest.approx((0, 0.5, 0.5))
    assert len({row[0] for row in rows}) == 5


HEADS = torch.ones(2, 3)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: plots.head_map(HEADS, path),
        lambda path: plots.curve([(0, 1)], path, x="x", y="y"),
        lambda path: plots.schedules(path),
        lambda path: plots.bars({"a": {"b": 1}}, path, unit="ms"),
    ],
)
def test_without_matplotlib_there_is_the_csv(
    draw: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "ptbert\[plots\]"'):
        draw(tmp_path / "new" / "picture.png")
    assert len(numbers(tmp_path / "new" / "picture.png")) > 1
    with pytest.raises(ValueError, match=r"`path` must name a picture, as \.png, but is a\.csv"):
        draw(tmp_path / "a.csv")


def test_values_that_cannot_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    draw: Any
    for draw, message in (
        (
            lambda: plots.head_map(torch.ones(3), path),
            r"`values` must be of shape \[layers, heads\]",
        ),
        (lambda: plots.curve([], path, x="x", y="y"), "`points` must hold at least one point"),
        (lambda: plots.bars({}, path, unit="ms"), "`values` must hold at least one bar"),
    ):
        with pytest.raises(ValueError, match=message):
            draw()
    with pytest.raises(ValueError, match=r"with a head, but is of shape \[0\]\."):
        plots.head_map([], path)
    with pytest.raises(FileNotFoundError):
        plots.training_curves(tmp_path, path)
    (tmp_path / "history.csv").write_text("step,epoch,loss,learning_rate,loss_scale\n")
    history = (tmp_path / "history.csv").read_text()
    with pytest.raises(ValueError, match=r"history\.csv` must hold a step, but holds none"):
        plots.training_curves(tmp_path, path)
    (tmp_path / "history.csv").write_text("step,loss\n1,2.5\n")
    message = (
        r"history\.csv` must have the columns step, loss, learning_rate, but has step, loss\.$"
    )
    with pytest.raises(ValueError, match=message):
        plots.training_curves(tmp_path, path)
    (tmp_path / "history.csv").write_text(history + "1,0,2.5,0.001,1\n")
    (tmp_path / "metrics.csv").write_text("")
    with pytest.raises(
        ValueError,
        match=r"metrics\.csv` must have the columns step, metric, value, but has none\.$",
    ):
        plots.training_curves(tmp_path, path)
