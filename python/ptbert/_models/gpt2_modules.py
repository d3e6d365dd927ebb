"""GPT-2's sub-modules: real `nn.Module` classes over the C++ modules of their names with `GPT2`
before them.

Shapes: batch = sequences, seq = tokens, width = `config.n_embd`, past = tokens whose keys and
values were computed before, key = past + seq. The head mask of a block and its attention is [1,
heads, 1, 1], or broadcasts to [batch, heads, query, key]: 1 keeps a head, 0 removes it; None keeps
all.
"""

from __future__ import annotations

import sys
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
from .layers import gelu_tanh


class Attention(GPTAttention):
    """Masked self-attention: each token attends to itself and to those before it.

    Args:
        nx: Width.
        n_ctx: Longest sequence.
        config: Number of heads and dropout.
        scale: Divide the scores by sqrt(head size), as GPT-2 does.
        output_attentions: Return the attention weights [batch, heads, query, key] first, after
            softmax, dropout and head mask.
        keep_multihead_output: Keep `multihead_output`.

    Example:
        >>> config = GPT2Config(99, n_embd=32, n_head=4, n_ctx=16)
        >>> output, present = Attention(32, 16, config, scale=True)(torch.ones(1, 3, 32))
        >>> output.shape, present.shape
        (torch.Size([1, 3, 32]), torch.Size([2, 1, 4, 3, 8]))
    """

    _cpp_type = _C.GPT2Attention
    _masked = -1e4

    def forward(
        self, x: Tensor, layer_past: Tensor | None = None, head_mask: Tensor | None = None
    ) -> Any:
        """[batch, seq, width], [2, batch, heads, past, head size], head mask -> [batch, seq,
        width], [2, batch, heads, key, head size]"""
        if not self._has_own_steps():
            return self._run(x, layer_past, head_mask)
        attentions, output, present = self._by_steps(x, layer_past, head_mask)
        return (*attentions, output, present)


class MLP(GPTMLP):
    """The feed-forward layer.

    Args:
        n_state: Inner width.
        config: Width and dropout.

    Example:
        >>> MLP(128, GPT2Config(99, n_embd=32))(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.GPT2MLP

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.act = getattr(sys.modules.get(self._home), "gelu", gelu_tanh)


class Block(GPTBlock):
    """One block of the Transformer, with LayerNorms before attention and feed-forward layer.

    Args:
        n_ctx: Longest sequence.
        config: Sizes and dropout.
        scale: As for `Attention`.
        output_attentions: Return the attention weights first; see `Attention`.
        keep_multihead_output: Keep `multihead_output` of the attention.

    Example:
        >>> config = GPT2Config(99, n_embd=32, n_head=4, n_ctx=16)
        >>> output, present = Block(16, config, scale=True)(torch.ones(1, 3, 32))
        >>> output.shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.GPT2Block

    def forward(
        self, x: Tensor, layer_past: Tensor | None = None, head_mask: Tensor | None = None
    ) -> Any:
        """[batch, seq, width], [2, batch, heads, past, head size], head mask -> [batch, seq,
        width], [2, batch, heads, key, head size]"""
        return run(self, x, layer_past, head_mask)


class GPT2LMHead(GPTLMHead):
    """Scores of every token of the vocabulary; the decoder shares its weight with the embeddings.

    Args:
        model_embeddings_weights: [vocab, width]; becomes the decoder's weight itself.
        config: With `predict_special_tokens=False` the scores are cut to the first `vocab_size`.

    Example:
        >>> wte = nn.Embedding(99, 32)
        >>> GPT2LMHead(wte.weight, GPT2Config(99, n_embd=32))(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 99])
    """

    _cpp_type = _C.GPT2LMHead


class GPT2MultipleChoiceHead(GPTMultipleChoiceHead):
    """A score for each choice, from the hidden state of one of its tokens.

    Args:
        config: Width and dropout.

    Example:
        >>> head = GPT2MultipleChoiceHead(GPT2Config(99, n_embd=32))
        >>> head(torch.ones(1, 2, 3, 32), torch.tensor([[2, 1]])).shape
        torch.Size([1, 2])
    """

    _cpp_type = _C.GPT2MultipleChoiceHead


register_nodes(
    Attention, MLP, Block, GPT2LMHead, GPT2MultipleChoiceHead, home="ptbert.modeling_gpt2"
)
