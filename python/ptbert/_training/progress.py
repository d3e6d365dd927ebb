"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from . import processes

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
    items: Iterable[Any] | None = None,
    *,
    desc: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
) -> Any:
    """A tqdm over `items`, or one of `total` steps that the caller updates, of which `initial` are
    done already. Of several processes only the first shows it.

    Example:
        >>> sum(track([1, 2, 3], desc="Adding", unit="number"))
        6
    """
    known: dict[str, Any] = {"desc": desc, "unit": unit, "total": total, "initial": initial}
    if not processes.is_first():
        return tqdm(items, disable=True, **known)
    if sys.stderr.isatty():
        return tqdm(items, dynamic_ncols=True, **known)
    return tqdm(
        items,
        file=_Lines(),
        delay=SECONDS_BETWEEN_LINES,
        mininterval=SECONDS_BETWEEN_LINES,
        bar_format="{desc}: {n_fmt} of {total_fmt} in {elapsed}, {rate_fmt}{postfix}",
        **known,
    )
