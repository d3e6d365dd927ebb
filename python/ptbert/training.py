"""Training: the loop of the example scripts, for many processes, 16 bits and runs that can go on.

Example:
    >>> import torch
    >>> from ptbert.training import Batches, TrainingOptions, fit
    >>> rows = [(float(n), 2.0 * n) for n in range(32)]
    >>> def collate(rows):
    ...     x, y = torch.tensor(rows).unbind(1)
    ...     return {"x": x[:, None], "y": y[:, None]}
    >>> def loss(model, batch):
    ...     return ((model(batch["x"]) - batch["y"]) ** 2).mean()
    >>> batches = Batches(rows, 8, collate, shuffle_seed=42)
    >>> options = TrainingOptions(learning_rate=0.1, epochs=2)
    >>> log = fit(torch.nn.Linear(1, 1), batches, loss, options)
    >>> log.global_step
    8
"""

from __future__ import annotations

from ._training import processes
from ._training.batches import Batch, Batches, BatchSource
from ._training.checkpoints import Checkpoints
from ._training.devices import to_device
from ._training.history import HISTORY_NAME, METRICS_NAME
from ._training.host_optimizer import HostOptimizer
from ._training.loop import Carried, TrainingLog, TrainingOptions, bert_adam, fit
from ._training.loss_scaler import LossScaler
from ._training.progress import track
from ._training.replicas import MeanLoss, whole

__all__ = [
    "HISTORY_NAME",
    "METRICS_NAME",
    "Batch",
    "BatchSource",
    "Batches",
    "Carried",
    "Checkpoints",
    "HostOptimizer",
    "LossScaler",
    "MeanLoss",
    "TrainingLog",
    "TrainingOptions",
    "bert_adam",
    "fit",
    "processes",
    "to_device",
    "track",
    "whole",
]
