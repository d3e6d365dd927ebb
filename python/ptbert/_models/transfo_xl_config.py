"""Configuration of Transformer-XL models."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .. import _C
from .config import Config

_CUTOFFS = (20000, 40000, 200000)


class TransfoXLConfig(Config):
    """Configuration of a Transformer-XL model: each attribute has the name of its key in
    config.json.

    Args:
        vocab_size_or_config_json_file: Number of tokens in the vocabulary, the most frequent first
            (the attribute is `n_token`), or the path of a JSON file.
        cutoffs: The first id of every cluster of the vocabulary but the first.
        d_model: Width of the hidden states; even.
        d_embed: Width of the embeddings of the first cluster.
        n_head: Number of attention heads per layer.
        d_head: Width of a head.
        d_inner: Width of the feed-forward layer.
        div_val: The embeddings of each cluster are narrower than those of the one before by this
            factor; 1 means one table for all.
        pre_lnorm: LayerNorms come before attention and feed-forward layer instead of after them.
        n_layer: Number of layers.
        tgt_len: Tokens of a segment.
        ext_len: Tokens by which memory ends earlier.
        mem_len: Tokens that memory holds.
        clamp_len: Distances beyond this one count as this one; 0 or less for no limit.
        same_length: Every token attends to equally many.
        proj_share_all_but_first: The output uses the projections of the embeddings for all clusters
            but the first; gives the attribute `tie_projs`, with a bool for each cluster.
        attn_type: 0: relative positions (Dai et al.), 1: learned relative positions (Shaw et al.),
            2: absolute positions (Vaswani et al.), 3: learned absolute positions in every layer
            (Al-Rfou et al.).
        sample_softmax: Above 0: train with a softmax over the label and up to twice as many
            samples.
        adaptive: Kept for files; the softmax is adaptive as soon as there are cutoffs.
        tie_weight: The output uses the weights of the embeddings.
        dropout: Dropout probability of embeddings and of each sub-layer's output.
        dropatt: Dropout probability of the attention weights.
        untie_r: Every layer has biases of its own for relative positions.
        init: How weights start: "normal" or "uniform".
        init_range: With `init="uniform"` they start in [-init_range, init_range].
        proj_init_std: Standard deviation of the initial projections.
        init_std: Standard deviation of other initial weights.

    Other keys of a file become attributes too and are written back. Of those that later libraries
    have, `layer_norm_epsilon` is followed (without it, it is 1e-12), and `vocab_size` and
    `proj_share_all_but_first` stand for `n_token` and `tie_projs` if these are missing. Wrong
    values are refused when a model is built.

    Raises:
        ValueError: The first argument is neither an int nor a path.

    Example:
        >>> TransfoXLConfig(99, cutoffs=[20, 60]).tie_projs
        [False, True, True]
    """

    n_token: int
    cutoffs: list[int]
    d_model: int
    d_embed: int
    n_head: int
    d_head: int
    d_inner: int
    div_val: int
    pre_lnorm: bool
    n_layer: int
    tgt_len: int
    ext_len: int
    mem_len: int
    clamp_len: int
    same_length: bool
    tie_projs: list[bool]
    attn_type: int
    sample_softmax: int
    adaptive: bool
    tie_weight: bool
    dropout: float
    dropatt: float
    untie_r: bool
    init: str
    init_range: float
    proj_init_std: float
    init_std: float

    _cpp_type = _C.TransfoXLConfig
    _size = "n_token"
    _fields: ClassVar[dict[str, type]] = {
        "n_token": int,
        "cutoffs": list,
        "d_model": int,
        "d_embed": int,
        "n_head": int,
        "d_head": int,
        "d_inner": int,
        "div_val": int,
        "pre_lnorm": bool,
        "n_layer": int,
        "tgt_len": int,
        "ext_len": int,
        "mem_len": int,
        "clamp_len": int,
        "same_length": bool,
        "tie_projs": list,
        "attn_type": int,
        "sample_softmax": int,
        "adaptive": bool,
        "tie_weight": bool,
        "dropout": float,
        "dropatt": float,
        "untie_r": bool,
        "init": str,
        "init_range": float,
        "proj_init_std": float,
        "init_std": float,
    }
    _options = ("layer_norm_epsilon",)

    @staticmethod
    def _complete(given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fills in `n_token` and `tie_projs`, for which later files may have other keys."""
        added: dict[str, Any] = {}
        if "n_token" not in given and "vocab_size" in given:
            added["n_token"] = given["vocab_size"]
        cutoffs = given.get("cutoffs", _CUTOFFS)
        if "tie_projs" not in given and isinstance(cutoffs, Sequence):
            added["tie_projs"] = _tie_projs(cutoffs, given.get("proj_share_all_but_first", True))
        return {**added, **given}

    def __init__(
        self,
        vocab_size_or_config_json_file: int | str | os.PathLike[str] = 267735,
        cutoffs: Sequence[int] = _CUTOFFS,
        d_model: int = 1024,
        d_embed: int = 1024,
        n_head: int = 16,
        d_head: int = 64,
        d_inner: int = 4096,
        div_val: int = 4,
        pre_lnorm: bool = False,
        n_layer: int = 18,
        tgt_len: int = 128,
        ext_len: int = 0,
        mem_len: int = 1600,
        clamp_len: int = 1000,
        same_length: bool = True,
        proj_share_all_but_first: bool = True,
        attn_type: int = 0,
        sample_softmax: int = -1,
        adaptive: bool = True,
        tie_weight: bool = True,
        dropout: float = 0.1,
        dropatt: float = 0.0,
        untie_r: bool = True,
        init: str = "normal",
        init_range: float = 0.01,
        proj_init_std: float = 0.01,
        init_std: float = 0.02,
    ) -> None:
        self.cutoffs = list(cutoffs)
        self.d_model = d_model
        self.d_embed = d_embed
        self.n_head = n_head
        self.d_head = d_head
        self.d_inner = d_inner
        self.div_val = div_val
        self.pre_lnorm = pre_lnorm
        self.n_layer = n_layer
        self.tgt_len = tgt_len
        self.ext_len = ext_len
        self.mem_len = mem_len
        self.clamp_len = clamp_len
        self.same_length = same_length
        self.tie_projs = _tie_projs(self.cutoffs, proj_share_all_but_first)
        self.attn_type = attn_type
        self.sample_softmax = sample_softmax
        self.adaptive = adaptive
        self.tie_weight = tie_weight
        self.dropout = dropout
        self.dropatt = dropatt
        self.untie_r = untie_r
        self.init = init
        self.init_range = init_range
        self.proj_init_std = proj_init_std
        self.init_std = init_std
        super().__init__(vocab_size_or_config_json_file)


def _tie_projs(cutoffs: Sequence[int], shared: bool) -> list[bool]:
    return [False] + [shared] * len(cutoffs)
