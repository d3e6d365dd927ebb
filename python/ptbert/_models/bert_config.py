"""Configuration of BERT models."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from .. import _C
from .config import Config
from .layers import ACT2FN


class BertConfig(Config):
    """Configuration of a BERT model: each attribute has the name of its key in config.json.

    Args:
        vocab_size_or_config_json_file: Number of tokens in the vocabulary, or the path of a JSON
            file.
        hidden_size: Width of the hidden states.
        num_hidden_layers: Number of layers in the encoder.
        num_attention_heads: Number of attention heads per layer; must divide `hidden_size`.
        intermediate_size: Width of the feed-forward layer.
        hidden_act: Activation of the feed-forward layer and the masked-LM head: "gelu", "relu",
            "swish" or a function of a tensor.
        hidden_dropout_prob: Dropout probability of the embeddings and of each sub-layer's output.
        attention_probs_dropout_prob: Dropout probability of the attention weights.
        max_position_embeddings: Longest sequence, in tokens.
        type_vocab_size: Number of segments that `token_type_ids` may name.
        initializer_range: Standard deviation of the initial weights.
        layer_norm_eps: Epsilon of every LayerNorm.

    Other keys of a file become attributes too and are written back. Values are checked when a
    model is built.

    Raises:
        ValueError: The first argument is neither an int nor a path.

    Example:
        >>> BertConfig(30522, num_hidden_layers=6).num_hidden_layers
        6
    """

    vocab_size: int  # the others are declared by `__init__`

    _cpp_type = _C.BertConfig
    _fields: ClassVar[dict[str, type]] = {
        "vocab_size": int,
        "hidden_size": int,
        "num_hidden_layers": int,
        "num_attention_heads": int,
        "intermediate_size": int,
        "hidden_act": str,
        "hidden_dropout_prob": float,
        "attention_probs_dropout_prob": float,
        "max_position_embeddings": int,
        "type_vocab_size": int,
        "initializer_range": float,
        "layer_norm_eps": float,
    }
    _activation = "hidden_act"
    _activations = ACT2FN

    def __init__(
        self,
        vocab_size_or_config_json_file: int | str | os.PathLike[str],
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str | Callable[[Tensor], Tensor] = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        super().__init__(vocab_size_or_config_json_file)
