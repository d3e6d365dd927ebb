"""What the bridge adds to a forward pass of BERT-base, in microseconds.

The pass itself is left out: the ids have a shape that the model refuses before any arithmetic, so
that only the way there and the exception are timed. The same refusal by the C++ module without a
bridge, below as many Python frames, is subtracted; the bridge passes the exception on, which is in
the result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import torch
from torch import nn

import ptbert

LIMIT = 15.0


def microseconds(call: Callable[[Any], Any], prepare: Callable[[], Any], repeats: int) -> float:
    """The 10th percentile of the times of refused calls; what else runs only adds to a time."""
    refused = torch.zeros(3, dtype=torch.long)
    times = []
    for _ in range(repeats):
        prepare()
        start = time.perf_counter_ns()
        try:
            call(refused)
        except ValueError:
            times.append(time.perf_counter_ns() - start)
    return quantiles(times, n=10)[0] / 1e3


class Unbridged(nn.Module):
    """Calls a C++ module through the frames that lead to a bridge."""

    def __init__(self, native: Any) -> None:
        super().__init__()
        self.native = native

    def forward(self, input_ids: Any) -> Any:
        return self._run(input_ids, None, None, True)

    def _run(self, *args: Any) -> Any:
        return self.native.forward(*args)


def nothing() -> None:
    """Prepares nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000, help="calls for each row")
    repeats = parser.parse_args().repeats

    config = ptbert.BertConfig(30522)
    with torch.device("meta"):
        model: Any = ptbert.BertModel(config).eval()
    unbridged = Unbridged(model._make_native())

    def replace_parameter() -> None:
        model.pooler.dense.bias = nn.Parameter(torch.zeros(config.hidden_size, device="meta"))

    def change_attribute() -> None:
        dropout = model.encoder.layer[0].output.dropout
        dropout.p = 0.3 - dropout.p

    base = microseconds(unbridged, nothing, repeats)
    rows = {
        "nothing changed": nothing,
        "one parameter replaced": replace_parameter,
        "one attribute changed": change_attribute,
    }
    print(f"{sum(1 for _ in model.modules())} modules; limit with nothing changed: {LIMIT:.0f} us")
    for name, prepare in rows.items():
        print(f"{name:<24}{microseconds(model, prepare, repeats) - base:9.1f} us")


if __name__ == "__main__":
    main()
