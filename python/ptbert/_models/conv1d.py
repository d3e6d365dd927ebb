"""The linear layer of GPT and GPT-2."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .. import _C
from .bridge import Adoption, CppModule, NodeKind, register_kind, run
from .messages import with_article


class Conv1D(CppModule):
    """A linear layer whose weight is stored as [inputs, outputs].

    Args:
        nf: Number of outputs.
        rf: Width of the convolution, 1; where `nx` is left out, as in GPT-2, the number of inputs.
        nx: Number of inputs.

    Raises:
        NotImplementedError: The width of the convolution is not 1.

    Example:
        >>> Conv1D(8, 4)(torch.ones(2, 3, 4)).shape, Conv1D(8, 1, 4).weight.shape
        (torch.Size([2, 3, 8]), torch.Size([4, 8]))
    """

    _cpp_type = _C.Conv1D

    nf: int
    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, nf: int, rf: int = 1, nx: int | None = None) -> None:
        super().__init__()
        if nx is not None and rf != 1:
            raise NotImplementedError(f"`rf` must be 1, but is {rf}.")
        self._sizes = nf, rf if nx is None else nx
        self._adopt_new()

    _sizes = 1, 1  # of a twin, whose weight is bound

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[int, ...]:
        nx, nf = cpp.named_parameters(False)["weight"].shape
        return (nf, 1, nx) if hasattr(config, "afn") else (nf, nx)  # GPT's has `rf`

    def _new_cpp(self) -> Any:
        return self._cpp_type(*self._sizes)

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.nf = self.weight.size(1)
        self.rf = 1

    @property
    def in_features(self) -> int:
        """The number of inputs, by the name of `nn.Linear`; adapters such as peft's ask for it."""
        return self.weight.size(0)

    @property
    def out_features(self) -> int:
        """The number of outputs, by the name of `nn.Linear`."""
        return self.weight.size(1)

    def forward(self, x: Tensor) -> Tensor:
        """[*, inputs] -> [*, outputs]"""
        return run(self, x)

    def extra_repr(self) -> str:
        """The sizes, for `repr`."""
        return f"nf={self.nf}, nx={self.weight.size(0)}"


def prune_conv1d_layer(layer: Conv1D, index: Tensor, dim: int = 1) -> Conv1D:
    """Returns a copy of a Conv1D with only some of its outputs or inputs.

    Args:
        layer: The layer to copy from.
        index: The outputs (`dim` 1) or inputs (`dim` 0) to keep.
        dim: Dimension of the weight [inputs, outputs].

    Raises:
        TypeError: `layer` is not exactly a Conv1D; a copy would lose a derived class.

    Example:
        >>> prune_conv1d_layer(Conv1D(3, 4), torch.tensor([0, 2]))
        Conv1D(nf=2, nx=4)
    """
    if type(layer) is not Conv1D:
        raise TypeError(f"`layer` must be a Conv1D, but is {with_article(layer)}.")
    index = index.to(layer.weight.device)
    weight = layer.weight.detach().index_select(dim, index)
    bias = layer.bias.detach().clone()
    with torch.device("meta"):
        pruned = Conv1D(weight.size(1), weight.size(0))
    pruned.weight = nn.Parameter(weight, layer.weight.requires_grad)
    pruned.bias = nn.Parameter(bias[index] if dim == 1 else bias, layer.bias.requires_grad)
    return pruned.train(layer.training)


register_kind(
    "Conv1D",
    NodeKind(
        Conv1D,
        homes={"ptbert.modeling_gpt2": "Conv1D", "ptbert.modeling_openai": "Conv1D"},
    ),
)
