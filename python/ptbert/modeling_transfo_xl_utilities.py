"""Transformer-XL's adaptive softmax and sampled softmax."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from ._models.adaptive_softmax import LogUniformSampler, ProjectedAdaptiveLogSoftmax, sample_logits

__all__ = [
    "LogUniformSampler",
    "ProjectedAdaptiveLogSoftmax",
    "sample_logits",
]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["F", "defaultdict", "nn", "np", "torch"]
