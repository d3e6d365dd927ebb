"""Leaf modules and activations that the models of all families use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .. import _C
from .bridge import NodeKind, register_activations, register_kind


def gelu(x: Tensor) -> Tensor:
    """Gaussian error linear unit, the exact form: x * Phi(x).

    Example:
        >>> gelu(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1587,  0.0000,  0.8413])
    """
    return _C.gelu(x)


def swish(x: Tensor) -> Tensor:
    """Swish: x * sigmoid(x).

    Example:
        >>> swish(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.2689,  0.0000,  0.7311])
    """
    return _C.swish(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """Gaussian error linear unit as GPT and GPT-2 approximate it, by tanh.

    Example:
        >>> gelu_tanh(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1588,  0.0000,  0.8412])
    """
    return _C.gelu_tanh(x)


ACT2FN: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "relu": nn.functional.relu,
    "swish": swish,
}
# Of GPT.
ACT_FNS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu_tanh,
    "relu": nn.functional.relu,
    "swish": swish,
}


class BertLayerNorm(nn.LayerNorm):
    """Layer normalisation with epsilon inside the square root, as in TensorFlow.

    Args:
        hidden_size: Size of the last dimension.
        eps: Epsilon; also the attribute `variance_epsilon`.

    Example:
        >>> BertLayerNorm(8)(torch.ones(2, 8)).shape
        torch.Size([2, 8])
    """

    def __init__(self, hidden_size: int, eps: float = 1e-12) -> None:
        super().__init__(hidden_size, eps=eps)

    @property
    def variance_epsilon(self) -> float:
        """Epsilon under its name in the 2019 library."""
        return self.eps

    @variance_epsilon.setter
    def variance_epsilon(self, value: float) -> None:
        self.eps = value


def _make_linear(cpp: Any) -> nn.Module:
    parameters = cpp.named_parameters(False)
    # Bypasses nn.Linear.__init__, which would draw random weights: C++ has initialised them.
    linear = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(linear)
    linear.out_features, linear.in_features = parameters["weight"].shape
    if "bias" not in parameters:
        linear.register_parameter("bias", None)
    return linear


def _make_embedding(cpp: Any) -> nn.Module:
    weight = cpp.named_parameters(False)["weight"]
    rows, width = weight.shape
    padding_idx = _C.attributes(cpp)["padding_idx"]
    # `_weight` keeps nn.Embedding from drawing random weights.
    return nn.Embedding(rows, width, padding_idx if padding_idx >= 0 else None, _weight=weight)


def _layer_norm_arguments(cpp: Any) -> tuple[int, float]:
    (hidden_size,) = cpp.named_parameters(False)["weight"].shape
    return hidden_size, _C.attributes(cpp)["eps"]


register_activations({**ACT2FN, "gelu_tanh": gelu_tanh})
register_kind("Linear", NodeKind(nn.Linear, _make_linear))
register_kind(
    "Embedding",
    NodeKind(
        nn.Embedding,
        _make_embedding,
        required={"max_norm": None, "scale_grad_by_freq": False, "sparse": False},
    ),
)
register_kind(
    "BertLayerNorm",
    NodeKind(
        BertLayerNorm,
        lambda cpp: BertLayerNorm(*_layer_norm_arguments(cpp)),
        homes={
            "ptbert.modeling": "BertLayerNorm",
            "ptbert.modeling_gpt2": "LayerNorm",
            "ptbert.modeling_openai": "LayerNorm",
            "ptbert.modeling_transfo_xl": "LayerNorm",
        },
        arguments=_layer_norm_arguments,
    ),
)
register_kind(
    "Dropout",
    NodeKind(
        nn.Dropout, lambda cpp: nn.Dropout(_C.attributes(cpp)["p"]), required={"inplace": False}
    ),
)
register_kind(
    "Dropout2d",
    NodeKind(
        nn.Dropout2d, lambda cpp: nn.Dropout2d(_C.attributes(cpp)["p"]), required={"inplace": False}
    ),
)
register_kind("Tanh", NodeKind(nn.Tanh, lambda cpp: nn.Tanh()))
register_kind("ReLU", NodeKind(nn.ReLU, lambda cpp: nn.ReLU(), required={"inplace": False}))
