"""GPT-2 on the processor beside other libraries, all in one run.

    python benchmarks/generation.py DATA --output benchmarks/results/generation.json \\
      --plot benchmarks/results/generation.png

GPT-2 small with random weights. Each library has a process of its own; they take turns, in another
order each time, and the median counts. Tokens and log-probabilities are held to ptbert's float32
where weights are float32. In every turn the machine reads memory and multiplies: bytes of weights
per token over the speed of reading is the ceiling of decoding, and is shown beside it. Compared
where installed (`pip install --group bench`): transformers, CTranslate2.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

WORKER = Path(__file__).with_name("generation_worker.py")
PARAMETERS = 124_439_808
BYTES = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0}
OURS, TODAY, ENGINE = "ptbert-float32", "transformers", "ctranslate2-float32"


@dataclass(frozen=True)
class Row:
    """A task, who does it, and what is to be reached: ratio over the best of some libraries."""

    name: str
    kind: str
    batch: int
    tokens: int
    libraries: tuple[str, ...]
    new_tokens: int = 0
    targets: tuple[tuple[str, tuple[str, ...], float], ...] = ()


def _decoding(batch: int) -> Row:
    libraries = (OURS, "ptbert-bfloat16", "ptbert-int8", TODAY, ENGINE, "ctranslate2-int8")
    targets = (
        (OURS, (ENGINE,), 1.1),
        (OURS, (TODAY,), 2.0),
        ("ptbert-bfloat16", (OURS,), 1.6),
        ("ptbert-int8", ("ctranslate2-int8",), 1.0),
    )
    return Row(f"32 + 64 tokens, batch {batch}", "generate", batch, 32, libraries, 64, targets)


def _prefill(batch: int) -> Row:
    libraries, targets = (OURS, TODAY, ENGINE), ((OURS, (TODAY, ENGINE), 1.0),)
    return Row(f"512 + 1 tokens, batch {batch}", "generate", batch, 512, libraries, 1, targets)


ROWS = (
    _decoding(1),
    _decoding(8),
    _prefill(1),
    _prefill(8),
    Row("training step, 4 x 256", "train", 4, 256, (OURS, TODAY), 0, ((OURS, (TODAY,), 1.2),)),
    Row(
        "score, 4 windows of 512",
        "score",
        4,
        512,
        (OURS, TODAY, ENGINE),
        0,
        ((OURS, (TODAY,), 1.3),),
    ),
)


class Worker:
    """A process with one library; it ends with this one."""

    def __init__(self, library: str, threads: int, folder: Path) -> None:
        environment = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(WORKER), library, str(threads), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        self.version = self._read()["version"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def write_model(folder: Path, vocabulary: Path) -> None:
    """A GPT-2 small with random weights, in the format of transformers, and its vocabulary."""
    import ptbert

    torch.manual_seed(0)
    model = ptbert.GPT2LMHeadModel(ptbert.GPT2Config())
    state = {
        name.replace("lm_head.decoder.", "lm_head."): tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith(".attn.bias")
    }
    torch.save(state, folder / "pytorch_model.bin")
    fields = {**model.config.to_dict(), "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    for name, copy in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
        shutil.copy(vocabulary / name, folder / copy)


def token_rows(row: Row, data: Path, folder: Path) -> list[list[int]]:
    """Windows of WikiText-2 for scoring, random tokens otherwise."""
    if row.kind != "score":
        generator = torch.Generator().manual_seed(row.tokens)
        shape = (row.batch, row.tokens)
        return torch.randint(0, 50257, shape, generator=generator).tolist()
    import ptbert

    tokenizer = ptbert.GPT2Tokenizer.from_pretrained(str(folder))
    text = (data / "lm" / "wikitext-2" / "valid.txt").read_text(encoding="utf-8")
    ids = tokenizer.encode(text[:40_000])
    return [ids[i * row.tokens : (i + 1) * row.tokens] for i in range(row.batch)]


def deviation(row: Row, result: Any, expected: Any) -> float:
    """How far a library is from ptbert's float32; of tokens, the share that differs."""
    if row.kind == "train":
        return 0.0
    if row.kind == "score":
        return max(abs(a - b) for a, b in zip(result, expected, strict=True))
    pairs = [p for a, b in zip(result, expected, strict=True) for p in zip(a, b, strict=True)]
    return sum(a != b for a, b in pairs) / len(pairs)


def measure(row: Row, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    ids = token_rows(row, arguments.data, folder)
    question = {"kind": row.kind, "ids": ids, "count": row.new_tokens}
    seconds: dict[str, list[float]] = {library: [] for library in row.libraries}
    ceilings: dict[str, list[float]] = {}
    results, workers = {}, {}
    probe = Worker("machine", arguments.threads, folder)
    try:
        for library in row.libraries:
            workers[library] = Worker(library, arguments.threads, folder)
            results[library] = workers[library].ask(question).get("result")
        order = list(row.libraries)
        for _ in range(arguments.turns):
            random.shuffle(order)
            for name, value in probe.ask({"kind": "machine"}).items():
                ceilings.setdefault(name, []).append(value)
            for library in order:
                seconds[library].append(workers[library].ask(question)["seconds"])
    finally:
        for worker in [probe, *workers.values()]:
            worker.stop()
    medians = {library: median(values) for library, values in seconds.items()}
    found = {
        "row": row.name,
        "seconds": medians,
        "spread": {name: [min(values), max(values)] for name, values in seconds.items()},
        "machine": {name: median(values) for name, values in ceilings.items()},
        "deviation": {name: deviation(row, results[name], results[OURS]) for name in results},
        "versions": {name: worker.version for name, worker in workers.items()},
        "targets": [
            {
                "library": library,
                "over": list(others),
                "at_least": factor,
                "ratio": min(medians[other] for other in others) / medians[library],
            }
            for library, others, factor in row.targets
        ],
    }
    if row.new_tokens > 1:
        found["share_of_reading"] = {
            library: share_of_reading(library, row, medians[library], found["machine"])
            for library in row.libraries
            if library.partition("-")[2] in BYTES
        }
    return found


def share_of_reading(library: str, row: Row, seconds: float, machine: dict[str, float]) -> float:
    """Bytes of weights read per second, over what the machine reads per second."""
    weights = PARAMETERS - 1024 * 768
    read = row.new_tokens * weights * BYTES[library.partition("-")[2]]
    return read / seconds / machine["bytes_per_second"]


def show(found: dict[str, Any], row: Row) -> None:
    print(f"\n{row.name}")
    tokens = row.batch * (row.new_tokens if row.new_tokens > 1 else row.tokens)
    for library, seconds in sorted(found["seconds"].items(), key=lambda item: item[1]):
        share = found.get("share_of_reading", {}).get(library)
        shown = "" if share is None else f", {share:.0%} of the speed of memory"
        print(f"  {library:20} {1000 * seconds:8.0f} ms {tokens / seconds:8.1f} tokens/s{shown}")
    for target in found["targets"]:
        verdict = "reached" if target["ratio"] >= target["at_least"] else "MISSED"
        print(
            f"    {target['library']} over {' and '.join(target['over'])}: {target['ratio']:.2f}x, "
            f"wanted {target['at_least']}x: {verdict}"
        )


def plot(results: list[dict[str, Any]], path: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 6))
    for axis, found in zip(axes.flat, results, strict=False):
        names = list(found["seconds"])
        values = [1000 * found["seconds"][name] for name in names]
        colors = ["#2b6cb0" if name.startswith("ptbert") else "#a0aec0" for name in names]
        axis.barh(names, values, color=colors)
        axis.invert_yaxis()
        axis.set_title(found["row"], fontsize=10)
        axis.set_xlabel("milliseconds, less is better")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with vocab/gpt2 and lm/wikitext-2")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder, arguments.data / "vocab" / "gpt2")
        for row in ROWS:
            if arguments.rows in row.name:
                found = measure(row, arguments, folder)
                results.append(found)
                show(found, row)
    record = {
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "rows": results,
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
