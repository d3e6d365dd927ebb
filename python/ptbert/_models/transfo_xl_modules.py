"""Transformer-XL's embeddings and feed-forward layer: `nn.Module` classes over the C++ modules of
the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .. import _C
from .bridge import Adoption, CppModule, NodeKind, register_kind, register_nodes, run
from .clustered import Clustered


class PositionalEmbedding(CppModule):
    """Sines and cosines of relative positions.

    Args:
        demb: Width of an embedding, even.

    Raises:
        ValueError: `demb` is odd or below 2.

    Example:
        >>> PositionalEmbedding(8)(torch.arange(3.0)).shape
        torch.Size([3, 1, 8])
    """

    _cpp_type = _C.PositionalEmbedding

    inv_freq: Tensor

    def __init__(self, demb: int) -> None:
        super().__init__()
        self.demb = demb
        self._adopt_new()

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.demb = 2 * self.inv_freq.size(0)

    def _new_cpp(self) -> Any:
        return self._cpp_type(self.demb)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return (config.d_model,)

    def forward(self, pos_seq: Tensor, bsz: int | None = None) -> Tensor:
        """[len] -> [len, 1, demb], or with `bsz` [len, bsz, demb], a view."""
        return run(self, pos_seq, bsz)


class AdaptiveEmbedding(Clustered):
    """Embeddings of a large vocabulary, in clusters of ever rarer tokens with ever shorter vectors,
    each projected to the same width. Baevski and Auli, 2018 (https://arxiv.org/abs/1809.10853).

    Args:
        n_token: Number of tokens.
        d_embed: Width of the vectors of the first cluster.
        d_proj: Width of the output.
        cutoffs: The first id of every cluster but the first.
        div_val: Each cluster's vectors are shorter than those of the one before by this factor; 1
            means one table for all ids.
        sample_softmax: With `div_val` 1, a value above 0 makes the table's gradient sparse.

    Raises:
        ValueError: `cutoffs` do not increase within the vocabulary, or the vectors of the last
            cluster would have width 0.

    Example:
        >>> AdaptiveEmbedding(10, 8, 8, [4], div_val=2)(torch.tensor([[1, 9]])).shape
        torch.Size([1, 2, 8])
    """

    _cpp_type = _C.AdaptiveEmbedding

    emb_layers: nn.ModuleList
    emb_projs: nn.ParameterList

    def __init__(
        self,
        n_token: int,
        d_embed: int,
        d_proj: int,
        cutoffs: Sequence[int],
        div_val: int = 1,
        sample_softmax: float = 0,
    ) -> None:
        super().__init__()
        self._set_sizes(n_token, d_embed, d_proj, cutoffs, div_val)
        self._adopt_new()
        if div_val == 1:
            (table,) = self.emb_layers
            table.sparse = sample_softmax > 0  # type: ignore[assignment]

    def _set_sizes(
        self, n_token: int, d_embed: int, d_proj: int, cutoffs: Sequence[int], div_val: int
    ) -> None:
        super()._set_sizes(n_token, d_embed, d_proj, cutoffs, div_val)
        self.emb_scale = d_proj**0.5

    def forward(self, inp: Tensor) -> Tensor:
        """[*] -> [*, d_proj]"""
        return run(self, inp)


class PositionwiseFF(CppModule):
    """The feed-forward layer, with residual connection and LayerNorm.

    Args:
        d_model: Width of input and output.
        d_inner: Width inside.
        dropout: Dropout probability, inside and of the output.
        pre_lnorm: The LayerNorm comes before the layer instead of after it.

    Example:
        >>> PositionwiseFF(8, 32, 0.1)(torch.ones(3, 2, 8)).shape
        torch.Size([3, 2, 8])
    """

    _cpp_type = _C.PositionwiseFF

    CoreNet: nn.Sequential
    layer_norm: nn.LayerNorm
    pre_lnorm: bool

    def __init__(self, d_model: int, d_inner: int, dropout: float, pre_lnorm: bool = False) -> None:
        super().__init__()
        self._set_sizes(d_model, d_inner, dropout)
        self.pre_lnorm = pre_lnorm
        self._adopt_new()

    def _set_sizes(self, d_model: int, d_inner: int, dropout: float) -> None:
        self.d_model = d_model
        self.d_inner = d_inner
        self.dropout = dropout

    def _new_cpp(self) -> Any:
        return self._cpp_type(self.d_model, self.d_inner, self.dropout, self.pre_lnorm)

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        if self.config is not None:
            self._set_sizes(self.config.d_model, self.config.d_inner, self.config.dropout)
        super()._adopt(cpp, adoption)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return config.d_model, config.d_inner, config.dropout, config.pre_lnorm

    def forward(self, inp: Tensor) -> Tensor:
        """[*, d_model] -> [*, d_model]"""
        return run(self, inp)


register_kind("CoreNet", NodeKind(nn.Sequential, lambda cpp: nn.Sequential()))
register_nodes(
    PositionalEmbedding, AdaptiveEmbedding, PositionwiseFF, home="ptbert.modeling_transfo_xl"
)
