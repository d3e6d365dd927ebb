"""BERT's optimizer and the learning-rate schedules."""

from __future__ import annotations

import abc
import logging
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.optimizer import Optimizer, required

from . import _C

logger = logging.getLogger(__name__)

__all__ = [
    "SCHEDULES",
    "BertAdam",
    "ConstantLR",
    "WarmupConstantSchedule",
    "WarmupCosineSchedule",
    "WarmupCosineWithHardRestartsSchedule",
    "WarmupCosineWithWarmupRestartsSchedule",
    "WarmupLinearSchedule",
    "warmup_constant",
    "warmup_cosine",
    "warmup_linear",
]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["ABC", "Optimizer", "abc", "clip_grad_norm_", "logger", "logging", "math", "required"]
__all__ += ["sys", "torch"]


class _LRSchedule(ABC):
    """Multiplier of the learning rate over the course of training.

    Args:
        warmup: Fraction of `t_total` over which the multiplier rises from 0 to 1; -1 for none.
        t_total: Total number of steps; if negative, the multiplier is always 1.

    Raises:
        ValueError: `warmup` is neither in [0, 1) nor -1; `t_total` is 0.
    """

    warn_t_total: ClassVar[bool] = False
    """Whether to warn when training continues past `t_total`."""

    def __init__(self, warmup: float = 0.002, t_total: float = -1, **kw: Any) -> None:
        super().__init__(**kw)
        _check(0.0 <= warmup < 1.0 or warmup == -1, "warmup", "in [0, 1) or -1", warmup)
        _check(t_total != 0, "t_total", "above 0, or negative for no schedule", t_total)
        if t_total < 0 and not isinstance(self, ConstantLR):
            logger.warning("`t_total` (%g) is negative: the schedule is not applied.", t_total)
        self.warmup = max(float(warmup), 0.0)
        self.t_total = float(t_total)
        self.warned_for_t_total_at_progress = -1.0

    def get_lr(self, step: float, nowarn: bool = False) -> float:
        """Returns the multiplier at a step, counted from 0."""
        if self.t_total < 0:
            return 1.0
        progress = step / self.t_total
        multiplier = self.get_lr_(progress)
        if (
            not nowarn
            and self.warn_t_total
            and progress > max(1.0, self.warned_for_t_total_at_progress)
        ):
            logger.warning(
                "`t_total` (%g) is exceeded at step %g: %s multiplies the learning rate by %g.",
                self.t_total,
                step,
                type(self).__name__,
                multiplier,
            )
            self.warned_for_t_total_at_progress = progress
        return multiplier

    @abstractmethod
    def get_lr_(self, progress: float) -> float:
        """Returns the multiplier at `progress` = step / t_total."""


class ConstantLR(_LRSchedule):
    """Always 1.

    Example:
        >>> ConstantLR().get_lr(5)
        1.0
    """

    def get_lr_(self, progress: float) -> float:
        return 1.0


class WarmupConstantSchedule(_LRSchedule):
    """Rises from 0 to 1, then stays at 1.

    Example:
        >>> schedule = WarmupConstantSchedule(warmup=0.1, t_total=100)
        >>> [round(schedule.get_lr(step), 2) for step in (0, 5, 10, 100)]
        [0.0, 0.5, 1.0, 1.0]
    """

    def get_lr_(self, progress: float) -> float:
        return _C.warmup_constant(progress, self.warmup)


class WarmupLinearSchedule(_LRSchedule):
    """Rises from 0 to 1, then falls linearly to 0 at the end.

    Example:
        >>> schedule = WarmupLinearSchedule(warmup=0.1, t_total=100)
        >>> [round(schedule.get_lr(step), 2) for step in (0, 5, 10, 55, 99)]
        [0.0, 0.5, 1.0, 0.5, 0.01]
    """

    warn_t_total = True

    def get_lr_(self, progress: float) -> float:
        return _C.warmup_linear(progress, self.warmup)


class WarmupCosineSchedule(_LRSchedule):
    """Rises from 0 to 1, then follows `cycles` periods of a cosine.

    Args:
        cycles: The default, 0.5, ends at 0.

    Example:
        >>> schedule = WarmupCosineSchedule(warmup=0.1, t_total=100)
        >>> [round(schedule.get_lr(step), 2) for step in (0, 5, 10, 55, 100)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    warn_t_total = True

    def __init__(
        self, warmup: float = 0.002, t_total: float = -1, cycles: float = 0.5, **kw: Any
    ) -> None:
        super().__init__(warmup=warmup, t_total=t_total, **kw)
        self.cycles = cycles

    def get_lr_(self, progress: float) -> float:
        return _C.warmup_cosine(progress, self.warmup, self.cycles)


class WarmupCosineWithHardRestartsSchedule(WarmupCosineSchedule):
    """Rises from 0 to 1, then falls `cycles` times from 1 to 0 along half a cosine.

    Raises:
        ValueError: `cycles` is less than 1.

    Example:
        >>> schedule = WarmupCosineWithHardRestartsSchedule(warmup=0.2, t_total=100, cycles=2)
        >>> [round(schedule.get_lr(step), 2) for step in (10, 20, 40, 59, 61)]
        [0.5, 1.0, 0.5, 0.0, 1.0]
    """

    def __init__(
        self, warmup: float = 0.002, t_total: float = -1, cycles: float = 1.0, **kw: Any
    ) -> None:
        _check(cycles >= 1.0, "cycles", "at least 1", cycles)
        super().__init__(warmup=warmup, t_total=t_total, cycles=cycles, **kw)

    def get_lr_(self, progress: float) -> float:
        return _C.warmup_cosine_with_hard_restarts(progress, self.warmup, self.cycles)


class WarmupCosineWithWarmupRestartsSchedule(WarmupCosineWithHardRestartsSchedule):
    """Repeats `cycles` times: rises from 0 to 1, then falls to 0 along half a cosine. All rises
    together take `warmup` * `cycles` of `t_total`.

    Raises:
        ValueError: `cycles` is less than 1, or `warmup` * `cycles` is not below 1.

    Example:
        >>> schedule = WarmupCosineWithWarmupRestartsSchedule(warmup=0.2, t_total=100, cycles=2)
        >>> [round(schedule.get_lr(step), 2) for step in (10, 20, 35, 50, 60, 70)]
        [0.5, 1.0, 0.5, 0.0, 0.5, 1.0]
    """

    def __init__(
        self, warmup: float = 0.002, t_total: float = -1, cycles: float = 1.0, **kw: Any
    ) -> None:
        _check(cycles >= 1.0, "cycles", "at least 1", cycles)
        if warmup * cycles >= 1.0:
            raise ValueError(f"`warmup` ({warmup:g}) times `cycles` ({cycles:g}) must be below 1.")
        # As in the 2019 library the attribute is the warm-up's fraction of a cycle.
        super().__init__(
            warmup=warmup * cycles if warmup >= 0 else warmup, t_total=t_total, cycles=cycles, **kw
        )

    def get_lr_(self, progress: float) -> float:
        return _C.warmup_cosine_with_warmup_restarts(
            progress, self.warmup / self.cycles, self.cycles
        )


def warmup_cosine(x: float, warmup: float = 0.002) -> float:
    """The multiplier of `WarmupCosineSchedule` at progress `x`, as scripts of 2018 call it."""
    return _C.warmup_cosine(x, warmup, 0.5)


def warmup_constant(x: float, warmup: float = 0.002) -> float:
    """The multiplier of `WarmupConstantSchedule` at progress `x`, as scripts of 2018 call it."""
    return _C.warmup_constant(x, warmup)


def warmup_linear(x: float, warmup: float = 0.002) -> float:
    """The multiplier of `WarmupLinearSchedule` at progress `x`, as scripts of 2018 call it."""
    return _C.warmup_linear(x, warmup)


SCHEDULES: dict[str | None, type[_LRSchedule]] = {
    None: ConstantLR,
    "none": ConstantLR,
    "warmup_cosine": WarmupCosineSchedule,
    "warmup_constant": WarmupConstantSchedule,
    "warmup_linear": WarmupLinearSchedule,
}


_16_BITS = (torch.float16, torch.bfloat16)


def new_averages(parameter: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Zeros for the averages of a parameter's gradients. Those of a parameter of 16 bits are in
    float32, as is a copy of it, "master", since small steps would be lost."""
    data = parameter.detach()
    if data.dtype not in _16_BITS:
        return {name: data.new_zeros(data.shape) for name in names}
    zeros = {name: data.new_zeros(data.shape, dtype=torch.float32) for name in names}
    return {**zeros, "master": data.float()}


def averages_in_float32(
    optimizer: Optimizer, names: Iterable[str], state_dict: Mapping[str, Any]
) -> None:
    """After loading: what torch has rounded to the type of 16-bit parameters is taken again."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, loaded in state_dict["state"].items():
        parameter = parameters[index]
        if parameter.dtype not in _16_BITS:
            continue
        state = optimizer.state[parameter]
        for name in names:
            state[name] = loaded[name].to(parameter.device, torch.float32, copy=True)
        master = loaded.get("master", parameter.detach())
        state["master"] = master.to(parameter.device, torch.float32, copy=True)


class _Adam(Optimizer, ABC):
    """What BertAdam and OpenAIAdam have in common."""

    _averages: ClassVar[tuple[str, str]]
    """What the state calls the averages of the gradient and of its square."""

    def __init__(
        self,
        params: Iterable[Any],
        options: dict[str, Any],
        schedule: str | _LRSchedule | None,
        warmup: float,
        t_total: int,
        unknown: Mapping[str, Any],
    ) -> None:
        if unknown:
            raise TypeError(
                f"`{next(iter(unknown))}` must be an argument of {type(self).__name__}, but is not."
            )
        _check_types({**options, "warmup": warmup, "t_total": t_total})
        _check_ranges(options)
        if isinstance(schedule, _LRSchedule):
            if warmup != -1 or t_total != -1:
                logger.warning(
                    "`warmup` and `t_total` have no effect: `schedule` is a %s with its own.",
                    type(schedule).__name__,
                )
        elif schedule in SCHEDULES:
            schedule = SCHEDULES[schedule](warmup=warmup, t_total=t_total)
        else:
            raise ValueError(
                '`schedule` must be None, "none", "warmup_constant", "warmup_cosine", '
                f'"warmup_linear" or an _LRSchedule, but is "{schedule}".'
            )
        super().__init__(params, {**options, "schedule": schedule})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters; options that it lacks are those of the constructor."""
        options = {name: param_group[name] for name in self.defaults if name in param_group}
        options.pop("schedule", None)
        _check_types(options)
        _check_ranges(options)
        super().add_param_group(param_group)

    def get_lr(self) -> list[float]:
        """Returns the scheduled learning rate of each parameter that has had a gradient; [0] before
        the first step."""
        return [
            _scheduled_rate(group, state)
            for group in self.param_groups
            for parameter in group["params"]
            if (state := self.state.get(parameter))
        ] or [0]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Makes one step.

        Args:
            closure: Recomputes the loss and its gradients.

        Returns:
            The closure's loss.
        """
        loss = None if closure is None else closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            self._update(group, parameters, [self._state_of(p) for p in parameters])
        return loss

    @abstractmethod
    def _update(
        self, group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]
    ) -> None:
        """Makes one step on those parameters of a group that have gradients."""

    def _state_of(self, parameter: Tensor) -> dict[str, Any]:
        if parameter.grad is not None and parameter.grad.is_sparse:
            raise RuntimeError("`grad` must be dense, but is sparse; use torch.optim.SparseAdam.")
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = 0
            state.update(new_averages(parameter, self._averages))
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the result of `state_dict`."""
        super().load_state_dict(state_dict)
        averages_in_float32(self, self._averages, state_dict)


class BertAdam(_Adam):
    """Adam as BERT was trained with it: no bias correction, decoupled weight decay, and gradients
    clipped per parameter.

    One step on a parameter p with gradient g, in C++::

        g      *= min(1, max_grad_norm / (|g| + 1e-6))
        next_m  = b1 * next_m + (1 - b1) * g
        next_v  = b2 * next_v + (1 - b2) * g ** 2
        p      -= lr * schedule(step) * (next_m / (sqrt(next_v) + e) + weight_decay * p)

    Args:
        params: Parameters, or groups of them with their own options.
        lr: Learning rate.
        warmup: Fraction of `t_total` for the warm-up; -1 for none.
        t_total: Total number of steps; -1 for a constant rate.
        schedule: "warmup_linear", "warmup_constant", "warmup_cosine", "none", None, or a schedule
            object, which has its own `warmup` and `t_total`.
        b1: Decay rate of the average of gradients.
        b2: Decay rate of the average of squared gradients.
        e: Added to the square root of the latter.
        weight_decay: Weight decay.
        max_grad_norm: L2 norm to which each parameter's gradient is clipped; -1 or 0: no clipping.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of its range.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = BertAdam(model.parameters(), lr=5e-5, warmup=0.1, t_total=100)
        >>> model(torch.ones(1, 2)).sum().backward()
        >>> optimizer.step()
    """

    _averages = ("next_m", "next_v")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = required,
        warmup: float = -1,
        t_total: int = -1,
        schedule: str | _LRSchedule | None = "warmup_linear",
        b1: float = 0.9,
        b2: float = 0.999,
        e: float = 1e-6,
        weight_decay: float = 0.01,
        max_grad_norm: float = 1.0,
        **kwargs: Any,
    ) -> None:
        options = {
            "lr": lr,
            "b1": b1,
            "b2": b2,
            "e": e,
            "weight_decay": weight_decay,
            "max_grad_norm": max_grad_norm,
        }
        super().__init__(params, options, schedule, warmup, t_total, unknown=kwargs)

    def _update(
        self, group: dict[str, Any], parameters: list[Tensor], states: list[dict[str, Any]]
    ) -> None:
        _C.bert_adam_update(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["next_m"] for state in states],
            [state["next_v"] for state in states],
            [state.get("master") for state in states],
            [_scheduled_rate(group, state) for state in states],
            b1=group["b1"],
            b2=group["b2"],
            e=group["e"],
            weight_decay=group["weight_decay"],
            max_grad_norm=group["max_grad_norm"],
        )
        for state in states:
            state["step"] += 1


def _scheduled_rate(group: Mapping[str, Any], state: Mapping[str, Any]) -> Any:
    return group["lr"] * group["schedule"].get_lr(state["step"])


# The states of our optimizers hold their schedules: torch.load() reads such a file as it stands.
torch.serialization.add_safe_globals(
    [
        ConstantLR,
        WarmupConstantSchedule,
        WarmupCosineSchedule,
        WarmupCosineWithHardRestartsSchedule,
        WarmupCosineWithWarmupRestartsSchedule,
        WarmupLinearSchedule,
    ]
)


def _at_least_zero(value: float) -> bool:
    return value >= 0.0


def _below_one(value: float) -> bool:
    return 0.0 <= value < 1.0


def _at_least_zero_or_off(value: float) -> bool:
    return value >= 0.0 or value == -1


_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "lr": (_at_least_zero, "at least 0"),
    "b1": (_below_one, "in [0, 1)"),
    "b2": (_below_one, "in [0, 1)"),
    "e": (_at_least_zero, "at least 0"),
    "weight_decay": (_at_least_zero, "at least 0"),
    "max_grad_norm": (_at_least_zero_or_off, "at least 0, or -1 for no clipping"),
}


def _check_types(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        kind, types = ("a bool", (int,)) if name == "vector_l2" else ("a number", (Real, Tensor))
        if value is not required and not isinstance(value, types):
            raise TypeError(
                f"`{name}` must be {kind}, but is the {type(value).__name__} {value!r}."
            )


def _check_ranges(options: Mapping[str, Any]) -> None:
    for name, (holds, rule) in _RANGES.items():
        if name in options:
            value = options[name]
            _check(value is required or holds(value), name, rule, value)


def _check(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"`{name}` must be {rule}, but is {value}.")
