"""Layer normalization under apex's name."""

from __future__ import annotations

import torch


class FusedLayerNorm(torch.nn.LayerNorm):
    """torch's layer normalization, which is one kernel by itself.

    Args:
        normalized_shape: Sizes of the dimensions to normalize, the last ones of the input.
        eps: Added to the variance.
        elementwise_affine: Whether there are a weight and a bias.

    Example:
        >>> FusedLayerNorm(4)(torch.ones(2, 4)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self, normalized_shape: int | list[int], eps: float = 1e-5, elementwise_affine: bool = True
    ) -> None:
        super().__init__(normalized_shape, eps=eps, elementwise_affine=elementwise_affine)
