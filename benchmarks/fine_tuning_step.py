"""A step of fine-tuning on MRPC: ptbert beside pytorch-pretrained-bert 0.6.2.

Both train a MiniLM on the same examples, 32 in a step, each in a process of its own and each as its
example script does: the original pads every example to 128 tokens. Steps alternate, so that both
see the same state of the machine. The floating-point rate of a large matrix product in the same
run says what the machine gives.

    python benchmarks/fine_tuning_step.py MRPC_FOLDER [--reference_python PYTHON]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import run_classifier
from demo import locate_model
from glue import find_task

# What a worker runs, reading the number of a batch for each step and answering with its seconds.
PROGRAM = """
import importlib, sys, time
import torch

library = importlib.import_module(sys.argv[1])
modeling = importlib.import_module(sys.argv[1] + ".modeling")
torch.set_num_threads(int(sys.argv[2]))
config = modeling.BertConfig(sys.argv[3])
batches = torch.load(sys.argv[4])
model = library.BertForSequenceClassification(config, 2).train()
optimizer = library.BertAdam(model.parameters(), lr=5e-5, warmup=0.1, t_total=1000)
for line in sys.stdin:
    ids, types, mask, labels = batches[int(line)]
    start = time.perf_counter()
    model(ids, types, mask, labels).backward()
    optimizer.step()
    optimizer.zero_grad()
    print(time.perf_counter() - start, flush=True)
"""


class Worker:
    """A process that trains one step for each question."""

    def __init__(self, python: str, library: str, config: Path, batches: Path) -> None:
        arguments = [library, str(torch.get_num_threads()), str(config), str(batches)]
        self._process = subprocess.Popen(
            [python, "-c", PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def step(self, batch: int) -> float:
        """Seconds of a step on this batch."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{batch}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"a worker failed with status {self._process.wait()}")
        return float(answer)

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def matrix_product_rate(repeats: int = 10) -> float:
    """GFLOP/s of a product of two square matrices, the best of some."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds) / 1e9


def load_batches(data_dir: Path, steps: int, scratch: str, *more: str) -> list[Any]:
    """The first batches of run_classifier.py with these flags."""
    flags = {"data_dir": data_dir, "bert_model": locate_model(), "task_name": "MRPC"}
    flags |= {"output_dir": scratch, "feature_cache_dir": scratch}
    argv = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    args = run_classifier.parse_arguments([*argv, "--do_train", "--do_lower_case", *more])
    task = find_task("MRPC")
    _, tokenizer = run_classifier.load(args, task)
    batches = run_classifier.load_batches(args, task, tokenizer, "train.tsv")
    names = ("input_ids", "token_type_ids", "attention_mask", "labels")
    return [tuple(batch[name] for name in names) for batch in islice(batches, steps)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir", type=Path, help="folder of MRPC's .tsv files")
    parser.add_argument("--steps", type=int, default=30, help="steps to time")
    parser.add_argument(
        "--reference_python", default=sys.executable, help="a Python with the reference library"
    )
    args = parser.parse_args()
    config = locate_model() / "config.json"
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = Path(scratch) / "ours.pt", Path(scratch) / "theirs.pt"
        torch.save(load_batches(args.data_dir, args.steps, scratch), ours)
        padded = ["--pad_to_max_seq_length", "--no_length_buckets"]
        torch.save(load_batches(args.data_dir, args.steps, scratch, *padded), theirs)
        workers = {
            "ptbert": Worker(sys.executable, "ptbert", config, ours),
            "original": Worker(args.reference_python, "pytorch_pretrained_bert", config, theirs),
        }
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for worker in workers.values():
            worker.step(0)  # not timed
        rate = matrix_product_rate()
        for batch in range(args.steps):
            for name, worker in workers.items():
                seconds[name].append(worker.step(batch))
        for worker in workers.values():
            worker.stop()
    print(f"{torch.get_num_threads()} threads, matrix product {rate:.0f} GFLOP/s")
    for name, times in seconds.items():
        print(f"{name:<10} median {median(times):6.3f} s   mean {sum(times) / len(times):6.3f} s")
    mean = {name: sum(times) / len(times) for name, times in seconds.items()}
    print(f"original / ptbert, by the mean: {mean['original'] / mean['ptbert']:.2f}")


if __name__ == "__main__":
    main()
