"""OpenAI GPT's sub-modules: real `nn.Module` classes over the C++ modules of their names with
`OpenAIGPT` before them.

Shapes: batch = sequences, seq = tokens, width = `config.n_embd`. The head mask of a block and its
attention is [1, heads, 1, 1], or broadcasts to [batch, heads, query, key]: 1 keeps a head, 0
removes it; None keeps all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .. import _C
from .bridge import Adoption, CppModule, register_nodes, run
from .config import cpp_config
from .gpt_attention import GPTAttention
from .layers import ACT_FNS
from .openai_gpt_config import OpenAIGPTConfig
from .self_attention import HasSelfAttentions


class Attention(GPTAttention):
    """Masked self-attention: each token attends to itself and to those before it.

    Args:
        nx: Width.
        n_ctx: Longest sequence.
        config: Number of heads and dropout.
        scale: Divide the scores by sqrt(head size), as GPT does.
        output_attentions: Return the attention weights [batch, heads, query, key] first, after
            softmax, dropout and head mask.
        keep_multihead_output: Keep `multihead_output`.

    Example:
        >>> config = OpenAIGPTConfig(99, n_embd=32, n_head=4, n_ctx=16)
        >>> Attention(32, 16, config, scale=True)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.OpenAIGPTAttention
    _masked = -1e9

    def forward(self, x: Tensor, head_mask: Tensor | None = None) -> Any:
        """[batch, seq, width], head mask -> [batch, seq, width]"""
        if not self._has_own_steps():
            return self._run(x, head_mask)
        attentions, output, _ = self._by_steps(x, None, head_mask)
        return (*attentions, output) if attentions else output


class MLP(CppModule):
    """The feed-forward layer.

    Args:
        n_state: Inner width.
        config: Width and dropout.

    Example:
        >>> MLP(128, OpenAIGPTConfig(99, n_embd=32))(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.OpenAIGPTMLP
    _n_state = 1  # of a twin, whose weights are bound

    act: Callable[[Tensor], Tensor]

    def __init__(self, n_state: int, config: OpenAIGPTConfig) -> None:
        super().__init__()
        self.config = config
        self._n_state = n_state
        self._adopt_new()

    def _new_cpp(self) -> Any:
        return self._cpp_type(self._n_state, cpp_config(self.config))

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return cpp.named_parameters()["c_fc.bias"].size(0), config

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        afn = self.config.afn
        self.act = ACT_FNS[afn] if isinstance(afn, str) else afn

    def forward(self, x: Tensor) -> Tensor:
        """[*, width] -> [*, width]"""
        return run(self, x)


class Block(HasSelfAttentions):
    """One block of the Transformer, with LayerNorms after attention and feed-forward layer.

    Args:
        n_ctx: Longest sequence.
        config: Sizes and dropout.
        scale: As for `Attention`.
        output_attentions: Return the attention weights first; see `Attention`.
        keep_multihead_output: Keep `multihead_output` of the attention.

    Example:
        >>> config = OpenAIGPTConfig(99, n_embd=32, n_head=4, n_ctx=16)
        >>> Block(16, config, scale=True)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.OpenAIGPTBlock
    _options: tuple[int, bool] = 1, False  # of a twin, whose mask and scale are bound

    def __init__(
        self,
        n_ctx: int,
        config: OpenAIGPTConfig,
        scale: bool = False,
        output_attentions: bool = False,
        keep_multihead_output: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self._options = n_ctx, scale
        self._adopt_new()
        self.output_attentions = output_attentions
        self.keep_multihead_output = keep_multihead_output

    def _new_cpp(self) -> Any:
        n_ctx, scale = self._options
        return self._cpp_type(n_ctx, cpp_config(self.config), scale)

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        attention = cpp.named_children()["attn"]
        _, n_ctx, _, scale = Attention._arguments(config, attention, tied)
        return n_ctx, config, scale

    def forward(self, x: Tensor, head_mask: Tensor | None = None) -> Any:
        """[batch, seq, width], head mask -> [batch, seq, width]"""
        return run(self, x, head_mask)


class OpenAIGPTLMHead(CppModule):
    """Scores of every token of the vocabulary; the decoder shares its weight with the embeddings.

    Args:
        model_embeddings_weights: [vocab, width]; becomes the decoder's weight itself.
        config: With `predict_special_tokens=False` the scores are cut to the first `vocab_size`.

    Example:
        >>> head = OpenAIGPTLMHead(nn.Embedding(99, 32).weight, OpenAIGPTConfig(99, n_embd=32))
        >>> head(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 99])
    """

    _cpp_type = _C.OpenAIGPTLMHead

    decoder: nn.Linear
    predict_special_tokens: bool

    def __init__(self, model_embeddings_weights: nn.Parameter, config: OpenAIGPTConfig) -> None:
        super().__init__()
        self.config = config
        self._adopt(self._cpp_type(model_embeddings_weights, cpp_config(config)), Adoption())

    def _new_cpp(self) -> Any:
        # Only the number of dimensions of this weight matters: the real one is bound.
        return self._cpp_type(torch.empty((1, 1), device="meta"), cpp_config(self.config))

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.n_embd = self.config.n_embd

    @classmethod
    def _arguments(cls, config: Any, cpp: Any, tied: list[nn.Parameter]) -> tuple[Any, ...]:
        return (*tied[:1], config)

    def set_embeddings_weights(
        self, model_embeddings_weights: nn.Parameter, predict_special_tokens: bool = True
    ) -> None:
        """Ties the decoder to other embeddings, [vocab, width]."""
        self.predict_special_tokens = predict_special_tokens
        rows, width = model_embeddings_weights.shape
        self.decoder = nn.utils.skip_init(nn.Linear, width, rows, bias=False, device="meta")
        self.decoder.weight = model_embeddings_weights

    def forward(self, hidden_state: Tensor) -> Tensor:
        """[*, width] -> [*, vocab]"""
        return run(self, hidden_state)


class OpenAIGPTMultipleChoiceHead(CppModule):
    """A score for each choice, from the hidden state of one of its tokens.

    Args:
        config: Width and dropout.

    Example:
        >>> head = OpenAIGPTMultipleChoiceHead(OpenAIGPTConfig(99, n_embd=32))
        >>> head(torch.ones(1, 2, 3, 32), torch.tensor([[2, 1]])).shape
        torch.Size([1, 2])
    """

    _cpp_type = _C.OpenAIGPTMultipleChoiceHead

    def __init__(self, config: OpenAIGPTConfig) -> None:
        super().__init__()
        self.config = config
        self._adopt_new()

    def _new_cpp(self) -> Any:
        return self._cpp_type(cpp_config(self.config))

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.n_embd = self.config.n_embd

    def forward(self, hidden_states: Tensor, mc_token_ids: Tensor) -> Tensor:
        """[batch, choices, seq, width], token positions [batch, choices] -> [batch, choices]"""
        return run(self, hidden_states, mc_token_ids)


register_nodes(
    Attention,
    MLP,
    Block,
    OpenAIGPTLMHead,
    OpenAIGPTMultipleChoiceHead,
    home="ptbert.modeling_openai",
)
