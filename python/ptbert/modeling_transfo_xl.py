"""Transformer-XL models. Dai et al., 2019, "Transformer-XL: Attentive Language Models Beyond a
Fixed-Length Context" (https://arxiv.org/abs/1901.02860).

Inputs of both models, batch = sequences, seq = tokens of a segment:

- `input_ids` [batch, seq]: token ids, int64 or int32; ids are ordered by frequency.
- `mems`: memory, the `new_mems` of the segment before: for each layer the hidden states that it
  saw, [length, batch, d_model]. None for `mem_len` zeros, which are attended to.

Both return `new_mems` last, a list with an entry [mem_len, batch, d_model] for each layer, without
gradient, or None if there is no memory (`mem_len` 0).

Invalid inputs raise TypeError (dtype), ValueError (shape) or IndexError (id out of range); the
message names the argument, the rule and the value.
"""

from __future__ import annotations

import collections
import copy
import json
import logging
import math
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn import CrossEntropyLoss
from torch.nn.parameter import Parameter

from . import _C
from ._files.published import archive_map
from ._models.adaptive_softmax import LogUniformSampler, ProjectedAdaptiveLogSoftmax, sample_logits
from ._models.bridge import CppModule, register_nodes, run
from ._models.config import check_field, cpp_config
from ._models.layers import BertLayerNorm as LayerNorm
from ._models.loading import AnyModule, PretrainedModel, load_foreign_weights
from ._models.transfo_xl_attention import (
    DecoderLayer,
    MultiHeadAttn,
    RelLearnableDecoderLayer,
    RelLearnableMultiHeadAttn,
    RelMultiHeadAttn,
    RelPartialLearnableDecoderLayer,
    RelPartialLearnableMultiHeadAttn,
)
from ._models.transfo_xl_config import TransfoXLConfig
from ._models.transfo_xl_modules import AdaptiveEmbedding, PositionalEmbedding, PositionwiseFF
from .file_utils import CONFIG_NAME, WEIGHTS_NAME, StrPath, cached_path
from .generation import LanguageModel

__all__ = [
    "CONFIG_NAME",
    "PRETRAINED_CONFIG_ARCHIVE_MAP",
    "PRETRAINED_MODEL_ARCHIVE_MAP",
    "TF_WEIGHTS_NAME",
    "WEIGHTS_NAME",
    "AdaptiveEmbedding",
    "DecoderLayer",
    "MultiHeadAttn",
    "PositionalEmbedding",
    "PositionwiseFF",
    "RelLearnableDecoderLayer",
    "RelLearnableMultiHeadAttn",
    "RelMultiHeadAttn",
    "RelPartialLearnableDecoderLayer",
    "RelPartialLearnableMultiHeadAttn",
    "TransfoXLConfig",
    "TransfoXLLMHeadModel",
    "TransfoXLModel",
    "TransfoXLPreTrainedModel",
    "build_tf_to_pytorch_map",
    "load_tf_weights_in_transfo_xl",
]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["CrossEntropyLoss", "F", "LayerNorm", "Parameter", "ProjectedAdaptiveLogSoftmax"]
__all__ += ["cached_path", "collections", "copy", "json", "logger", "logging", "math", "nn", "os"]
__all__ += ["sample_logits", "shutil", "sys", "tarfile", "tempfile", "torch"]

logger = logging.getLogger(__name__)

PRETRAINED_CONFIG_ARCHIVE_MAP = archive_map("transfo-xl", CONFIG_NAME)
PRETRAINED_MODEL_ARCHIVE_MAP = archive_map("transfo-xl", WEIGHTS_NAME)
TF_WEIGHTS_NAME = "model.ckpt"


def build_tf_to_pytorch_map(
    model: AnyModule, config: TransfoXLConfig
) -> dict[str, Tensor | list[Tensor]]:
    """Returns the parameters of a Transformer-XL by the names of their variables in TensorFlow.

    Under `transformer/r_r_bias` and `transformer/r_w_bias` stands a list: the biases of all layers,
    or the one that they share. Where one bias of the softmax is for several clusters, each
    cluster's name has its part. Tied parameters are there once, as what they are tied to. In 2019
    the names were always those of a model with clusters that are all of different widths.

    Args:
        model: A `TransfoXLModel`, or a model with one as `transformer`.
        config: Its configuration.
    """
    prefix = "" if hasattr(model, "transformer") else "transformer."
    named = {prefix + name: parameter for name, parameter in model.named_parameters()}
    variables = _C.assign_tf_variables(named, "transfo-xl", config.cutoffs)
    return {
        name: found if name.endswith(("r_r_bias", "r_w_bias")) else found[0]
        for name, found in variables.items()
    }


def load_tf_weights_in_transfo_xl(
    model: AnyModule, config: TransfoXLConfig, tf_path: StrPath
) -> AnyModule:
    """Loads a TensorFlow checkpoint into a Transformer-XL, without TensorFlow, and returns the
    model.

    Weights that are missing there keep their values; their names, and those of what was not used,
    are logged.

    Args:
        model: Any model of the family, or a module that holds one.
        config: As in 2019; that of the model counts.
        tf_path: PREFIX of PREFIX.index, one of the files, or their folder.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, has no weight of the model, or one of another shape.
    """
    return load_foreign_weights(model, tf_path, "transfo-xl", logger)


class TransfoXLPreTrainedModel(PretrainedModel):
    """Base class with initialisation and loading of Transformer-XL models; derive from it to put
    your own head on `TransfoXLModel`.

    Example:
        >>> class Scorer(TransfoXLPreTrainedModel):
        ...     def __init__(self, config):
        ...         super().__init__(config)
        ...         self.transformer = TransfoXLModel(config)
        ...         self.score = nn.Linear(config.d_model, 1)
        ...         self.apply(self.init_weights)
        ...
        ...     def forward(self, input_ids, mems=None):
        ...         last_hidden, new_mems = self.transformer(input_ids, mems)
        ...         return self.score(last_hidden[:, -1]), new_mems
    """

    _family = "transfo-xl"
    _config_class = TransfoXLConfig
    _logger = logger

    config: TransfoXLConfig

    def init_weight(self, weight: Tensor) -> None:
        """Draws a weight as `config.init` says."""
        if self.config.init == "uniform":
            nn.init.uniform_(weight, -self.config.init_range, self.config.init_range)
        else:
            nn.init.normal_(weight, 0.0, self.config.init_std)

    def init_bias(self, bias: Tensor) -> None:
        """Sets a bias to 0."""
        nn.init.zeros_(bias)

    def init_weights(self, m: nn.Module) -> None:
        """Initialises one module as the configuration says; for use with `self.apply`."""
        projections = getattr(m, "emb_projs", getattr(m, "out_projs", []))
        for projection in projections:
            if projection is not None:
                nn.init.normal_(projection, 0.0, self.config.proj_init_std)
        if isinstance(m, nn.LayerNorm):
            nn.init.normal_(m.weight, 1.0, self.config.init_std)
        elif isinstance(m, (nn.Linear, nn.Embedding)):
            self.init_weight(m.weight)
        if isinstance(m, (nn.Linear, nn.LayerNorm)) and m.bias is not None:
            self.init_bias(m.bias)
        if getattr(m, "cluster_weight", None) is not None:
            self.init_weight(m.cluster_weight)  # type: ignore[arg-type]
            self.init_bias(m.cluster_bias)  # type: ignore[arg-type]

    def set_num_special_tokens(self, num_special_tokens: int) -> None:
        """Does nothing, as in 2019: the vocabulary has no special tokens of its own."""


class _CppTransfoXLModel(TransfoXLPreTrainedModel, CppModule):
    """A whole model that C++ computes."""

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__(config)
        for replacement in self._adopt_new().replacements:
            replacement.apply(self.init_weights)

    def _new_cpp(self) -> Any:
        return self._cpp_type(cpp_config(self.config))


class TransfoXLModel(_CppTransfoXLModel):
    """Transformer-XL without a head.

    Args:
        config: The configuration of the new model.

    Attributes:
        cache_memory: Keep the keys and values of the memory for the next segment, which needs twice
            as much space as the memory itself; False at first. Under `torch.no_grad`, with
            `attn_type` 0 and without `pre_lnorm`; they are used if the next call is given the
            `new_mems` of the last, unchanged.

    Example:
        >>> config = TransfoXLConfig(99, cutoffs=[20, 60], d_model=32, d_embed=32, n_head=4,
        ...     d_head=8, d_inner=64, div_val=2, n_layer=2, mem_len=5)
        >>> model = TransfoXLModel(config)
        >>> last_hidden, mems = model(torch.tensor([[31, 51, 98], [15, 5, 0]]))
        >>> last_hidden.shape, len(mems), mems[0].shape
        (torch.Size([2, 3, 32]), 2, torch.Size([5, 2, 32]))
        >>> last_hidden, mems = model(torch.tensor([[53, 21, 1], [64, 23, 90]]), mems)
    """

    _cpp_type = _C.TransfoXLModel

    word_emb: AdaptiveEmbedding
    drop: nn.Dropout
    layers: nn.ModuleList
    tgt_len: int
    ext_len: int
    mem_len: int
    clamp_len: int
    same_length: bool
    cache_memory: bool

    def _adopt(self, cpp: Any, adoption: Any) -> None:
        config = self.config
        self.n_token = config.n_token
        self.d_embed = config.d_embed
        self.d_model = config.d_model
        self.n_head = config.n_head
        self.d_head = config.d_head
        self.n_layer = config.n_layer
        self.attn_type = config.attn_type
        self.max_klen = config.tgt_len + config.ext_len + config.mem_len
        super()._adopt(cpp, adoption)

    def backward_compatible(self) -> None:
        """Sets `sample_softmax` to -1, as in 2019; nothing reads it here."""
        self.sample_softmax = -1

    def reset_length(self, tgt_len: int, ext_len: int, mem_len: int) -> None:
        """Changes the lengths of segments and memory for the next calls.

        Raises:
            TypeError: One of them is no int.
            ValueError: `tgt_len` is below 1, or another below 0.
        """
        lengths = {"tgt_len": tgt_len, "ext_len": ext_len, "mem_len": mem_len}
        for name, length in lengths.items():
            check_field(name, length, int)
        _C.check_lengths(**lengths)
        for name, length in lengths.items():
            setattr(self, name, length)

    def init_mems(self, data: Tensor) -> list[Tensor] | None:
        """Returns memory of zeros for `data` [seq, batch], or None if `mem_len` is 0."""
        if self.mem_len == 0:
            return None
        weight = next(self.parameters())
        shape = self.mem_len, data.size(1), self.config.d_model
        return [weight.new_zeros(shape) for _ in self.layers]

    def forward(
        self, input_ids: Tensor, mems: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor] | None]:
        """Returns the last hidden states [batch, seq, d_model] and `new_mems`."""
        return run(self, input_ids, mems)


class TransfoXLLMHeadModel(_CppTransfoXLModel, LanguageModel):
    """Transformer-XL with an adaptive softmax, or with `config.sample_softmax` above 0 a softmax
    that is sampled in training.

    Args:
        config: The configuration of the new model.

    Example:
        >>> config = TransfoXLConfig(99, cutoffs=[20, 60], d_model=32, d_embed=32, n_head=4,
        ...     d_head=8, d_inner=64, div_val=2, n_layer=2, mem_len=5)
        >>> model = TransfoXLLMHeadModel(config).eval()
        >>> text = torch.tensor([[31, 51, 98, 4]])
        >>> losses, mems = model(text[:, :-1], target=text[:, 1:])
        >>> log_probs, mems = model(text[:, -1:], mems=mems)
        >>> losses.shape, log_probs.shape
        (torch.Size([1, 3]), torch.Size([1, 1, 99]))
        >>> len(model.generate([31, 51], max_new_tokens=20)[0].ids)
        20
    """

    _cpp_type = _C.TransfoXLLMHeadModel

    transformer: TransfoXLModel
    crit: ProjectedAdaptiveLogSoftmax
    out_layer: nn.Linear

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__(config)
        self.sample_softmax = config.sample_softmax
        self.tie_weights()

    @property
    def sampler(self) -> LogUniformSampler:
        """Draws the samples of the sampled softmax; without one there is no such attribute."""
        if self.config.sample_softmax <= 0:
            raise AttributeError
        return LogUniformSampler(self.config.n_token, self.config.sample_softmax)

    def tie_weights(self) -> None:
        """Makes the output use the weights and projections of the embeddings that
        `config.tie_weight` and `config.tie_projs` name; needed after one of them was replaced."""
        embedding: Any = self.transformer.word_emb
        config = self.config
        if config.sample_softmax > 0:
            if config.tie_weight:
                self.out_layer.weight = embedding.emb_layers[0].weight
            return
        softmax: Any = self.crit
        if config.tie_weight:
            for layer, table in zip(softmax.out_layers, embedding.emb_layers, strict=True):
                layer.weight = table.weight
        for i, tied in enumerate(config.tie_projs):
            if tied and len(embedding.emb_projs) > 0:
                softmax.out_projs[i] = embedding.emb_projs[0 if config.div_val == 1 else i]

    def _plain_decoder(self, forward: Callable[..., Any]) -> Any:
        config = copy.copy(self.config)
        for name in ("tgt_len", "ext_len", "mem_len"):
            setattr(config, name, getattr(self.transformer, name))
        return _C.make_plain_transfo_xl_decoder(forward, cpp_config(config))

    def reset_length(self, tgt_len: int, ext_len: int, mem_len: int) -> None:
        """As `TransfoXLModel.reset_length`."""
        self.transformer.reset_length(tgt_len, ext_len, mem_len)

    def init_mems(self, data: Tensor) -> list[Tensor] | None:
        """As `TransfoXLModel.init_mems`."""
        return self.transformer.init_mems(data)

    def forward(
        self, input_ids: Tensor, target: Tensor | None = None, mems: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor] | None]:
        """Returns the log-probabilities of all tokens [batch, seq, n_token], or with `target` its
        negative log-likelihoods [batch, seq], and `new_mems`.

        Args:
            target: Ids of the shape of `input_ids`: the token that follows each of them. Nothing is
                shifted here.
        """
        return run(self, input_ids, target, mems)


register_nodes(TransfoXLModel, TransfoXLLMHeadModel, home="ptbert.modeling_transfo_xl")
