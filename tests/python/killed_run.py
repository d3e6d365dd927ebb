"""A run that is killed again and again, and goes on each time: the weights it ends with."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import torch
from tqdm import tqdm

from process_support import context
from ptbert.training import TrainingOptions, fit
from training_cases import batches, class_loss, make_model


def run(folder: Path, steps: int) -> None:
    """Train with dropout, from the newest checkpoint if there is one; a checkpoint at each step."""
    torch.set_num_threads(1)
    torch.manual_seed(5)
    model = make_model(dropout=0.1)
    options = TrainingOptions(
        learning_rate=1e-3,
        epochs=steps / 3,
        output_dir=folder,
        save_steps=1,
        resume=any((folder / "checkpoints").glob("step-*.pt")),
    )
    fit(model, batches(6), class_loss, options)
    torch.save(model.state_dict(), folder / "weights.pt")


def _run_to_be_killed(folder: Path, steps: int) -> None:
    tqdm.set_lock(threading.RLock())  # its own would be a semaphore that nobody removes
    run(folder, steps)


def run_and_kill(folder: Path, steps: int, kills: int, seed: int) -> int:
    """Start the run, kill it with SIGKILL some time after its first step, and so on, until it ends;
    how often it was killed."""
    draw = random.Random(seed)
    killed = 0
    history = folder / "history.csv"
    while not (folder / "weights.pt").exists():
        before = history.read_bytes() if history.exists() else b""
        process = context.Process(target=_run_to_be_killed, args=(folder, steps))
        process.start()
        while killed < kills and process.is_alive():
            if history.exists() and history.read_bytes() not in (b"", before):
                time.sleep(draw.uniform(0.0, 0.05))
                process.kill()
                killed += 1
                break
            time.sleep(0.005)
        process.join()
    return killed
