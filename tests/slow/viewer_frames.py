"""How fast the attention viewer is in headless Chromium, with 12 x 12 heads and 128 tokens.

python tests/slow/viewer_frames.py

Prints the size of the page, the time until it is ready, and the longest frame (script, layout and
paint, by the clock of the page's thread) while a pointer moves over tokens and heads and keys are
pressed: the median of five runs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from browser import Browser, longest_frame, open_browser
from test_viewer import READY, write_large_page

RUNS = 5
TOKENS, HEADS = range(2, 60, 3), ("0,0", "3,5", "6,11", "11,2")


def use(page: Browser) -> None:
    """What somebody does who looks at a few heads."""
    for head in HEADS:
        page.point(f"#grid button[data-at='{head}']", press=True)
        for token in TOKENS:
            page.point(f"#from li:nth-child({token})")
    for _ in range(10):
        page.key("ArrowDown")


def main() -> None:
    """Measure and print."""
    seconds, frames = [], []
    with tempfile.TemporaryDirectory() as name:
        file = write_large_page(Path(name))
        print(f"size: {file.stat().st_size / 1e6:.2f} MB")
        for run in range(RUNS):
            with open_browser(Path(name, f"profile{run}")) as page:
                page.size(1400, 900)
                start = time.perf_counter()
                page.open(file, READY)
                seconds.append(time.perf_counter() - start)
                page.frame()
                with page.trace() as trace:
                    use(page)
                frames.append(longest_frame(trace))
    print(f"ready after {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s")
    print(f"longest frame {statistics.median(frames):.1f} ms, worst {max(frames):.1f} ms")


if __name__ == "__main__":
    main()
