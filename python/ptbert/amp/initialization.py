"""`amp.initialize` and `amp.scale_loss`."""

from __future__ import annotations

import copy
import functools
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.optim import Optimizer

from .._training.devices import device_of
from .._training.loss_scaler import LossScaler
from .optimizers import MasterWeights

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class _Level:
    """What an `opt_level` means."""

    autocast: bool
    """Weights stay in float32; operations choose their type."""
    half: bool
    """Weights are in float16, and so is all that is computed."""
    master_weights: bool
    loss_scale: float
    """0: dynamic."""
    keep_batchnorm: bool = True
    """Batch normalization stays in float32."""


_LEVELS = {
    "O0": _Level(autocast=False, half=False, master_weights=False, loss_scale=1.0),
    "O1": _Level(autocast=True, half=False, master_weights=False, loss_scale=0.0),
    "O2": _Level(autocast=False, half=True, master_weights=True, loss_scale=0.0),
    "O3": _Level(
        autocast=False, half=True, master_weights=False, loss_scale=1.0, keep_batchnorm=False
    ),
}


class _Amp:
    """What amp adds to an optimizer: the loss scale, and float32 copies of 16-bit parameters."""

    def __init__(self, optimizer: Optimizer, loss_scale: float, *, masters: bool) -> None:
        self.scaler = LossScaler(loss_scale)
        self._masters = MasterWeights(optimizer) if masters else None
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._overflow = False
        self._holds_scaled = False
        # Gradients of backward passes whose scale is out, while there are others that have it.
        self._unscaled: list[Tensor | None] = [None] * len(self._parameters)
        self._step, self._zero_grad = optimizer.step, optimizer.zero_grad
        optimizer.step = self._step_unless_overflow  # type: ignore[method-assign]
        optimizer.zero_grad = self._zero_all  # type: ignore[method-assign]

    @contextmanager
    def scaled(self, loss: Tensor, delay_unscale: bool) -> Iterator[Tensor]:
        """Yields the scaled loss; then takes the scale out of the gradients, unless delayed."""
        if not self._holds_scaled:
            self._unscaled = [parameter.grad for parameter in self._parameters]
            for parameter in self._parameters:
                parameter.grad = None
        yield loss.float() * self.scaler.loss_scale
        self._holds_scaled = delay_unscale
        if delay_unscale:
            return
        if self._masters is not None:
            self._masters.fetch_gradients()
        finite = self.scaler.unscale(p.grad for p in self._parameters if p.grad is not None)
        self.scaler.update(finite)
        self._overflow |= not finite
        for parameter, earlier in zip(self._parameters, self._unscaled, strict=True):
            if earlier is not None:
                parameter.grad = earlier if parameter.grad is None else earlier + parameter.grad
        self._unscaled = [None] * len(self._parameters)

    def _step_unless_overflow(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is not None:
            raise ValueError("`closure` must be None: gradients are made within `amp.scale_loss`.")
        if self._overflow:
            self._overflow = False
            return None
        result = self._step()
        if self._masters is not None:
            self._masters.publish()
        return result

    def _zero_all(self, set_to_none: bool = True) -> None:
        self._zero_grad(set_to_none)
        self._holds_scaled = False
        self._unscaled = [None] * len(self._parameters)
        for parameter, _ in () if self._masters is None else self._masters.pairs:
            parameter.grad = None


_amps: weakref.WeakKeyDictionary[Optimizer, weakref.ref[_Amp]] = weakref.WeakKeyDictionary()


def initialize(
    models: Any,
    optimizers: Any = None,
    enabled: bool = True,
    opt_level: str = "O1",
    keep_batchnorm_fp32: bool | None = None,
    master_weights: bool | None = None,
    loss_scale: float | str | None = None,
    verbosity: int = 1,
) -> Any:
    """Prepare models and optimizers for 16-bit training.

    Args:
        models: A model, or a list or tuple of them.
        optimizers: An optimizer, or a list or tuple of them; `None` for none.
        enabled: False leaves everything as it is, and `scale_loss` the loss.
        opt_level: "O0": float32. "O1": autocast; weights in float32. "O2": weights in float16, of
            which the optimizers update float32 copies. "O3": all in float16.
        keep_batchnorm_fp32: Whether batch normalization stays in float32, in the place of what the
            level says: it does, but in "O3". The models of this library have none.
        master_weights: Whether there are float32 copies, in the place of what the level says.
        loss_scale: A factor of the loss or "dynamic", in the place of what the level says.
        verbosity: 0 says nothing.

    Returns:
        The models and, if there are any, the optimizers, as they were given.

    Raises:
        ValueError: An option is unknown or contradicts the level, a model has no parameters, or an
            optimizer has been initialized.
        TypeError: There is something else than models or optimizers.

    Example:
        >>> from ptbert import BertAdam, amp
        >>> model = nn.Linear(4, 2)
        >>> optimizer = BertAdam(model.parameters(), lr=1e-3)
        >>> model, optimizer = amp.initialize(model, optimizer, opt_level="O2", verbosity=0)
        >>> model.weight.dtype, model(torch.ones(3, 4)).dtype
        (torch.float16, torch.float32)
    """
    each_model = _each("models", models, nn.Module)
    each_optimizer = [] if optimizers is None else _each("optimizers", optimizers, Optimizer)
    if not enabled:
        for optimizer in each_optimizer:
            optimizer._amp = None  # type: ignore[attr-defined]
        return models if optimizers is None else (models, optimizers)
    if opt_level not in _LEVELS:
        raise ValueError(f"`opt_level` must be one of {', '.join(_LEVELS)}, but is {opt_level!r}.")
    level = _LEVELS[opt_level]
    if keep_batchnorm_fp32 is False and not level.half:
        raise ValueError(
            f"`keep_batchnorm_fp32` must not be False at level {opt_level}, whose weights are in "
            "float32."
        )
    scale = level.loss_scale if loss_scale is None else _scale_of(loss_scale)
    if not all(any(True for _ in model.parameters()) for model in each_model):
        raise ValueError("`models` must have parameters, but one has none.")
    if any(optimizer in _amps for optimizer in each_optimizer):
        raise ValueError("`optimizers` must not have been initialized before, but one has.")
    keep = level.keep_batchnorm if keep_batchnorm_fp32 is None else keep_batchnorm_fp32
    for model in each_model:
        _prepare(model, level, keep_batchnorm=keep)
    masters = level.master_weights if master_weights is None else master_weights
    for optimizer in each_optimizer:
        amp = _Amp(optimizer, scale, masters=masters)
        optimizer._amp = amp  # type: ignore[attr-defined]
        _amps[optimizer] = weakref.ref(amp)
    if verbosity:
        logger.info(
            "amp: level %s, loss scale %s.", opt_level, f"{scale:g}" if scale else "dynamic"
        )
    return models if optimizers is None else (models, optimizers)


def _each(name: str, given: Any, kind: type[Kind]) -> list[Kind]:
    """What is given as one or as several of a kind."""
    values = list(given) if isinstance(given, list | tuple) else [given]
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(
                f"`{name}` must be of class {kind.__name__}, one or a list or tuple of them, but "
                f"there is one of class {type(value).__name__}."
            )
    return values


def _scale_of(loss_scale: float | str) -> float:
    if loss_scale == "dynamic":
        return 0.0
    try:
        scale = float(loss_scale)
    except ValueError:
        scale = 0.0
    if not scale > 0:
        raise ValueError(
            f'`loss_scale` must be a positive number or "dynamic", but is {loss_scale!r}.'
        )
    return scale


def _prepare(model: nn.Module, level: _Level, *, keep_batchnorm: bool) -> None:
    """Give a model the types of a level."""
    if level.half:
        normalizations = [m for m in model.modules() if keep_batchnorm and isinstance(m, BatchNorm)]
        states = [copy.deepcopy(m.state_dict()) for m in normalizations]
        model.half()
        for normalization, state in zip(normalizations, states, strict=True):
            normalization.float().load_state_dict(state)
    elif not level.autocast:
        model.float()
    if level.half or level.autocast:
        model.forward = _Forward(model, autocast=level.autocast)


class _Forward:
    """The forward pass of a model at a level.

    An object that knows its model, rather than a function: when the model is copied or pickled, the
    other one gets a forward pass of its own weights.
    """

    def __init__(self, model: nn.Module, *, autocast: bool) -> None:
        self._model = model
        self._own = vars(model).get("forward")  # what somebody has put in the place of the class's
        self._autocast = autocast

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        model = self._model
        forward = self._own or functools.partial(type(model).forward, model)
        if self._autocast:
            with torch.autocast(device_of(model).type, torch.float16):
                return forward(*args, **kwargs)
        return _cast(forward(*_cast(args, torch.half), **_cast(kwargs, torch.half)), torch.float)


def _cast(tree: Any, dtype: torch.dtype) -> Any:
    """The same tree with floating-point tensors of another type."""
    if isinstance(tree, Tensor):
        return tree.to(dtype) if tree.is_floating_point() else tree
    if isinstance(tree, dict):
        return {name: _cast(value, dtype) for name, value in tree.items()}
    return type(tree)(_cast(value, dtype) for value in tree) if _is_list(tree) else tree


def _is_list(tree: Any) -> bool:
    return isinstance(tree, list | tuple)


@contextmanager
def scale_loss(
    loss: Tensor, optimizers: Optimizer | Sequence[Optimizer], *, delay_unscale: bool = False
) -> Iterator[Tensor]:
    """Yields the loss to call `backward` on; the gradients have no scale when the context ends.

    Args:
        loss: The loss.
        optimizers: The optimizer of its parameters; several take turns in their own contexts.
        delay_unscale: Gradients keep the scale, for a later backward pass to add to them.

    Raises:
        ValueError: There is not exactly one optimizer.
        RuntimeError: It has not been initialized.

    Example:
        >>> from ptbert import amp
        >>> model = nn.Linear(4, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> model, optimizer = amp.initialize(model, optimizer, verbosity=0)
        >>> loss = model(torch.ones(3, 4)).float().square().mean()
        >>> with amp.scale_loss(loss, optimizer) as scaled_loss:
        ...     scaled_loss.backward()
        >>> optimizer.step()
    """
    optimizer = optimizers if isinstance(optimizers, Optimizer) else _only(optimizers)
    if not hasattr(optimizer, "_amp"):
        raise RuntimeError("`optimizers` must be initialized by `amp.initialize`, but one is not.")
    amp = optimizer._amp
    if amp is None:  # not enabled
        yield loss
        return
    with amp.scaled(loss, delay_unscale) as scaled:
        yield scaled


def _only(optimizers: Sequence[Optimizer]) -> Optimizer:
    if len(optimizers) != 1:
        raise ValueError(f"`optimizers` must be one optimizer, but are {len(optimizers)}.")
    return optimizers[0]


def master_params(optimizer: Optimizer) -> Iterator[nn.Parameter]:
    """The parameters that the optimizer updates, with the gradients to clip.

    Example:
        >>> from ptbert import amp
        >>> model = nn.Linear(4, 2)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> model, optimizer = amp.initialize(model, optimizer, opt_level="O2", verbosity=0)
        >>> [parameter.dtype for parameter in amp.master_params(optimizer)]
        [torch.float32, torch.float32]
    """
    for group in optimizer.param_groups:
        yield from group["params"]


def state_dict() -> dict[str, Any]:
    """The loss scales of all optimizers, in the order in which they were initialized.

    Example:
        >>> from ptbert import amp
        >>> checkpoint = {"amp": amp.state_dict()}
        >>> amp.load_state_dict(checkpoint["amp"])
    """
    return {f"loss_scaler{index}": amp.scaler.state_dict() for index, amp in enumerate(_alive())}


def load_state_dict(state_dict: dict[str, Any]) -> None:
    """Take over the result of `state_dict`.

    Raises:
        ValueError: It is of another number of optimizers.

    Example:
        >>> from ptbert import amp
        >>> amp.load_state_dict(amp.state_dict())
    """
    amps = _alive()
    if len(state_dict) != len(amps):
        raise ValueError(
            f"`state_dict` must have the scales of {len(amps)} optimizers, but has "
            f"{len(state_dict)}."
        )
    for index, amp in enumerate(amps):
        amp.scaler.load_state_dict(state_dict[f"loss_scaler{index}"])


def _alive() -> list[_Amp]:
    return [amp for amp in (reference() for reference in _amps.values()) if amp is not None]
