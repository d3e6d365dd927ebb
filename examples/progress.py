"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

# In a log, and only for work that takes longer than that.
SECONDS_BETWEEN_LINES = 10.0


class _Lines:
    """Writes what tqdm draws to standard error, each drawing on a line of its own."""

    def write(self, text: str) -> None:
        if line := text.strip():
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def track(
    items: Iterable[Any] | None = None, *, desc: str, unit: str, total: int | None = None
) -> Any:
    """A tqdm over `items`, or one of `total` steps that the caller updates."""
    if sys.stderr.isatty():
        return tqdm(items, desc=desc, unit=unit, total=total, dynamic_ncols=True)
    return tqdm(
        items,
        desc=desc,
        unit=unit,
        total=total,
        file=_Lines(),
        delay=SECONDS_BETWEEN_LINES,
        mininterval=SECONDS_BETWEEN_LINES,
        bar_format="{desc}: {n_fmt} of {total_fmt} in {elapsed}, {rate_fmt}{postfix}",
    )
