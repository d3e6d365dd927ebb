"""Transformer-XL's sub-modules: `nn.Module` classes over the C++ modules of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .. import _C
from .bridge import CppModule, register_nodes, run


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

    def _new_cpp(self) -> Any:
        return self._cpp_type(self.demb)

    def forward(self, pos_seq: Tensor, bsz: int | None = None) -> Tensor:
        """[len] -> [len, 1, demb], or with `bsz` [len, bsz, demb], a view."""
        return run(self, pos_seq, bsz)


class AdaptiveEmbedding(CppModule):
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
        self.n_token = n_token
        self.d_embed = d_embed
        self.d_proj = d_proj
        self.cutoffs = [*cutoffs, n_token]
        self.cutoff_ends = [0, *self.cutoffs]
        self.div_val = div_val
        self._adopt_new()
        if div_val == 1:
            (table,) = self.emb_layers
            table.sparse = sample_softmax > 0  # type: ignore[assignment]

    def _new_cpp(self) -> Any:
        return self._cpp_type(
            self.n_token, self.d_embed, self.d_proj, self.cutoffs[:-1], self.div_val
        )

    def forward(self, inp: Tensor) -> Tensor:
        """[*] -> [*, d_proj]"""
        return run(self, inp)


register_nodes(PositionalEmbedding, AdaptiveEmbedding, home="ptbert.modeling_transfo_xl")
