"""A run that is killed again and again, and goes on each time: the weights it ends with.

As a script it is one process of the run: python killed_run.py FOLDER.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from ptbert.training import TrainingOptions, fit
from training_cases import batches, class_loss, make_model

STEPS = 120


def run(folder: Path) -> None:
    """Train with dropout, from the newest checkpoint if there is one; a checkpoint at each step."""
    torch.set_num_threads(1)
    torch.manual_seed(5)
    model = make_model(dropout=0.1)
    options = TrainingOptions(
        learning_rate=1e-3,
        epochs=STEPS / 3,
        output_dir=folder,
        save_steps=1,
        resume=any((folder / "checkpoints").glob("step-*.pt")),
    )
    fit(model, batches(6), class_loss, options)
    torch.save(model.state_dict(), folder / "weights.pt")


def run_and_kill(folder: Path, kills: int, seed: int) -> int:
    """Start the run, kill it with SIGKILL some time after its first step, and so on, until it ends;
    how often it was killed."""
    draw = random.Random(seed)
    killed = 0
    command = [sys.executable, __file__, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    history = folder / "history.csv"
    while not (folder / "weights.pt").exists():
        before = history.read_bytes() if history.exists() else b""
        process = subprocess.Popen(command, env=environment)
        while killed < kills and process.poll() is None:
            if history.exists() and history.read_bytes() not in (b"", before):
                time.sleep(draw.uniform(0.0, 0.15))
                process.send_signal(signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.005)
        process.wait()
    return killed


if __name__ == "__main__":
    run(Path(sys.argv[1]))
