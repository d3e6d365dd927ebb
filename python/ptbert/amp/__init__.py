"""16-bit training as scripts of 2019 took it from NVIDIA's apex.

`from ptbert import amp` takes the place of `from apex import amp`, and likewise
`ptbert.amp.optimizers`, `.parallel` and `.normalization`.

Example:
    >>> import torch
    >>> from ptbert import BertAdam, amp
    >>> model = torch.nn.Linear(4, 2)
    >>> optimizer = BertAdam(model.parameters(), lr=1e-3)
    >>> model, optimizer = amp.initialize(model, optimizer, opt_level="O1", verbosity=0)
    >>> loss = model(torch.ones(3, 4)).float().pow(2).mean()
    >>> with amp.scale_loss(loss, optimizer) as scaled_loss:
    ...     scaled_loss.backward()
    >>> optimizer.step()
"""

from __future__ import annotations

from . import normalization, optimizers, parallel
from .initialization import (
    initialize,
    load_state_dict,
    master_params,
    scale_loss,
    state_dict,
)
from .normalization import FusedLayerNorm
from .optimizers import FP16_Optimizer, FusedAdam

__all__ = [
    "FP16_Optimizer",
    "FusedAdam",
    "FusedLayerNorm",
    "initialize",
    "load_state_dict",
    "master_params",
    "normalization",
    "optimizers",
    "parallel",
    "scale_loss",
    "state_dict",
]
