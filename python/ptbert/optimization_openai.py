"""OpenAI GPT's optimizer."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.optimizer import Optimizer, required

from . import _C
from .optimization import (
    SCHEDULES,
    WarmupConstantSchedule,
    WarmupCosineSchedule,
    WarmupCosineWithHardRestartsSchedule,
    WarmupCosineWithWarmupRestartsSchedule,
    WarmupLinearSchedule,
    _Adam,
    _LRSchedule,
    _scheduled_rate,
)

logger = logging.getLogger(__name__)

__all__ = ["SCHEDULES", "OpenAIAdam"]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["Optimizer", "WarmupConstantSchedule", "WarmupCosineSchedule"]
__all__ += ["WarmupCosineWithHardRestartsSchedule", "WarmupCosineWithWarmupRestartsSchedule"]
__all__ += ["WarmupLinearSchedule", "clip_grad_norm_", "logger", "logging", "math", "required"]
__all__ += ["torch"]


class OpenAIAdam(_Adam):
    """Adam as GPT was trained with it: bias correction in the rate, decoupled weight decay of
    matrices, and no clipping of gradients unless asked for.

    One step on a parameter p with gradient g, in C++; t counts the steps from 1::

        g          *= min(1, max_grad_norm / (|g| + 1e-6))  # where max_grad_norm > 0
        exp_avg     = b1 * exp_avg + (1 - b1) * g
        exp_avg_sq  = b2 * exp_avg_sq + (1 - b2) * g ** 2
        rate        = lr * schedule(t)
        p          -= rate * sqrt(1 - b2**t) / (1 - b1**t) * exp_avg / (sqrt(exp_avg_sq) + e)
        p          -= rate * weight_decay * p  # where p has more than one dimension, or vector_l2

    Args:
        params: Parameters, or groups of them with their own options.
        lr: Learning rate.
        schedule: "warmup_linear", "warmup_constant", "warmup_cosine", "none", None, or a schedule
            object, which has its own `warmup` and `t_total`.
        warmup: Fraction of `t_total` for the warm-up; -1 for none.
        t_total: Total number of steps; -1 for a constant rate.
        b1: Decay rate of the average of gradients.
        b2: Decay rate of the average of squared gradients.
        e: Added to the square root of the latter.
        weight_decay: Weight decay of parameters with more than one dimension.
        vector_l2: Whether biases and other parameters of one dimension decay too.
        max_grad_norm: L2 norm to which each parameter's gradient is clipped; -1 or 0: no clipping.

    Raises:
        TypeError: An argument is not a number, or `vector_l2` no bool.
        ValueError: An argument is out of its range.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = OpenAIAdam(model.parameters(), lr=6.25e-5, warmup=0.002, t_total=1000)
        >>> model(torch.ones(1, 2)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.get_lr()
        [3.125e-05, 3.125e-05]
    """

    _averages = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = required,
        schedule: str | _LRSchedule | None = "warmup_linear",
        warmup: float = -1,
        t_total: int = -1,
        b1: float = 0.9,
        b2: float = 0.999,
        e: float = 1e-8,
        weight_decay: float = 0,
        vector_l2: bool = False,
        max_grad_norm: float = -1,
        **kwargs: Any,
    ) -> None:
        options = {
            "lr": lr,
            "b1": b1,
            "b2": b2,
            "e": e,
            "weight_decay": weight_decay,
            "vector_l2": vector_l2,
            "max_grad_norm": max_grad_norm,
        }
        super().__init__(params, options, schedule, warmup, t_total, unknown=kwargs)

    def _update(
        self, group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]
    ) -> None:
        for state in states:
            state["step"] += 1
        _C.openai_adam_update(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state.get("master") for state in states],
            [_scheduled_rate(group, state) for state in states],
            [state["step"] for state in states],
            b1=group["b1"],
            b2=group["b2"],
            e=group["e"],
            weight_decay=group["weight_decay"],
            vector_l2=group["vector_l2"],
            max_grad_norm=group["max_grad_norm"],
        )
