"""Importance of heads in batches of 1 and 32, and the speed of a model without half of its heads.

A BERT of MiniLM's sizes with random weights, on pairs of 20 to 80 tokens, about those of MRPC.
Medians of alternating runs on one thread; run it on a machine that does nothing else.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ptbert import BertConfig, BertForSequenceClassification
from ptbert.analysis import head_importance, prune_heads

EXAMPLES, LONGEST, REPEATS = 64, 128, 5


def batches_of(size: int, length: int | None = None) -> list[dict[str, Tensor]]:
    """The examples by length, padded to the longest of a batch or to `length`."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(20, 81, (EXAMPLES,), generator=generator).sort().values
    ids = torch.randint(1000, 30000, (EXAMPLES, LONGEST), generator=generator)
    labels = torch.randint(0, 2, (EXAMPLES,), generator=generator)
    batches = []
    for rows in torch.arange(EXAMPLES).split(size):
        width = length or int(lengths[rows].max())
        mask = (torch.arange(width) < lengths[rows][:, None]).long()
        batch = {"input_ids": ids[rows, :width] * mask, "attention_mask": mask}
        batches.append(batch | {"labels": labels[rows]})
    return batches


def losses(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """The loss of each example."""
    scores = model(batch["input_ids"], None, batch["attention_mask"])
    return cross_entropy(scores, batch["labels"], reduction="none")


def as_in_2019(model: Any, batches: list[dict[str, Tensor]]) -> Tensor:
    """The loop of the 2019 script: all gradients of each batch's loss, not normalised."""
    model.bert.keep_multihead_output = True
    importance, tokens = torch.zeros(6, 12), 0
    for batch in batches:
        losses(model, batch).mean().backward()
        for layer, heads in enumerate(model.bert.get_multihead_outputs()):
            importance[layer] += torch.einsum("bhli,bhli->bhl", heads.grad, heads).abs().sum((0, 2))
        tokens += int(batch["attention_mask"].sum())
    model.bert.keep_multihead_output = False
    model.zero_grad()
    return importance.detach() / tokens


def compare(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(REPEATS + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repeat:  # the first warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print both comparisons."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = BertConfig(30522, 384, 6, 12, 1536, initializer_range=0.05)
    model = BertForSequenceClassification(config).eval()
    raw = {"normalize_by_layer": False, "normalize_globally": False}
    alone, together, padded = batches_of(1), batches_of(32), batches_of(1, LONGEST)
    found = head_importance(model, together, losses, **raw)
    for name, other in (
        ("batch 1", head_importance(model, alone, losses, **raw)),
        ("2019", as_in_2019(model, padded).double()),
    ):
        relative = (found - other).abs().max() / other.abs().max()
        print(
            f"importance, batch 32 beside {name}: largest difference {relative:.1e} of the largest"
        )
    seconds = compare(
        {
            "2019, batch 1, padded to 128": lambda: as_in_2019(model, padded),
            "head_importance, batch 1": lambda: head_importance(model, alone, losses, **raw),
            "head_importance, batch 32": lambda: head_importance(model, together, losses, **raw),
        }
    )
    last = seconds["head_importance, batch 32"]
    for name, value in seconds.items():
        print(f"{name}: {value * 1000:.0f} ms, {value / last:.2f} x batch 32")
    pruned = copy.deepcopy(model)
    mask = torch.ones(6, 12)
    mask[:, ::2] = 0
    prune_heads(pruned, mask)
    with torch.no_grad():
        logits = [
            m(together[0]["input_ids"], None, together[0]["attention_mask"], **options)
            for m, options in ((model, {"head_mask": mask}), (pruned, {}))
        ]
        print(f"pruned beside masked: logits differ by {(logits[0] - logits[1]).abs().max():.1e}")
        for length in (64, 128, 512):
            ids = torch.randint(1000, 30000, (8, length))
            seconds = compare({"all": lambda i=ids: model(i), "half": lambda i=ids: pruned(i)})
            ratio = seconds["all"] / seconds["half"]
            print(f"8 x {length} tokens, half of the heads pruned: {ratio:.2f} x as fast")


if __name__ == "__main__":
    main()
