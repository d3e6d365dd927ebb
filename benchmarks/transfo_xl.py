"""Transformer-XL on the CPU beside pytorch-pretrained-bert 0.6.2, in one process each, by turns.

python benchmarks/transfo_xl.py [--rounds 5] [--output benchmarks/results/transfo_xl.json]

A model of 6 layers, 410 wide, vocabulary 20,000 in 3 clusters, batch 10, segments of 128 tokens:
evaluation (losses of a segment) with memory of 128 and 1,600, and a training step (forward,
backward, Adam) with memory of 128. The median of each over the rounds; "cached" is ptbert with
`cache_memory`, "score" its `model.score`. Then the time of a token that `model.stream` writes,
early and late in a text.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

FIELDS: dict[str, Any] = {
    "cutoffs": [2000, 6000],
    "d_model": 410,
    "d_embed": 410,
    "n_head": 10,
    "d_head": 41,
    "d_inner": 2100,
    "div_val": 1,
    "n_layer": 6,
    "tgt_len": 128,
    "dropout": 0.1,
    "dropatt": 0.0,
}
TOKENS, BATCH, SEQ = 20_000, 10, 128
ROWS = [("evaluation", 128), ("evaluation", 1600), ("training", 128)]
SEGMENTS = 4  # of a text that is scored
WRITTEN = {"500": slice(450, 550), "5000": slice(4950, 5050)}


def runner(name: str, row: str, mem_len: int) -> Callable[[], None]:
    """A function that computes one segment of a text, or SEGMENTS of them by `model.score`."""
    library: Any = importlib.import_module("ptbert" if name in ("cached", "score") else name)
    torch.manual_seed(0)
    model = library.TransfoXLLMHeadModel(library.TransfoXLConfig(TOKENS, mem_len=mem_len, **FIELDS))
    # Frequent tokens have low ids: as likely as in the log-uniform distribution of a text.
    ids = (torch.exp(torch.rand(BATCH, SEQ + 1) * torch.log(torch.tensor(TOKENS))) - 1).long()
    ids = ids.clamp_(0, TOKENS - 1)
    inputs, target = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    state: dict[str, Any] = {"mems": None}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    model.train(row == "training")
    model.transformer.cache_memory = name == "cached"

    def evaluate() -> None:
        with torch.no_grad():
            _, state["mems"] = model(inputs, target, state["mems"])

    def train() -> None:
        optimizer.zero_grad()
        losses, state["mems"] = model(inputs, target, state["mems"])
        losses.mean().backward()
        optimizer.step()

    def score() -> None:
        text = torch.cat([*[inputs] * SEGMENTS, target[:, -1:]], 1)
        model.score(text)

    return score if name == "score" else train if row == "training" else evaluate


def written_tokens(mem_len: int) -> dict[str, Any]:
    """The milliseconds of a token that a model with so much memory writes, by its place."""
    library: Any = importlib.import_module("ptbert")
    torch.manual_seed(0)
    config = library.TransfoXLConfig(TOKENS, mem_len=mem_len, **FIELDS)
    model = library.TransfoXLLMHeadModel(config).eval()
    times = [time.perf_counter()]
    stream = model.stream([1, 2, 3], max_new_tokens=WRITTEN["5000"].stop, temperature=1.0, seed=1)
    times += [time.perf_counter() for _ in stream]
    steps = [end - start for start, end in itertools.pairwise(times)]
    medians = {name: statistics.median(steps[place]) for name, place in WRITTEN.items()}
    milliseconds = {name: round(1000 * seconds, 2) for name, seconds in medians.items()}
    return {"row": "generation", "mem_len": mem_len, "milliseconds_of_token": milliseconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.Tensor.byte = torch.Tensor.bool  # type: ignore[method-assign, assignment]  # 0.6.2's masks
    results = []
    for row, mem_len in ROWS:
        names = [
            "ptbert",
            *(["cached", "score"] if row == "evaluation" else []),
            "pytorch_pretrained_bert",
        ]
        runs = {name: runner(name, row, mem_len) for name in names}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for round_ in range(arguments.rounds + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if round_ > 0:  # the first warms up
                    elapsed = time.perf_counter() - start
                    seconds[name].append(elapsed / SEGMENTS if name == "score" else elapsed)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        result = {
            "row": row,
            "mem_len": mem_len,
            "tokens_per_second": {name: round(BATCH * SEQ / s) for name, s in medians.items()},
            "ratios": {name: round(medians[names[-1]] / medians[name], 2) for name in names[:-1]},
        }
        print(json.dumps(result), flush=True)
        results.append(result)
    for mem_len in (128, 1600):
        results.append(written_tokens(mem_len))
        print(json.dumps(results[-1]), flush=True)
    if arguments.output:
        record = {"torch": torch.__version__, "threads": torch.get_num_threads(), "rows": results}
        arguments.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
