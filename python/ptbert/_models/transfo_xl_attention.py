"""Transformer-XL's attention and layers, of the kinds that `attn_type` names: `nn.Module` classes
over the C++ modules of the same names.

Shapes: query = tokens of the segment, key = those of memory and segment, batch = sequences,
d_model = width. `mems` [length, batch, d_model] are hidden states of earlier tokens, which are
attended to; None for none. A mask of any dtype is not 0 where a key is hidden: [query, key, batch],
[query, key, 1], or [key, batch] for all queries alike; None hides nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .. import _C
from .bridge import Adoption, CppModule, register_nodes, run
from .transfo_xl_modules import PositionwiseFF


class _Attention(CppModule):
    """What all kinds have."""

    dropout: float
    n_head: int
    d_model: int
    d_head: int
    scale: float
    pre_lnorm: bool
    r_r_bias: nn.Parameter
    r_w_bias: nn.Parameter

    def _build(
        self,
        n_head: int,
        d_model: int,
        d_head: int,
        dropout: float,
        dropatt: float,
        pre_lnorm: bool,
        r_r_bias: nn.Parameter | None,
        r_w_bias: nn.Parameter | None,
    ) -> None:
        self.dropout = dropout
        sizes = n_head, d_model, d_head, dropout, dropatt, pre_lnorm
        options = _C.TransfoXLAttentionOptions(*sizes, r_r_bias, r_w_bias)
        with _C.DefaultDevice(torch.get_default_device()):
            self._adopt(self._cpp_type(options), Adoption())

    def _new_cpp(self) -> Any:  # of a twin, whose weights and attributes are bound
        sizes = self.n_head, self.d_model, self.d_head, 0.0, 0.0, self.pre_lnorm
        return self._cpp_type(_C.TransfoXLAttentionOptions(*sizes, None, None))

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        if self.config is not None:
            self.dropout = self.config.dropout
        super()._adopt(cpp, adoption)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return config.n_head, config.d_model, config.d_head, config.dropout

    @classmethod
    def _keywords(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> dict[str, Any]:
        r_r_bias, r_w_bias = tied[:2] or (None, None)
        return {
            "dropatt": config.dropatt,
            "pre_lnorm": config.pre_lnorm,
            "r_r_bias": r_r_bias,
            "r_w_bias": r_w_bias,
        }


class MultiHeadAttn(_Attention):
    """Attention without relative positions, of `attn_type` 2 and 3.

    Args:
        n_head: Number of heads.
        d_model: Width.
        d_head: Width of a head.
        dropout: Dropout probability of the output.
        dropatt: Dropout probability of the attention weights.
        pre_lnorm: The LayerNorm comes before the attention, for keys and values only, instead of
            after it.
        r_r_bias: [n_head, d_head], kept for other kinds of attention; None for new parameters.
        r_w_bias: The same.

    Example:
        >>> MultiHeadAttn(2, 8, 4, 0.1)(torch.ones(3, 2, 8)).shape
        torch.Size([3, 2, 8])
    """

    _cpp_type = _C.MultiHeadAttn

    def __init__(
        self,
        n_head: int,
        d_model: int,
        d_head: int,
        dropout: float,
        dropatt: float = 0,
        pre_lnorm: bool = False,
        r_r_bias: nn.Parameter | None = None,
        r_w_bias: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self._build(n_head, d_model, d_head, dropout, dropatt, pre_lnorm, r_r_bias, r_w_bias)

    def forward(
        self, h: Tensor, attn_mask: Tensor | None = None, mems: Tensor | None = None
    ) -> Tensor:
        """[query, batch, d_model] -> [query, batch, d_model]"""
        return run(self, h, attn_mask, mems)


class RelMultiHeadAttn(_Attention):
    """Base of attention with relative positions; it cannot be called.

    Args:
        n_head: Number of heads.
        d_model: Width.
        d_head: Width of a head.
        dropout: Dropout probability of the output.
        dropatt: Dropout probability of the attention weights.
        tgt_len: Not used, as in 2019.
        ext_len: Not used.
        mem_len: Not used.
        pre_lnorm: The LayerNorm comes before the attention instead of after it.
        r_r_bias: [n_head, d_head], added to queries that look for positions, and shared with other
            layers; None for a new parameter.
        r_w_bias: The same for queries that look for content.

    Example:
        >>> issubclass(RelPartialLearnableMultiHeadAttn, RelMultiHeadAttn)
        True
    """

    # Its parts without a projection of positions.
    _cpp_type = _C.RelLearnableMultiHeadAttn

    def __init__(
        self,
        n_head: int,
        d_model: int,
        d_head: int,
        dropout: float,
        dropatt: float = 0,
        tgt_len: int | None = None,
        ext_len: int | None = None,
        mem_len: int | None = None,
        pre_lnorm: bool = False,
        r_r_bias: nn.Parameter | None = None,
        r_w_bias: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self._build(n_head, d_model, d_head, dropout, dropatt, pre_lnorm, r_r_bias, r_w_bias)

    @classmethod
    def _keywords(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> dict[str, Any]:
        lengths = {name: getattr(config, name) for name in ("tgt_len", "ext_len", "mem_len")}
        return {**lengths, **super()._keywords(config, cpp, tied)}

    def forward(
        self, w: Tensor, r: Tensor, attn_mask: Tensor | None = None, mems: Tensor | None = None
    ) -> Tensor:
        """Raises NotImplementedError; derived classes define it."""
        raise NotImplementedError(f"`{type(self).__name__}.forward` must be defined.")


class RelPartialLearnableMultiHeadAttn(RelMultiHeadAttn):
    """Attention with relative positions of which the projection is learned, of `attn_type` 0: that
    of the paper. Arguments as of `RelMultiHeadAttn`.

    Example:
        >>> distances = torch.ones(3, 1, 8)
        >>> RelPartialLearnableMultiHeadAttn(2, 8, 4, 0.1)(torch.ones(3, 2, 8), distances).shape
        torch.Size([3, 2, 8])
    """

    _cpp_type = _C.RelPartialLearnableMultiHeadAttn

    def forward(
        self, w: Tensor, r: Tensor, attn_mask: Tensor | None = None, mems: Tensor | None = None
    ) -> Tensor:
        """[query, batch, d_model], embeddings of the distances key - 1 to 0 [key, 1, d_model] ->
        [query, batch, d_model]"""
        return run(self, w, r, attn_mask, mems)


class RelLearnableMultiHeadAttn(RelMultiHeadAttn):
    """Attention with relative positions that are learned, of `attn_type` 1. Arguments as of
    `RelMultiHeadAttn`.

    Example:
        >>> attention = RelLearnableMultiHeadAttn(2, 8, 4, 0.1)
        >>> attention(torch.ones(3, 2, 8), torch.ones(5, 2, 4), None, torch.ones(5, 2)).shape
        torch.Size([3, 2, 8])
    """

    def forward(  # type: ignore[override]
        self,
        w: Tensor,
        r_emb: Tensor,
        r_w_bias: Tensor | None,
        r_bias: Tensor,
        attn_mask: Tensor | None = None,
        mems: Tensor | None = None,
    ) -> Tensor:
        """[query, batch, d_model] -> [query, batch, d_model]

        Args:
            r_emb: [positions, n_head, d_head], of the distances positions - 1 to 0; larger ones
                count as the largest.
            r_w_bias: [n_head, d_head], or [d_head] for all heads; None for that of this module.
            r_bias: [positions, n_head].
        """
        return run(self, w, r_emb, r_w_bias, r_bias, attn_mask, mems)


class _Layer(CppModule):
    """What the layers of all kinds have."""

    _attention: type[_Attention]

    dec_attn: Any
    pos_ff: PositionwiseFF

    def __init__(
        self, n_head: int, d_model: int, d_head: int, d_inner: int, dropout: float, **kwargs: Any
    ) -> None:
        super().__init__()
        attention: Any = self._attention
        self.dec_attn = attention(n_head, d_model, d_head, dropout, **kwargs)
        self.pos_ff = PositionwiseFF(d_model, d_inner, dropout, kwargs.get("pre_lnorm", False))

    def _new_cpp(self) -> Any:
        # A twin, whose weights and attributes are bound.
        return self._cpp_type(_C.TransfoXLAttentionOptions(1, 1, 1, 0.0, 0.0, False, None, None), 1)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return config.n_head, config.d_model, config.d_head, config.d_inner, config.dropout

    @classmethod
    def _keywords(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> dict[str, Any]:
        return cls._attention._keywords(config, cpp, tied)


class DecoderLayer(_Layer):
    """A layer with absolute positions, of `attn_type` 2 and 3.

    Args:
        n_head: Number of heads.
        d_model: Width.
        d_head: Width of a head.
        d_inner: Width inside the feed-forward layer.
        dropout: Dropout probability of the output of both sub-layers.
        **kwargs: Further arguments of the attention, `MultiHeadAttn`.

    Example:
        >>> DecoderLayer(2, 8, 4, 32, 0.1)(torch.ones(3, 2, 8)).shape
        torch.Size([3, 2, 8])
    """

    _cpp_type = _C.DecoderLayer
    _attention = MultiHeadAttn

    def forward(
        self, dec_inp: Tensor, dec_attn_mask: Tensor | None = None, mems: Tensor | None = None
    ) -> Tensor:
        """[query, batch, d_model] -> [query, batch, d_model]"""
        return run(self, dec_inp, dec_attn_mask, mems)


class RelPartialLearnableDecoderLayer(_Layer):
    """A layer with relative positions of which the projection is learned, of `attn_type` 0.
    Arguments as of `DecoderLayer`, further ones are those of `RelMultiHeadAttn`.

    Example:
        >>> distances = torch.ones(3, 1, 8)
        >>> RelPartialLearnableDecoderLayer(2, 8, 4, 32, 0.1)(torch.ones(3, 2, 8), distances).shape
        torch.Size([3, 2, 8])
    """

    _cpp_type = _C.RelPartialLearnableDecoderLayer
    _attention = RelPartialLearnableMultiHeadAttn

    def forward(
        self,
        dec_inp: Tensor,
        r: Tensor,
        dec_attn_mask: Tensor | None = None,
        mems: Tensor | None = None,
    ) -> Tensor:
        """As of `RelPartialLearnableMultiHeadAttn`."""
        return run(self, dec_inp, r, dec_attn_mask, mems)


class RelLearnableDecoderLayer(_Layer):
    """A layer with relative positions that are learned, of `attn_type` 1. Arguments as of
    `DecoderLayer`, further ones are those of `RelMultiHeadAttn`.

    Example:
        >>> layer = RelLearnableDecoderLayer(2, 8, 4, 32, 0.1)
        >>> layer(torch.ones(3, 2, 8), torch.ones(5, 2, 4), None, torch.ones(5, 2)).shape
        torch.Size([3, 2, 8])
    """

    _cpp_type = _C.RelLearnableDecoderLayer
    _attention = RelLearnableMultiHeadAttn

    def forward(
        self,
        dec_inp: Tensor,
        r_emb: Tensor,
        r_w_bias: Tensor | None,
        r_bias: Tensor,
        dec_attn_mask: Tensor | None = None,
        mems: Tensor | None = None,
    ) -> Tensor:
        """As of `RelLearnableMultiHeadAttn`."""
        return run(self, dec_inp, r_emb, r_w_bias, r_bias, dec_attn_mask, mems)


register_nodes(
    MultiHeadAttn,
    RelPartialLearnableMultiHeadAttn,
    RelLearnableMultiHeadAttn,
    DecoderLayer,
    RelPartialLearnableDecoderLayer,
    RelLearnableDecoderLayer,
    home="ptbert.modeling_transfo_xl",
)
