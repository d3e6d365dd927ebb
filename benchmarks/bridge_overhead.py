"""What the bridge adds to a forward pass of BERT-base: microseconds to see that nothing changed, and
to follow changes.

The pass itself is left out: tensors are on `meta`, where arithmetic costs nothing but its dispatch,
and each row is the time of a call after a change less that of a call of the bare C++ module.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn

import ptbert

LIMIT = 15.0


def microseconds(work: Callable[[], Any], prepare: Callable[[], Any], repeats: int) -> float:
    """The median time of `work`, each time after `prepare`."""
    times = []
    for _ in range(repeats):
        prepare()
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return median(times) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300, help="calls that each row is the median of")
    repeats = parser.parse_args().repeats

    torch.set_num_threads(1)
    config = ptbert.BertConfig(30522)
    with torch.device("meta"):
        model: Any = ptbert.BertModel(config).eval()
        inputs = torch.zeros(1, 8, dtype=torch.long)
    native = model._make_native()

    def change_parameter() -> None:
        model.pooler.dense.bias = nn.Parameter(torch.zeros(config.hidden_size, device="meta"))

    def change_structure() -> None:
        dropout = model.encoder.layer[0].output.dropout
        dropout.p = 0.3 - dropout.p

    with torch.no_grad():
        model(inputs)
        # Interleaved: the machine's speed drifts by more than the difference.
        bare, called = [], []
        for _ in range(10):
            bare.append(
                microseconds(lambda: native.forward(inputs, None, None, True), lambda: None, repeats)
            )
            called.append(microseconds(lambda: model(inputs), lambda: None, repeats))
        unchanged = median(c - b for b, c in zip(bare, called, strict=True))
        rebind = microseconds(lambda: model(inputs), change_parameter, repeats) - median(called)
        rebuild = microseconds(lambda: model(inputs), change_structure, repeats) - median(called)

    print(f"bare C++ call on meta           {median(bare):9.1f} us")
    print(f"bridge, nothing changed         {unchanged:9.1f} us  (limit {LIMIT:.0f})")
    print(f"bridge, one parameter replaced  {rebind:9.1f} us more")
    print(f"bridge, one attribute changed   {rebuild:9.1f} us more")


if __name__ == "__main__":
    main()
