"""Pictures of training runs, attention heads, schedules and benchmarks.

Each function writes a picture in the format that its name ends with (.png, .svg, .pdf), and beside
it the plotted numbers as CSV, under the same name with .csv. Pictures need matplotlib,
`pip install "ptbert[plots]"`; without it the CSV is written before the ImportError.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import _C
from ._training.history import HISTORY_NAME, METRIC_COLUMNS, METRICS_NAME
from .file_utils import StrPath

__all__ = ["bars", "curve", "head_map", "schedules", "training_curves"]

_Figure = tuple[Any, Any]
_DPI = 120


def head_map(values: Tensor | Sequence[Sequence[float]], path: StrPath, *, title: str = "") -> None:
    """Draws a value for each attention head as a map: layers from top to bottom, heads across.

    Args:
        values: [layers, heads], such as `ptbert.analysis.head_importance` returns.
        path: The picture. The CSV has a row for each head: layer, head, value.
        title: What the values are.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: `values` has another number of dimensions or no heads, or `path` ends with .csv.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import plots
        >>> with TemporaryDirectory() as folder:
        ...     plots.head_map([[0.5, 1.0], [0.0, 0.25]], Path(folder, "heads.png"))
        ...     print(*Path(folder, "heads.csv").read_text().splitlines()[:3], sep="\\n")
        layer,head,value
        0,0,0.5
        0,1,1.0
    """
    values = torch.as_tensor(values)
    if values.dim() != 2 or not values.numel():
        raise ValueError(
            "`values` must be of shape [layers, heads], with a head, but is of shape "
            f"{list(values.shape)}."
        )
    layers, heads = values.shape
    rows = values.tolist()
    numbered = ((i, j, value) for i, row in enumerate(rows) for j, value in enumerate(row))
    _write_numbers(path, ("layer", "head", "value"), numbered)
    figure, axes = _figure((1.5 + 0.55 * heads, 1.2 + 0.45 * layers))
    image = axes.imshow(rows, cmap="viridis", aspect="auto")
    axes.set(title=title, xlabel="head", ylabel="layer", xticks=range(heads), yticks=range(layers))
    figure.colorbar(image, ax=axes)
    middle = (min(map(min, rows)) + max(map(max, rows))) / 2
    for layer, row in enumerate(rows):
        for head, value in enumerate(row):
            color = "black" if value > middle else "white"
            text = f"{value:.2f}" if math.isfinite(value) else ""
            axes.text(head, layer, text, ha="center", va="center", color=color, fontsize=7)
    figure.savefig(path, dpi=_DPI)


def curve(
    points: Sequence[tuple[float, float]],
    path: StrPath,
    *,
    x: str,
    y: str,
    title: str = "",
    limit: float | None = None,
) -> None:
    """Draws one value by another, such as a metric by the number of heads removed.

    Args:
        points: Pairs (x, y), which are also the rows of the CSV.
        path: The picture.
        x: What is drawn across.
        y: What is drawn upward.
        title: What the picture shows.
        limit: Where a dashed line goes across, such as the least `y` that is good enough.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: There are no points, or `path` ends with .csv.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import plots
        >>> with TemporaryDirectory() as folder:
        ...     points = [(0, 0.9), (4, 0.85)]
        ...     plots.curve(points, Path(folder, "masking.svg"), x="heads masked", y="accuracy")
        ...     print(*Path(folder, "masking.csv").read_text().splitlines()[:3], sep="\\n")
        heads masked,accuracy
        0,0.9
        4,0.85
    """
    if not points:
        raise ValueError("`points` must hold at least one point, but is empty.")
    _write_numbers(path, (x, y), points)
    figure, axes = _figure((6, 4))
    axes.plot(*zip(*points, strict=True), marker="o")
    if limit is not None:
        axes.axhline(limit, color="gray", linestyle="dashed")
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=_DPI)


def training_curves(folder: StrPath, path: StrPath) -> None:
    """Draws a training run: the loss, the learning rate and the results of evaluations by steps.

    Args:
        folder: The folder of the run, with the `history.csv` that `ptbert.training.fit` writes, and
            `metrics.csv` if it evaluated on the way.
        path: The picture. The CSV has a row for each point: series, step, value.

    Raises:
        FileNotFoundError: There is no `history.csv`.
        ImportError: matplotlib is missing.
        ValueError: `history.csv` holds no step, a file has other columns, or `path` ends with .csv.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import plots
        >>> with TemporaryDirectory() as folder:
        ...     history = "step,epoch,loss,learning_rate,loss_scale\\n1,0,2.5,0.001,1\\n"
        ...     _ = Path(folder, "history.csv").write_text(history)
        ...     plots.training_curves(folder, Path(folder, "run.png"))
        ...     print(*Path(folder, "run.csv").read_text().splitlines()[:3], sep="\\n")
        series,step,value
        loss,1,2.5
        learning_rate,1,0.001
    """
    history = _read(Path(folder) / HISTORY_NAME, "step", "loss", "learning_rate")
    if not history:
        raise ValueError(f"`{Path(folder) / HISTORY_NAME}` must hold a step, but holds none.")
    series = {
        name: [(int(row["step"]), float(row[name])) for row in history]
        for name in ("loss", "learning_rate")
    }
    if (Path(folder) / METRICS_NAME).exists():
        for row in _read(Path(folder) / METRICS_NAME, *METRIC_COLUMNS):
            series.setdefault(row["metric"], []).append((int(row["step"]), float(row["value"])))
    rows = ((name, *point) for name, points in series.items() for point in points)
    _write_numbers(path, ("series", "step", "value"), rows)
    figure, all_axes = _figure((7, 2.4 * len(series)), rows=len(series))
    for axes, (name, points) in zip(all_axes, series.items(), strict=True):
        few = len(points) < 30
        axes.plot(*zip(*points, strict=True), marker="o" if few else None)
        axes.set(ylabel=name.replace("_", " "))
        axes.grid(alpha=0.3)
    all_axes[-1].set(xlabel="step")
    figure.savefig(path, dpi=_DPI)


def schedules(path: StrPath, *, warmup: float = 0.1, cycles: float = 3) -> None:
    """Draws the learning-rate schedules: the multiplier of the learning rate by the progress.

    Args:
        path: The picture. The CSV has a row for each point: schedule, progress, multiplier.
        warmup: The share of steps in which the learning rate rises; with warm-up restarts, those
            of each cycle.
        cycles: Of the cosine schedules with restarts, the number of cycles.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: `path` ends with .csv.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import plots
        >>> with TemporaryDirectory() as folder:
        ...     plots.schedules(Path(folder, "schedules.png"))
        ...     print(*Path(folder, "schedules.csv").read_text().splitlines()[:3], sep="\\n")
        schedule,progress,multiplier
        warmup_constant,0.0,0.0
        warmup_constant,0.005,0.05
    """
    restarts = _C.warmup_cosine_with_hard_restarts
    drawn: dict[str, Callable[[float], float]] = {
        "warmup_constant": lambda t: _C.warmup_constant(t, warmup),
        "warmup_linear": lambda t: _C.warmup_linear(t, warmup),
        "warmup_cosine": lambda t: _C.warmup_cosine(t, warmup, 0.5),
        "warmup_cosine_with_hard_restarts": lambda t: restarts(t, warmup, cycles),
        "warmup_cosine_with_warmup_restarts": lambda t: _C.warmup_cosine_with_warmup_restarts(
            t, warmup, cycles
        ),
    }
    progress = [i / 200 for i in range(200)]  # a step begins before 1
    values = {name: [round(value(t), 6) for t in progress] for name, value in drawn.items()}
    rows = (
        (name, *point)
        for name, multipliers in values.items()
        for point in zip(progress, multipliers, strict=True)
    )
    _write_numbers(path, ("schedule", "progress", "multiplier"), rows)
    figure, all_axes = _figure((7, 1.7 * len(drawn)), rows=len(drawn))
    for axes, (name, multipliers) in zip(all_axes, values.items(), strict=True):
        axes.plot(progress, multipliers)
        axes.set(title=name, ylim=(-0.05, 1.05))
        axes.grid(alpha=0.3)
    all_axes[-1].set(xlabel="progress of the training")
    figure.savefig(path, dpi=_DPI)


def bars(
    values: Mapping[str, Mapping[str, float]], path: StrPath, *, unit: str, title: str = ""
) -> None:
    """Draws a benchmark as groups of bars.

    Args:
        values: For each group, a case, the value of each bar, such as a library, by its name.
        path: The picture. The CSV has a row for each bar: case, name, value.
        unit: What is measured, such as "ms".
        title: What the picture shows.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: There are no values, or `path` ends with .csv.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ptbert import plots
        >>> with TemporaryDirectory() as folder:
        ...     values = {"batch 1": {"ours": 1.5, "theirs": 3.0}}
        ...     plots.bars(values, Path(folder, "bars.png"), unit="ms")
        ...     print(*Path(folder, "bars.csv").read_text().splitlines()[:3], sep="\\n")
        case,name,ms
        batch 1,ours,1.5
        batch 1,theirs,3.0
    """
    names = list(dict.fromkeys(name for group in values.values() for name in group))
    if not names:
        raise ValueError("`values` must hold at least one bar, but hold none.")
    rows = ((case, *bar) for case, group in values.items() for bar in group.items())
    _write_numbers(path, ("case", "name", unit), rows)
    figure, axes = _figure((2 + 1.6 * len(values), 4))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        present = [(at, group[name]) for at, group in enumerate(values.values()) if name in group]
        offset = (number - (len(names) - 1) / 2) * width
        places, heights = [at + offset for at, _ in present], [height for _, height in present]
        axes.bar_label(axes.bar(places, heights, width, label=name), fmt="%.3g", fontsize=7)
    axes.set(title=title, ylabel=unit, xticks=range(len(values)))
    axes.set_xticklabels(values)
    axes.legend()
    figure.savefig(path, dpi=_DPI)


def _write_numbers(path: StrPath, columns: Sequence[str], rows: Iterable[Any]) -> None:
    """What a picture shows, as CSV beside it."""
    if Path(path).suffix.lower() == ".csv":
        raise ValueError(f"`path` must name a picture, as .png, but is {Path(path).name}.")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def _figure(size: tuple[float, float], rows: int = 1) -> _Figure:
    """A figure that no window shows, and its axes."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            'Pictures need matplotlib: pip install "ptbert[plots]" or pip install matplotlib.'
        ) from None
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(rows, sharex=rows > 1)
    return figure, axes


def _read(path: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a CSV that has these columns, and maybe others."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        found = reader.fieldnames or ()
        if not set(columns) <= set(found):
            raise ValueError(
                f"`{path}` must have the columns {', '.join(columns)}, but has "
                f"{', '.join(found) or 'none'}."
            )
        return list(reader)
