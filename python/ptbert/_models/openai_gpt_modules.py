"""OpenAI GPT's sub-modules: real `nn.Module` classes over the C++ modules of their names with
`OpenAIGPT` before them.

Shapes: batch = sequences, seq = tokens, width = `config.n_embd`. The head mask of a block and its
attention is [1, heads, 1, 1], or broadcasts to [batch, heads, query, key]: 1 keeps a head, 0
removes it; None keeps all.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .. import _C
from .bridge import Adoption, register_nodes, run
from .gpt_modules import (
    GPTMLP,
    GPTAttention,
    GPTBlock,
    GPTLMHead,
    GPTMultipleChoiceHead,
)
from .layers import ACT_FNS


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


class MLP(GPTMLP):
    """The feed-forward layer.

    Args:
        n_state: Inner width.
        config: Width and dropout.

    Example:
        >>> MLP(128, OpenAIGPTConfig(99, n_embd=32))(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.OpenAIGPTMLP

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        afn = self.config.afn
        self.act = ACT_FNS[afn] if isinstance(afn, str) else afn


class Block(GPTBlock):
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

    def forward(self, x: Tensor, head_mask: Tensor | None = None) -> Any:
        """[batch, seq, width], head mask -> [batch, seq, width]"""
        return run(self, x, head_mask)


class OpenAIGPTLMHead(GPTLMHead):
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


class OpenAIGPTMultipleChoiceHead(GPTMultipleChoiceHead):
    """A score for each choice, from the hidden state of one of its tokens.

    Args:
        config: Width and dropout.

    Example:
        >>> head = OpenAIGPTMultipleChoiceHead(OpenAIGPTConfig(99, n_embd=32))
        >>> head(torch.ones(1, 2, 3, 32), torch.tensor([[2, 1]])).shape
        torch.Size([1, 2])
    """

    _cpp_type = _C.OpenAIGPTMultipleChoiceHead


register_nodes(
    Attention,
    MLP,
    Block,
    OpenAIGPTLMHead,
    OpenAIGPTMultipleChoiceHead,
    home="ptbert.modeling_openai",
)
