"""Time and memory of converting a TensorFlow checkpoint of the size of BERT-base, beside copying
its bytes. The checkpoint is drawn; every conversion runs in a process of its own.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from ptbert import BertConfig, BertForPreTraining
from ptbert.convert import Target, convert

DATA = "bert_model.ckpt.data-00000-of-00001"


def peak_bytes() -> int:
    """The most memory that this process has had so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def measure(source: Path, destination: Path, to: Target) -> None:
    before = peak_bytes()
    start = time.perf_counter()
    convert(source, destination, to)
    seconds = time.perf_counter() - start
    taken = (peak_bytes() - before) / (source / DATA).stat().st_size
    print(f"{to:12} {seconds:6.2f} s, at most {taken:.2f} times the size in memory", flush=True)


def copy(source: Path, destination: Path) -> None:
    for name, write in (("read", False), ("read, write", True)):
        start = time.perf_counter()
        content = (source / DATA).read_bytes()
        if write:
            destination.write_bytes(content)
        print(f"{name:12} {time.perf_counter() - start:6.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    one = parser.parse_args().one
    if one:
        measure(Path(one[0]), Path(one[1]), one[2])
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        BertForPreTraining(BertConfig(30522)).save_pretrained(folder / "model")
        convert(folder / "model", folder / "tf", "tensorflow")
        copy(folder / "tf", folder / "copy")
        for to in ("2019", "transformers", "tensorflow"):
            command = [sys.executable, __file__, "--one", folder / "tf", folder / to, to]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
