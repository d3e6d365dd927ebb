"""The factor that keeps small gradients from becoming zero in 16 bits."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .replicas import whole

logger = logging.getLogger(__name__)

FIRST_SCALE = 2.0**16
GOOD_STEPS_TO_GROW = 2000
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-24, 2.0**24


class LossScaler:
    """The factor of a loss before the backward pass, and its removal from the gradients.

    A dynamic scale is halved when gradients overflow, the step being left out, and doubled after
    2,000 steps without (Micikevicius et al., arXiv 1710.03740).

    Args:
        loss_scale: The factor, or 0 for a dynamic one.

    Raises:
        ValueError: `loss_scale` is negative or not finite.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> scaler = LossScaler()
        >>> (weight.sum() * scaler.loss_scale).backward()
        >>> scaler.update(scaler.unscale([weight.grad]))
        >>> weight.grad, scaler.loss_scale
        (tensor([1., 1.]), 65536.0)
    """

    def __init__(self, loss_scale: float = 0.0) -> None:
        check_scale(loss_scale)
        self.dynamic = loss_scale == 0
        self.loss_scale = loss_scale or FIRST_SCALE
        self.good_steps = 0
        """Steps since the last overflow or growth."""
        self.growth_interval = GOOD_STEPS_TO_GROW

    def unscale(self, gradients: Iterable[Tensor]) -> bool:
        """Divide gradients by the scale, in place; whether all are finite."""
        gradients = list(gradients)
        if not gradients:
            return True
        torch._foreach_mul_(gradients, 1.0 / self.loss_scale)
        largest = torch._foreach_norm(gradients, float("inf"))
        return bool(torch.stack([whole(value) for value in largest]).isfinite().all())

    def update(self, finite: bool) -> None:
        """Adapt a dynamic scale to a step that has been made, or left out for its gradients."""
        if not finite:
            smaller = max(self.loss_scale / 2, SMALLEST_SCALE) if self.dynamic else self.loss_scale
            logger.info(
                "Gradients overflowed with a loss scale of %g: this step is left out, and the "
                "scale is now %g.",
                self.loss_scale,
                smaller,
            )
            self.loss_scale, self.good_steps = smaller, 0
            return
        self.good_steps += 1
        if self.dynamic and self.good_steps == self.growth_interval:
            self.loss_scale, self.good_steps = min(self.loss_scale * 2, LARGEST_SCALE), 0

    def state_dict(self) -> dict[str, Any]:
        """The scale and what it depends on."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the result of `state_dict`."""
        vars(self).update({name: state[name] for name in vars(self)})


def check_scale(loss_scale: float) -> None:
    """Refuse what can be no factor."""
    if not 0 <= loss_scale < float("inf"):
        raise ValueError(
            f"`loss_scale` ({loss_scale}) must be positive and finite, or 0 for a dynamic scale."
        )
