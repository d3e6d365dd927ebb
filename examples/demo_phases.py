"""The phases of a demo, announced and timed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Phases:
    """Announces the phases of the demo and keeps their times."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, title: str) -> Iterator[None]:
        """Time what is done inside."""
        print(f"\n=== {title}", flush=True)
        begin = time.perf_counter()
        yield
        self._seconds[title] = time.perf_counter() - begin
        print(f"    took {self._seconds[title]:.1f} s", flush=True)

    def print_table(self) -> None:
        """Print the time of each phase."""
        print("\n=== Time")
        for title, seconds in [*self._seconds.items(), ("Total", sum(self._seconds.values()))]:
            print(f"{title:<44} {seconds:7.1f} s")
