"""An optimizer in the memory of the CPU for a model on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Parameters are updated in parts of about so many numbers while the next part is on its way.
_NUMBERS_PER_PART = 4 * 2**20


class HostOptimizer:
    """Updates float32 copies of the parameters on the CPU, where the averages are as well.

    A part of the gradients is fetched, and the parameters of another part are sent back, while the
    CPU updates the one between.

    Args:
        model: The model to train.
        new_optimizer: Makes the optimizer for a module that has the copies under the names of the
            model's parameters. It must leave parameters without gradients alone.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = HostOptimizer(model, lambda copy: torch.optim.AdamW(copy.parameters()))
        >>> model(torch.ones(1, 2)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.zero_grad()
    """

    def __init__(self, model: nn.Module, new_optimizer: Callable[[nn.Module], Optimizer]) -> None:
        self._parameters = dict(model.named_parameters())
        self._copies = {name: _host_copy(p) for name, p in self._parameters.items()}
        self._optimizer = new_optimizer(_Named(self._copies))
        on_cuda = any(p.is_cuda for p in self._parameters.values())
        self._stream = torch.cuda.Stream() if on_cuda else None

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._optimizer.param_groups

    def get_lr(self) -> list[float]:
        """The scheduled learning rates."""
        get_lr = getattr(self._optimizer, "get_lr", None)
        if get_lr is not None:
            return get_lr()
        return [group["lr"] for group in self._optimizer.param_groups]

    @torch.no_grad()
    def step(self) -> None:
        """Make one step."""
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            fetched = [self._fetch(part) for part in self._parts()]
            for gradients, arrival in fetched:
                if arrival is not None:
                    arrival.synchronize()
                for name, gradient in gradients.items():
                    self._copies[name].grad = gradient.float()
                self._optimizer.step()
                for name in gradients:
                    self._copies[name].grad = None
                    self._parameters[name].copy_(self._copies[name], non_blocking=True)
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer, and the copies of 16-bit parameters."""
        copies = {
            name: copy.detach()
            for name, copy in self._copies.items()
            if self._parameters[name].dtype != copy.dtype
        }
        return {**self._optimizer.state_dict(), "copies": copies}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the result of `state_dict`, for a model that has its weights already."""
        self._optimizer.load_state_dict({k: v for k, v in state.items() if k != "copies"})
        for name, copy in self._copies.items():
            copy.copy_(state["copies"].get(name, self._parameters[name]))

    def _parts(self) -> Iterator[dict[str, Tensor]]:
        """The gradients that there are, some at a time."""
        part: dict[str, Tensor] = {}
        numbers = 0
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                continue
            part[name] = parameter.grad
            numbers += parameter.numel()
            if numbers >= _NUMBERS_PER_PART:
                yield part
                part, numbers = {}, 0
        if part:
            yield part

    def _fetch(self, part: dict[str, Tensor]) -> tuple[dict[str, Tensor], Any]:
        """Copies of gradients on the CPU, and an event that tells when they have arrived."""
        if self._stream is None:
            return part, None
        arrived = {
            name: torch.empty_like(g, device="cpu", pin_memory=True) for name, g in part.items()
        }
        for name, gradient in part.items():
            arrived[name].copy_(gradient, non_blocking=True)
        return arrived, self._stream.record_event()


AnyOptimizer = Optimizer | HostOptimizer


class _Named(nn.Module):
    """A module that has just parameters, under names with dots."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self._named = parameters

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self._named.items()


def _host_copy(parameter: nn.Parameter) -> nn.Parameter:
    copy = parameter.detach().to("cpu", torch.float32, copy=True)
    return nn.Parameter(copy.pin_memory() if parameter.is_cuda else copy)
