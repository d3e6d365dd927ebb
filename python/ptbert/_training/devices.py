"""Where a model is."""

from __future__ import annotations

import torch
from torch import nn

from .batches import Batch


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's parameters."""
    return next(model.parameters()).device


def to_device(batch: Batch, model: nn.Module) -> Batch:
    """The batch on the device of the model's parameters.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> batch = to_device({"x": torch.ones(3, 2)}, model)
        >>> batch["x"].device == model.weight.device
        True
    """
    device = device_of(model)
    return {name: tensor.to(device) for name, tensor in batch.items()}
