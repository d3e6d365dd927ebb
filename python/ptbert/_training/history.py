"""What happened in a training run, as files to read, plot and watch."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any, TextIO

HISTORY_NAME = "history.csv"
METRICS_NAME = "metrics.csv"
COLUMNS = ("step", "epoch", "loss", "learning_rate", "loss_scale")
METRIC_COLUMNS = ("step", "metric", "value")


class History:
    """Writes `history.csv`, a row for each step, and `metrics.csv`, a row for each result of an
    evaluation on the way; and both for TensorBoard, if it is wanted.

    Args:
        folder: Folder of the run.
        log_dir: Folder for TensorBoard's files; `None` for none.
        step: Steps that were made before; rows of later ones are dropped.
    """

    def __init__(self, folder: Path, log_dir: Path | None, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._steps = _open_at(folder / HISTORY_NAME, COLUMNS, step)
        self._metrics_path = folder / METRICS_NAME
        self._metrics: TextIO | None = None
        if self._metrics_path.exists():
            self._metrics = _open_at(self._metrics_path, METRIC_COLUMNS, step)
        self._board: Any = None
        if log_dir is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(log_dir), purge_step=step + 1)

    def add_step(
        self, step: int, epoch: int, loss: float, learning_rate: float, loss_scale: float
    ) -> None:
        """Note a step, counted from 1."""
        csv.writer(self._steps).writerow([step, epoch, loss, learning_rate, loss_scale])
        self._steps.flush()
        if self._board is not None:
            self._board.add_scalar("loss", loss, step)
            self._board.add_scalar("learning_rate", learning_rate, step)

    def add_metric(self, step: int, name: str, value: float) -> None:
        """Note the result of an evaluation after a step."""
        if self._metrics is None:
            self._metrics = _open_at(self._metrics_path, METRIC_COLUMNS, 0)
        csv.writer(self._metrics).writerow([step, name, value])
        self._metrics.flush()
        if self._board is not None:
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        self._steps.close()
        if self._metrics is not None:
            self._metrics.close()
        if self._board is not None:
            self._board.close()


def check_tensorboard() -> None:
    """Refuse `log_dir` where TensorBoard's package is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError("`log_dir` needs TensorBoard: pip install tensorboard.")


def _open_at(path: Path, columns: tuple[str, ...], step: int) -> TextIO:
    """A CSV file with its rows up to a step, open for more."""
    kept: list[list[str]] = []
    if step and path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            # The last row may be cut off, if the run was.
            kept = [row for row in list(csv.reader(file))[1:] if len(row) == len(columns)]
            kept = [row for row in kept if int(row[0]) <= step]
    file = path.open("w", newline="", encoding="utf-8")
    csv.writer(file).writerows([columns, *kept])
    file.flush()
    return file
