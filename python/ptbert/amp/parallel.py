"""Data-parallel training under apex's name."""

from __future__ import annotations

from typing import Any

from torch import nn

from .._training.devices import device_of


class DistributedDataParallel(nn.parallel.DistributedDataParallel):
    """torch's DistributedDataParallel with the arguments of apex's.

    Args:
        module: The model of this process.
        delay_allreduce: Whether gradients are exchanged after the backward pass only, as apex needs
            for parameters without gradients. Here these are found in any case, and gradients are
            exchanged as they come.
        options: Tuning options of apex (`message_size`, ...), which have no effect.

    Example:
        >>> import torch.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> model = DistributedDataParallel(nn.Linear(4, 2))
        >>> model(torch.ones(3, 4)).shape
        torch.Size([3, 2])
        >>> dist.destroy_process_group()
    """

    def __init__(self, module: nn.Module, delay_allreduce: bool = False, **options: Any) -> None:
        unknown = sorted(set(options) - _TUNING)
        if unknown:
            raise TypeError(
                f"`{unknown[0]}` must be an argument of apex's DistributedDataParallel, but is not."
            )
        device = device_of(module)
        super().__init__(
            module,
            device_ids=[device.index] if device.type == "cuda" else None,
            find_unused_parameters=True,
        )


_TUNING = {
    "message_size",
    "shared_param",
    "allreduce_trigger_params",
    "retain_allreduce_buffers",
    "allreduce_always_fp32",
    "num_allreduce_streams",
    "allreduce_communicators",
    "gradient_average",
    "gradient_predivide_factor",
    "gradient_average_split_factor",
    "prof",
}
