"""Transformer-XL's adaptive softmax: the names of 2019, to be implemented."""

from __future__ import annotations

from ._models.placeholders import placeholder_class, placeholder_function

__all__ = [
    "LogUniformSampler",
    "ProjectedAdaptiveLogSoftmax",
    "sample_logits",
]


LogUniformSampler = placeholder_class(__name__, "LogUniformSampler")
ProjectedAdaptiveLogSoftmax = placeholder_class(__name__, "ProjectedAdaptiveLogSoftmax")
sample_logits = placeholder_function(__name__, "sample_logits")
