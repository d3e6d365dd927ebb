"""BERT on the processor beside other libraries, all in one run.

    python benchmarks/bert.py DATA --output benchmarks/results/bert.json \\
      --plot benchmarks/results/bert.png

Each library has a process of its own, with the same weights, the same batches and the same number
of threads. They take turns, in another order each time, and the median counts. Before it is timed,
a library's outputs are held to ptbert's. In every turn the machine multiplies and copies too: its
speeds are the ceilings in the results. Compared where installed (`pip install --group bench`):
pytorch-pretrained-bert, transformers, ONNX Runtime.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bert_inputs import count_tokens, make_batches, write_model
from bert_report import judge_row, operations, plot, show_row, show_targets
from bert_rows import ROWS, SIZES, Row
from bert_worker import TOLERANCE, Job

WORKER = Path(__file__).with_name("bert_worker.py")
MEMORY_STEPS = 10
Values = dict[str, list[float]]


class WorkerError(RuntimeError):
    """A worker that ended, or whose outputs are wrong."""


class Worker:
    """A process with one library."""

    def __init__(self, python: str, library: str, threads: int) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        environment = {
            "OMP_NUM_THREADS": str(threads),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        self._process = subprocess.Popen(
            [python, "-W", "ignore", str(WORKER), library, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | environment,
        )

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer; WorkerError with the end of its messages if the process has none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the empty answer tells
        answer = self._process.stdout.readline()
        if not answer:
            status = self._process.wait()
            self._errors.seek(0)
            tail = "".join(self._errors.readlines()[-8:])
            raise WorkerError(f"ended with status {status}:\n{tail}")
        return json.loads(answer)

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


class Workers:
    """The processes, started when they are first needed."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._running: dict[str, Worker] = {}
        self.missing: set[str] = set()
        self.versions: dict[str, str] = {}

    def start(self, libraries: list[str]) -> None:
        """Starts those that do not run yet, all at once."""
        for library in libraries:
            if library not in self._running and library not in self.missing:
                original = library == "original"
                python = self._arguments.reference_python if original else sys.executable
                self._running[library] = Worker(python, library, self._arguments.threads)

    def prepare(self, library: str, job: Job | None) -> dict[str, Any] | None:
        """What the library says of itself and the job, or None where it is not installed."""
        if library in self.missing:
            return None
        about = self._running[library].ask({"prepare": asdict(job) if job else {}})
        if "missing" in about:
            print(f"  {library} is skipped: {about['missing']}", flush=True)
            self.missing.add(library)
            self.drop(library)
            return None
        if library != "machine":
            self.versions[library] = about["version"]
        if about.get("deviation", 0.0) > TOLERANCE:
            raise WorkerError(f"its outputs are {about['deviation']:.1e} from ptbert's")
        return about

    def turn(self, library: str, number: int) -> dict[str, Any]:
        return self._running[library].ask({"turn": number})

    def release(self, library: str) -> None:
        """Frees the memory of a row."""
        if library in self._running:
            self._running[library].ask({"prepare": None})

    def drop(self, library: str) -> None:
        self._running.pop(library).stop()

    def stop(self) -> None:
        for library in list(self._running):
            self.drop(library)

    def restart(self) -> None:
        """Ends all but the machine's, for fresh ones to take their places."""
        for library in list(self._running):
            if library != "machine":
                self.drop(library)


def describe_machine(threads: int) -> dict[str, Any]:
    """What the results depend on, without names of hosts or folders."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in reversed(cpuinfo) if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set((found.get("flags") or found.get("Features", "")).split())
    kept = ("Intel(R) oneAPI", "Intel(R) MKL", "OpenMP", "CPU capability")
    lines = [line.strip(" -") for line in torch.__config__.show().splitlines()]
    return {
        "processor": found.get("model name", platform.machine()),
        "processors": os.cpu_count(),
        "threads": threads,
        "bf16 instructions": sorted(flags & {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "configuration": [line for line in lines if line.startswith(kept)],
    }


def take_turns(
    workers: Workers, libraries: list[str], repeats: int, arguments: argparse.Namespace
) -> tuple[Values, Values]:
    """What each library and the machine took in each turn, until the row's time is over."""
    order, start = random.Random(arguments.seed), time.perf_counter()
    values: Values = {name: [] for name in libraries}
    ceilings: Values = defaultdict(list)
    for number in range(repeats):
        for name in order.sample([*libraries, "machine"], len(libraries) + 1):
            answer = workers.turn(name, number)
            if name != "machine":
                values[name].append(answer["value"])
            else:
                for unit, rate in answer.items():
                    ceilings[unit].append(rate)
        if number >= 2 and time.perf_counter() - start > arguments.seconds:
            break
    return values, ceilings


def prepare_row(
    workers: Workers, row: Row, job: Job, arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Starts the row in every library that can; ptbert first, whose outputs others are held to."""
    about = {}
    left_out = ("transformers compiled",) if arguments.skip_compiled else ()
    libraries = ["ptbert", *(peer for peer in row.peers if peer not in left_out)]
    workers.start(libraries)
    for library in libraries:
        print(f"  preparing {library} ...", flush=True)
        try:
            found = workers.prepare(library, job)
        except WorkerError as error:
            print(f"  {library} {error}", flush=True)
            workers.drop(library)
            found = None
        if library == "ptbert" and found is None:
            raise WorkerError("ptbert does not run")
        if found is not None:
            about[library] = found
    return about


def run_row(
    workers: Workers, row: Row, scratch: Path, arguments: argparse.Namespace
) -> tuple[dict[str, float], dict[str, Any]]:
    """The medians of a row, and what else is known of it."""
    print(f"{row.name}: {row.title}", flush=True)
    torch.manual_seed(arguments.seed)
    size = "tiny" if arguments.quick else row.size
    turns = 1 if row.task == "memory" else arguments.repeats
    count = {"classify": arguments.batches, "memory": MEMORY_STEPS}.get(row.task, turns)
    folder, batches = scratch / size, make_batches(row, arguments.data, count)
    if not folder.exists():
        write_model(folder, SIZES[size])
    file, expected = scratch / f"{row.name}.batches", scratch / f"{row.name}.expected"
    torch.save(batches, file)
    warmup = 1 if row.task in ("encode", "classify") else 2
    job = Job(row.task, str(folder), str(file), str(expected), row.bf16, warmup)
    about = prepare_row(workers, row, job, arguments)
    values, ceilings = take_turns(workers, list(about), turns, arguments)
    for library in about:
        workers.release(library)
    scale = 1e3 if row.unit == "ms" else 1
    medians = {name: round(scale * median(taken), 3) for name, taken in values.items()}
    details: dict[str, Any] = {
        "unit": row.unit,
        "turns": len(values["ptbert"]),
        "ceilings": {unit: round(median(rates), 1) for unit, rates in ceilings.items()},
        "deviation": {name: one["deviation"] for name, one in about.items() if "deviation" in one},
    }
    if row.task in ("encode", "classify"):
        tokens = count_tokens(batches)
        rates = {name: round(1e3 * tokens / taken, 1) for name, taken in medians.items()}
        details |= {"batches": len(batches), "tokens": tokens, "tokens/s": rates}
    if row.task == "encode":
        needed = operations(SIZES[size], *batches[0]["input_ids"].shape) / 1e9
        rate = needed / (medians["ptbert"] / 1e3)
        details["share of the GEMM ceiling"] = round(rate / details["ceilings"]["GFLOP/s"], 3)
    fused = about.get("ONNX Runtime", {}).get("fused")
    return medians, details | ({"ONNX Runtime fused": fused} if fused else {})


def choose_rows(only: list[str] | None, machine: dict[str, Any]) -> list[Row]:
    """Those asked for, or all; of bf16 only where a step does not take minutes."""
    if only is not None:
        return [row for row in ROWS if row.name in only]
    if machine["bf16 instructions"]:
        return ROWS
    left_out = ", ".join(row.name for row in ROWS if row.bf16)
    print(f"Left out, as this processor has no bf16 instructions: {left_out}.", flush=True)
    return [row for row in ROWS if not row.bf16]


def run_rows(arguments: argparse.Namespace, workers: Workers, results: dict[str, Any]) -> None:
    """All rows that were asked for; a row that fails is told and left out."""
    workers.start(["machine"])
    workers.prepare("machine", None)
    with tempfile.TemporaryDirectory() as scratch:
        for row in choose_rows(arguments.only, results["machine"]):
            if row.task == "memory":
                workers.restart()  # a fresh process has no peak yet
            try:
                medians, details = run_row(workers, row, Path(scratch), arguments)
            except WorkerError as error:
                print(f"  {row.name} failed: {error}", flush=True)
                workers.restart()
                continue
            show_row(row, medians, details)
            results["rows"][row.name] = medians
            results["details"][row.name] = details
            results["targets"][row.name] = judge_row(row, medians, details)
            write(results, workers, arguments.output)


def write(results: dict[str, Any], workers: Workers, output: Path | None) -> None:
    """Keeps what is known so far."""
    results["machine"]["versions"] = workers.versions
    results["ceilings"] = collect_ceilings(results["details"])
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(results, indent=2) + "\n")


def collect_ceilings(details: dict[str, Any]) -> dict[str, float]:
    """The median over the rows of what the machine gave."""
    rates: Values = defaultdict(list)
    for row in details.values():
        for unit, rate in row["ceilings"].items():
            rates[unit].append(rate)
    return {unit: round(median(found), 1) for unit, found in rates.items()}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [row.name for row in ROWS]
    parser.add_argument("data", type=Path, help="the folder with vocab/ and glue/")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="NAME",
        help="these rows (all, but bf16 where the processor has no instructions for it)",
    )
    parser.add_argument("--repeats", type=int, help="turns of each library in a row (11)")
    parser.add_argument("--seconds", type=float, default=150, help="for the turns of a row")
    parser.add_argument("--batches", type=int, help="of MRPC in a step of inference (4)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a tiny model and few turns")
    parser.add_argument(
        "--skip_compiled", action="store_true", help="no torch.compile, which is slow to start"
    )
    parser.add_argument(
        "--reference_python", default=sys.executable, help="a Python with the original"
    )
    parser.add_argument("--output", type=Path, help="a JSON file for the results")
    parser.add_argument("--plot", type=Path, help="a PNG file for a chart")
    arguments = parser.parse_args()
    arguments.repeats = arguments.repeats or (2 if arguments.quick else 11)
    arguments.batches = arguments.batches or (2 if arguments.quick else 4)
    return arguments


def main() -> None:
    arguments = parse_arguments()
    machine = describe_machine(arguments.threads)
    results: dict[str, Any] = {
        "unit": "ms, or MB for memory; medians",
        "quick": arguments.quick,
        "machine": machine,
        "ceilings": {},
        "rows": {},
        "details": {},
        "targets": {},
    }
    workers = Workers(arguments)
    with ExitStack() as stack:
        stack.callback(workers.stop)
        run_rows(arguments, workers, results)
    show_targets(results["targets"])
    if arguments.plot and results["rows"]:
        plot(results["rows"], machine, arguments.plot)


if __name__ == "__main__":
    main()
