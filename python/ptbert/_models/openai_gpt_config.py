"""Configuration of OpenAI GPT models."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from .. import _C
from .config import Config, complete_context
from .layers import ACT_FNS


class OpenAIGPTConfig(Config):
    """Configuration of an OpenAI GPT model: each attribute has the name of its key in config.json.

    Args:
        vocab_size_or_config_json_file: Number of tokens in the vocabulary, or the path of a JSON
            file.
        n_special: Number of special tokens added for fine-tuning; their embeddings follow those of
            the vocabulary.
        n_positions: Longest sequence, in tokens.
        n_ctx: Size of the causal mask; `n_positions` if a file lacks the key.
        n_embd: Width of the hidden states.
        n_layer: Number of blocks.
        n_head: Number of attention heads per block; must divide `n_embd`.
        afn: Activation of the feed-forward layer: "gelu" (by tanh), "relu", "swish" or a function
            of a tensor.
        resid_pdrop: Dropout probability of each sub-layer's output.
        embd_pdrop: Dropout probability of the embeddings.
        attn_pdrop: Dropout probability of the attention weights.
        layer_norm_epsilon: Epsilon of every LayerNorm.
        initializer_range: Standard deviation of the initial embeddings.
        predict_special_tokens: Whether the language-model head scores special tokens, too.

    Other keys of a file become attributes too and are written back. Values are checked when a
    model is built.

    Raises:
        ValueError: The first argument is neither an int nor a path.

    Example:
        >>> OpenAIGPTConfig(n_layer=6).n_layer
        6
    """

    vocab_size: int  # the others are declared by `__init__`

    _cpp_type = _C.OpenAIGPTConfig
    _fields: ClassVar[dict[str, type]] = {
        "vocab_size": int,
        "n_special": int,
        "n_positions": int,
        "n_ctx": int,
        "n_embd": int,
        "n_layer": int,
        "n_head": int,
        "afn": str,
        "resid_pdrop": float,
        "embd_pdrop": float,
        "attn_pdrop": float,
        "layer_norm_epsilon": float,
        "initializer_range": float,
        "predict_special_tokens": bool,
    }
    _activation = "afn"
    _activations = ACT_FNS
    _options = _C.OpenAIGPTConfig.options()
    _complete = staticmethod(complete_context)

    def __init__(
        self,
        vocab_size_or_config_json_file: int | str | os.PathLike[str] = 40478,
        n_special: int = 0,
        n_positions: int = 512,
        n_ctx: int = 512,
        n_embd: int = 768,
        n_layer: int = 12,
        n_head: int = 12,
        afn: str | Callable[[Tensor], Tensor] = "gelu",
        resid_pdrop: float = 0.1,
        embd_pdrop: float = 0.1,
        attn_pdrop: float = 0.1,
        layer_norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        predict_special_tokens: bool = True,
    ) -> None:
        self.n_special = n_special
        self.n_positions = n_positions
        self.n_ctx = n_ctx
        self.n_embd = n_embd
        self.n_layer = n_layer
        self.n_head = n_head
        self.afn = afn
        self.resid_pdrop = resid_pdrop
        self.embd_pdrop = embd_pdrop
        self.attn_pdrop = attn_pdrop
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_range = initializer_range
        self.predict_special_tokens = predict_special_tokens
        super().__init__(vocab_size_or_config_json_file)

    @property
    def total_tokens_embeddings(self) -> int:
        """Rows of the token embeddings: `vocab_size` + `n_special`."""
        return self.vocab_size + self.n_special
