"""Time and memory of `from_pretrained` for a BERT of base size, beside reading the file's bytes.

python benchmarks/loading.py [--rounds 5]

The folder has random weights as safetensors, in the cache of the system. Every call runs in a
process of its own, by turns; imports do not count. Memory is what the call adds at its peak, as a
multiple of the file.
"""

from __future__ import annotations

import argparse
import importlib
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ptbert import BertConfig, BertModel

WAYS = ("read", "ptbert", "transformers")


def memory(name: str) -> int:
    """A figure of this process, such as VmHWM, the most memory it has had, in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def measure(way: str, folder: Path) -> None:
    """Print seconds and memory of one call, after which every weight has been used."""
    file = folder / "model.safetensors"
    sys.path.remove(str(Path(__file__).parent))  # where a module has the name of `tokenizers`
    library = importlib.import_module(way).BertModel if way != "read" else None
    before = memory("VmRSS")
    start = time.perf_counter()
    if library is None:
        content = bytearray(file.stat().st_size)
        with file.open("rb", buffering=0) as stream:
            stream.readinto(content)
    else:
        model = library.from_pretrained(str(folder))
        loaded = time.perf_counter()
        with torch.no_grad():
            sum(float(parameter.sum()) for parameter in model.parameters())
        start += time.perf_counter() - loaded  # the sums show that weights are there, uncounted
    seconds = time.perf_counter() - start
    print(seconds, (memory("VmHWM") - before) / file.stat().st_size)


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        measure(options.way, options.folder)
        return
    with TemporaryDirectory() as name:
        BertModel(BertConfig(30_522)).save_pretrained(name)
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--way", way, "--folder", name]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                seconds, taken = map(float, printed.splitlines()[-1].split())
                found[way].append((seconds, taken))
    of_reading = statistics.median(seconds for seconds, _ in found["read"])
    for way, runs in found.items():
        seconds, taken = (statistics.median(values) for values in zip(*runs, strict=True))
        print(
            f"{way:13} {seconds:6.3f} s, {seconds / of_reading:5.2f} x reading, {taken:.2f} x size"
        )


if __name__ == "__main__":
    main()
