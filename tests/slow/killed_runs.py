"""A run that is killed at 20 random moments ends with the weights of an undisturbed one.

python tests/slow/killed_runs.py [--kills 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import killed_run

STEPS = 120


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        whole, parts = Path(name, "whole"), Path(name, "parts")
        killed_run.run(whole, STEPS)
        killed = killed_run.run_and_kill(parts, STEPS, args.kills, args.seed)
        expected, weights = (
            torch.load(f / "weights.pt", weights_only=True) for f in (whole, parts)
        )
        same_weights = all(torch.equal(expected[key], weights[key]) for key in expected)
        same_history = len({(f / "history.csv").read_bytes() for f in (whole, parts)}) == 1
    print(f"killed {killed} times; equal weights: {same_weights}; equal history: {same_history}")
    sys.exit(0 if same_weights and same_history and killed == args.kills else 1)


if __name__ == "__main__":
    main()
