"""Conversion of TensorFlow's Transformer-XL checkpoints: the names of 2019, to be implemented."""

from __future__ import annotations

from ._models.placeholders import placeholder_function

__all__ = [
    "convert_transfo_xl_checkpoint_to_pytorch",
]


convert_transfo_xl_checkpoint_to_pytorch = placeholder_function(
    __name__, "convert_transfo_xl_checkpoint_to_pytorch"
)
