"""A worker process of bert.py: one library, asked for one step after the other.

Reads questions as lines of JSON, and answers each with one: {"prepare": job} loads a model and
warms it up (null frees it), {"turn": number} does a step and tells its seconds, or its megabytes.
The library "machine" multiplies and copies instead, to tell what the processor gives.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bert_peers import LIBRARIES, Batch, Library, TrainingLibrary

HEADS = {
    "encode": "BertModel",
    "classify": "BertForSequenceClassification",
    "finetune": "BertForSequenceClassification",
    "memory": "BertForSequenceClassification",
    "pretrain": "BertForPreTraining",
    "optimize": "BertModel",
}
TOLERANCE = 1e-3
# The products of a layer of BERT-base at 8 x 128 tokens: rows, inner size, columns, how many.
PRODUCTS = [(1024, 768, 768, 4), (1024, 768, 3072, 1), (1024, 3072, 768, 1)]
Answer = dict[str, Any]


@dataclass
class Job:
    """A row of the benchmark, as a worker needs it."""

    task: str
    """A key of `HEADS`."""
    folder: str
    """Of the model's configuration and weights."""
    batches: str
    """A file of batches."""
    expected: str
    """A file of ptbert's outputs: written by ptbert, compared with by the others."""
    bf16: bool
    """Whether the forward pass is under autocast."""
    warmup: int
    """Steps before the first that counts."""


def peak_megabytes() -> float:
    """The largest resident size of this process.

    Not `ru_maxrss`, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def train_step(
    library: TrainingLibrary, model: Any, optimizer: Any, batch: Batch, bf16: bool
) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        loss = library.loss(model, batch)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def infer(library: Library, model: Any, batches: list[Batch]) -> None:
    with torch.no_grad():
        for batch in batches:
            library.outputs(model, batch)


def set_gradients(model: Any) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e-3


def make_step(library: Any, model: Any, job: Job, batches: list[Batch]) -> Callable[[int], object]:
    """What is timed: a function of the number of the turn."""
    if job.task in ("encode", "classify"):
        return lambda turn: infer(library, model, batches)
    optimizer = library.optimizer(model.train())
    if job.task == "optimize":
        set_gradients(model)
        return lambda turn: optimizer.step()
    return lambda turn: train_step(
        library, model, optimizer, batches[turn % len(batches)], job.bf16
    )


def reference(library: Any, model: Any, job: Job, batch: Batch) -> list[torch.Tensor]:
    """What must agree among the libraries: outputs, or the loss of pre-training."""
    with torch.no_grad():
        if job.task == "pretrain":
            return [library.loss(model, batch)]
        return library.outputs(model, batch)


def deviation(library: Library, model: Any, job: Job, batch: Batch) -> float:
    """The largest difference from ptbert's outputs on this batch, without dropout."""
    outputs = reference(library, model, job, batch)
    file = Path(job.expected)
    if not file.exists():
        torch.save(outputs, file)
    expected = torch.load(file)
    largest = max((a - b).abs().max().item() for a, b in zip(outputs, expected, strict=True))
    return float(f"{largest:.1e}")


class Timed:
    """Steps of a model, in seconds."""

    def __init__(self, library: Library, job: Job) -> None:
        model = library.load(HEADS[job.task], Path(job.folder))
        if hasattr(model, "eval"):
            model.eval()
        batches = torch.load(job.batches)
        self.about: Answer = {"version": library.version, "torch": torch.__version__}
        if job.task != "optimize":
            self.about["deviation"] = deviation(library, model, job, batches[0])
        if fused := getattr(library, "fused", None):
            self.about["fused"] = fused
        self._step = make_step(library, model, job, batches)
        if self.about.get("deviation", 0.0) <= TOLERANCE:
            for turn in range(job.warmup):
                self._step(turn)

    def turn(self, number: int) -> Answer:
        start = time.perf_counter()
        self._step(number)
        return {"value": time.perf_counter() - start}


class Memory:
    """The peak of a whole fine-tuning run, in megabytes, over that before the model was made."""

    def __init__(self, library: Library, job: Job) -> None:
        self.about: Answer = {"version": library.version, "torch": torch.__version__}
        self._library = library
        self._job = job

    def turn(self, number: int) -> Answer:
        batches = torch.load(self._job.batches)
        before = peak_megabytes()
        model = self._library.load(HEADS[self._job.task], Path(self._job.folder))
        step = make_step(self._library, model, self._job, batches)
        for position in range(len(batches)):
            step(position)
        return {"value": peak_megabytes() - before}


class Machine:
    """What the processor gives: GFLOP/s of a layer's products, and GB/s read and written."""

    def __init__(self) -> None:
        self.about: Answer = {"version": torch.__version__, "torch": torch.__version__}
        self._products = [
            (torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns))
            for rows, inner, columns, count in PRODUCTS
            for _ in range(count)
        ]
        self._source, self._target = torch.ones(1 << 26), torch.empty(1 << 26)
        self.turn(0)

    def turn(self, number: int) -> Answer:
        start = time.perf_counter()
        for left, right, product in self._products:
            torch.mm(left, right, out=product)
        middle = time.perf_counter()
        self._target.copy_(self._source)
        end = time.perf_counter()
        operations = sum(2 * a * b * c * count for a, b, c, count in PRODUCTS)
        moved = 2 * self._source.nbytes
        return {
            "GFLOP/s": operations / (middle - start) / 1e9,
            "GB/s": moved / (end - middle) / 1e9,
        }


def open_library(name: str) -> Any:
    """The library, or the error where it is not installed."""
    try:
        return LIBRARIES[name]() if name != "machine" else None
    except ImportError as error:
        return error


def prepare(library: Any, question: Answer) -> Any:
    if library is None:
        return Machine()
    job = Job(**question)
    return (Memory if job.task == "memory" else Timed)(library, job)


def main() -> None:
    # bert.py ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # This folder's tokenizers.py would hide the package of that name.
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [folder for folder in sys.path if folder != here]
    # Answers have standard output to themselves: what libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(sys.argv[2]))
    torch.manual_seed(0)
    library = open_library(sys.argv[1])
    steps: Any = None
    for line in sys.stdin:
        question = json.loads(line)
        if "turn" in question:
            answer = steps.turn(question["turn"])
        elif isinstance(library, ImportError):
            answer = {"missing": str(library)}
        else:
            steps = None
            gc.collect()
            if question["prepare"] is not None:
                steps = prepare(library, question["prepare"])
            answer = steps.about if steps else {}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
