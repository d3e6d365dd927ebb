"""What the bridge adds to a forward pass of BERT-base, which has 216 modules.

The pass itself is left out: the ids have a shape that is refused before any arithmetic, so that
only the way there and the exception are timed. The same refusal by the embeddings called alone, a
tree of 6 modules, is subtracted.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import torch
from torch import nn

import ptbert

LIMIT = 15.0


def refusal(call: Callable[[Any], Any]) -> int:
    """The nanoseconds that a refused call takes."""
    refused = torch.zeros(3, dtype=torch.long)
    start = time.perf_counter_ns()
    with contextlib.suppress(ValueError):
        call(refused)
    return time.perf_counter_ns() - start


def microseconds(model: Any, prepare: Callable[[], Any], repeats: int) -> float:
    """What calls of `model`, each after `prepare`, take beyond calls of its embeddings.

    Both alternate and the fastest tenth counts, since what else runs only adds to a time.
    """
    whole, part = [], []
    for _ in range(repeats):
        prepare()
        whole.append(refusal(model))
        part.append(refusal(model.embeddings))
    return (quantiles(whole, n=10)[0] - quantiles(part, n=10)[0]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000, help="calls for each row")
    repeats = parser.parse_args().repeats

    config = ptbert.BertConfig(30522)
    with torch.device("meta"):
        model: Any = ptbert.BertModel(config).eval()

    def replace_parameter() -> None:
        model.pooler.dense.bias = nn.Parameter(torch.zeros(config.hidden_size, device="meta"))

    def change_attribute() -> None:
        dropout = model.encoder.layer[0].output.dropout
        dropout.p = 0.3 - dropout.p

    rows: dict[str, Callable[[], Any]] = {
        "nothing changed": lambda: None,
        "one parameter replaced": replace_parameter,
        "one attribute changed": change_attribute,
    }
    print(f"{sum(1 for _ in model.modules())} modules; limit with nothing changed: {LIMIT:.0f} us")
    for name, prepare in rows.items():
        print(f"{name:<24}{microseconds(model, prepare, repeats):9.1f} us")


if __name__ == "__main__":
    main()
