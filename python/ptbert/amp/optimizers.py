"""Optimizers of 16-bit training under apex's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .. import _C
from .._training.loss_scaler import LossScaler
from ..optimization import averages_in_float32, new_averages

_16_BITS = (torch.float16, torch.bfloat16)


class MasterWeights:
    """float32 copies of the 16-bit parameters of an optimizer, which it updates in their place.

    Args:
        optimizer: The optimizer, whose groups get the copies.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        """16-bit parameters and their copies."""
        self._optimizer = optimizer
        for group in optimizer.param_groups:
            group["params"] = [self._master_of(parameter) for parameter in group["params"]]

    def _master_of(self, parameter: nn.Parameter) -> nn.Parameter:
        if parameter.dtype not in _16_BITS:
            return parameter
        master = nn.Parameter(parameter.detach().float(), requires_grad=parameter.requires_grad)
        if parameter in self._optimizer.state:
            self._optimizer.state[master] = self._optimizer.state.pop(parameter)
        self.pairs.append((parameter, master))
        return master

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the optimizer updates: the copies, and parameters of more bits as they are."""
        for group in self._optimizer.param_groups:
            yield from group["params"]

    def fetch_gradients(self) -> None:
        """Move the gradients of the 16-bit parameters to the copies."""
        for parameter, master in self.pairs:
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Write the copies back to the 16-bit parameters."""
        for parameter, master in self.pairs:
            parameter.copy_(master)


class FP16_Optimizer:  # noqa: N801
    """An optimizer for a model in 16 bits: float32 copies of the weights, and a scale of the loss.

    `optimizer.backward(loss)` takes the place of `loss.backward()`. A step whose gradients have
    overflowed is left out (`overflow`).

    Args:
        init_optimizer: The optimizer of the model's parameters.
        static_loss_scale: Factor of the loss.
        dynamic_loss_scale: Halve the factor when gradients overflow, double it after 2,000 steps
            without; `static_loss_scale` is then not used.
        dynamic_loss_args: `init_scale` and `scale_window` to use in the place of 65536 and 2,000.
        verbose: As in apex; overflows are logged in any case.

    Raises:
        ValueError: A scale or the window is out of its range, or `dynamic_loss_args` are given for
            a static scale.

    Example:
        >>> model = nn.Linear(4, 2).half()
        >>> optimizer = FP16_Optimizer(FusedAdam(model.parameters()), dynamic_loss_scale=True)
        >>> optimizer.backward(model(torch.ones(3, 4).half()).float().mean())
        >>> optimizer.step()
        >>> optimizer.overflow
        False
    """

    def __init__(
        self,
        init_optimizer: Optimizer,
        static_loss_scale: float = 1.0,
        dynamic_loss_scale: bool = False,
        dynamic_loss_args: dict[str, Any] | None = None,
        verbose: bool = True,
    ) -> None:
        if not dynamic_loss_scale and not static_loss_scale > 0:
            raise ValueError(f"`static_loss_scale` ({static_loss_scale}) must be positive.")
        if dynamic_loss_args and not dynamic_loss_scale:
            raise ValueError(
                "`dynamic_loss_args` may be given only with `dynamic_loss_scale`, which is False."
            )
        self._scaler = LossScaler(0.0 if dynamic_loss_scale else static_loss_scale)
        for name, value in (dynamic_loss_args or {}).items():
            self._set_dynamic(name, value)
        self.optimizer = init_optimizer
        self.overflow = False
        """Whether the last step was left out."""
        self._masters = MasterWeights(init_optimizer)
        self._are_fetched = False

    def _set_dynamic(self, name: str, value: Any) -> None:
        if name == "init_scale":
            if not 0 < value < math.inf:
                raise ValueError(f"`init_scale` ({value}) must be positive and finite.")
            self._scaler.loss_scale = float(value)
        elif name == "scale_window":
            if not value >= 1:
                raise ValueError(f"`scale_window` ({value}) must be at least 1.")
            self._scaler.growth_interval = int(value)
        else:
            raise ValueError(
                f'`dynamic_loss_args` may have "init_scale" and "scale_window", but has "{name}".'
            )

    @property
    def loss_scale(self) -> float:
        """The factor of the loss."""
        return self._scaler.loss_scale

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of the optimizer, with the float32 copies."""
        return self.optimizer.param_groups

    @property
    def state(self) -> Any:
        """The state of the optimizer."""
        return self.optimizer.state

    def get_lr(self) -> list[float]:
        """The scheduled learning rates of an optimizer that has some."""
        rates: list[float] = self.optimizer.get_lr()  # type: ignore[attr-defined]
        return rates

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or set them to zero."""
        self.optimizer.zero_grad(set_to_none)
        for parameter, _ in self._masters.pairs:
            if parameter.grad is not None and not set_to_none:
                parameter.grad.zero_()
            elif set_to_none:
                parameter.grad = None
        self._are_fetched = False

    def backward(self, loss: Tensor, retain_graph: bool = False) -> None:
        """The backward pass of the loss, scaled; gradients add up until the step."""
        (loss.float() * self._scaler.loss_scale).backward(retain_graph=retain_graph)

    def clip_master_grads(self, max_norm: float, norm_type: float = 2.0) -> float:
        """Clip the gradients, all of them together, to a norm.

        Returns:
            The norm before, or -1 if the gradients have overflowed.
        """
        self._fetch()
        if self.overflow:
            return -1.0
        return float(
            nn.utils.clip_grad_norm_(list(self._masters.parameters()), max_norm, norm_type)
        )

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Make one step, unless gradients have overflowed, and adapt the scale.

        Raises:
            ValueError: `closure` is given, as the gradients must be made by `backward`.
        """
        if closure is not None:
            raise ValueError("`closure` must be None: gradients are made by `backward`.")
        self._fetch()
        self._are_fetched = False
        self._scaler.update(not self.overflow)
        if not self.overflow:
            self.optimizer.step()
            self._masters.publish()

    def _fetch(self) -> None:
        """Make the float32 gradients, once per step."""
        if not self._are_fetched:
            self._masters.fetch_gradients()
            gradients = [p.grad for p in self._masters.parameters() if p.grad is not None]
            self.overflow = not self._scaler.unscale(gradients)
            self._are_fetched = True

    def state_dict(self) -> dict[str, Any]:
        """Scale, state of the optimizer and float32 weights."""
        return {
            "loss_scaler": self._scaler.state_dict(),
            "overflow": self.overflow,
            "optimizer_state_dict": self.optimizer.state_dict(),
            "master_weights": [master.detach() for _, master in self._masters.pairs],
        }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the result of `state_dict`; the model gets the weights, too.

        Raises:
            ValueError: The state is of other parameters.
        """
        weights = state_dict["master_weights"]
        shapes = [list(master.shape) for _, master in self._masters.pairs]
        if [list(weight.shape) for weight in weights] != shapes:
            raise ValueError(
                "`state_dict` must have the float32 weights of the same parameters, but has others."
            )
        self._scaler.load_state_dict(state_dict["loss_scaler"])
        self.overflow = state_dict["overflow"]
        self.optimizer.load_state_dict(state_dict["optimizer_state_dict"])
        for (_, master), weight in zip(self._masters.pairs, weights, strict=True):
            master.copy_(weight)
        self._masters.publish()


class FusedAdam(Optimizer):
    """Adam in one pass in C++, with the weight decay of apex's: decoupled, times the rate.

    Args:
        params: Parameters, or groups of them with their own options.
        lr: Learning rate.
        bias_correction: Divide the averages by what they lack in the first steps.
        betas: Decay rates of the averages of the gradient and of its square.
        eps: Added to the square root of the latter.
        eps_inside_sqrt: Must be False.
        weight_decay: Weight decay.
        max_grad_norm: L2 norm to which the gradients of each group are clipped, all of them
            together, as in apex; 0 leaves them.
        amsgrad: Must be False, as in apex.

    Raises:
        ValueError: An argument is out of its range.
        RuntimeError: `amsgrad` or `eps_inside_sqrt` is True.

    Example:
        >>> model = nn.Linear(4, 2)
        >>> optimizer = FusedAdam(model.parameters(), bias_correction=False, max_grad_norm=1.0)
        >>> model(torch.ones(3, 4)).sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        bias_correction: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_inside_sqrt: bool = False,
        weight_decay: float = 0.0,
        max_grad_norm: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        for name, flag in (("amsgrad", amsgrad), ("eps_inside_sqrt", eps_inside_sqrt)):
            if flag:
                raise RuntimeError(f"`{name}` must be False, but is {flag}.")
        numbers = {
            "lr": lr,
            "eps": eps,
            "weight_decay": weight_decay,
            "max_grad_norm": max_grad_norm,
        }
        for name, value in numbers.items():
            if not value >= 0:
                raise ValueError(f"`{name}` must be at least 0, but is {value}.")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"`betas` must be two numbers in [0, 1), but are {betas}.")
        super().__init__(params, {"bias_correction": bias_correction, "betas": betas, **numbers})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["max_grad_norm"] > 0:
                nn.utils.clip_grad_norm_(parameters, group["max_grad_norm"])
            self._update(group, parameters)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the result of `state_dict`."""
        super().load_state_dict(state_dict)
        averages_in_float32(self, ("exp_avg", "exp_avg_sq"), state_dict)

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        b1, b2 = group["betas"]
        states = [self.state[p] for p in parameters]
        rates = []
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = 0
                state.update(new_averages(parameter, ("exp_avg", "exp_avg_sq")))
            state["step"] += 1
            rate = group["lr"]
            if group["bias_correction"]:
                rate *= math.sqrt(1 - b2 ** state["step"]) / (1 - b1 ** state["step"])
            rates.append(rate)
        _C.bert_adam_update(
            parameters,
            [p.grad for p in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state.get("master") for state in states],
            rates,
            b1=b1,
            b2=b2,
            e=group["eps"],
            weight_decay=group["weight_decay"],
            max_grad_norm=0.0,
        )
