"""BERT's sub-modules: real `nn.Module` classes over the C++ modules of the same names.

Shapes: batch = sequences, seq = tokens, hidden = `config.hidden_size`, vocab = `config.vocab_size`.
The attention mask of a sub-module is additive, [batch, 1, 1, seq]: 0 where a position may be
attended to, -10000 where not; None masks nothing. The head mask of a layer and its parts is
[1, heads, 1, 1], or broadcasts to [batch, heads, query, key]: 1 keeps a head, 0 removes it; None
keeps all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .. import _C
from .bert_config import BertConfig
from .bridge import Adoption, CppModule, register_nodes, run
from .config import cpp_config
from .layers import ACT2FN
from .pruning import prune_heads
from .self_attention import HasSelfAttentions, SelfAttention


class BertNode(CppModule):
    """A node that is constructed from a configuration."""

    config: BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self._adopt_new()

    def _new_cpp(self) -> Any:
        return self._cpp_type(cpp_config(self.config))


class BertEmbeddings(BertNode):
    """Sum of word, position and segment embeddings, then LayerNorm and dropout.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertEmbeddings(config)(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.BertEmbeddings

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """[batch, seq] -> [batch, seq, hidden]"""
        return run(self, input_ids, token_type_ids)


class BertAttentionOptions(BertNode):
    """A node with options to return attention weights and keep the outputs of heads."""

    def __init__(
        self,
        config: BertConfig,
        output_attentions: bool = False,
        keep_multihead_output: bool = False,
    ) -> None:
        super().__init__(config)
        self.output_attentions = output_attentions
        self.keep_multihead_output = keep_multihead_output


class BertSelfAttention(BertAttentionOptions, SelfAttention):
    """softmax(Q K^T / sqrt(head size) + mask) V for each head.

    Args:
        config: Sizes and dropout.
        output_attentions: Return `(attentions, output)`: the attention weights [batch, heads,
            query, key] after softmax, dropout and head mask, and the output.
        keep_multihead_output: Keep `multihead_output`.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> attention = BertSelfAttention(config, output_attentions=True)
        >>> attentions, output = attention(torch.ones(1, 3, 32))
        >>> attentions.shape, output.shape
        (torch.Size([1, 4, 3, 3]), torch.Size([1, 3, 32]))
    """

    _cpp_type = _C.BertSelfAttention

    num_attention_heads: int
    attention_head_size: int

    def transpose_for_scores(self, x: Tensor) -> Tensor:
        """[batch, seq, hidden] -> [batch, heads, seq, head size], for subclasses with their own
        `forward`"""
        return _C.split_into_heads(x, self.num_attention_heads, self.attention_head_size)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """[batch, seq, hidden], mask, head mask -> [batch, seq, hidden]"""
        return self._run(hidden_states, attention_mask, head_mask)


class BertAttentionNode(BertAttentionOptions, HasSelfAttentions):
    """A node that contains self-attentions.

    Args:
        config: Sizes and dropout.
        output_attentions: Return `(attentions, output)`; see `BertSelfAttention`.
        keep_multihead_output: Keep `multihead_output` of every `BertSelfAttention`.
    """


class BertSelfOutput(BertNode):
    """Dense layer, dropout, residual and LayerNorm after self-attention.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertSelfOutput(config)(torch.ones(1, 3, 32), torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.BertSelfOutput

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """[batch, seq, hidden] twice -> [batch, seq, hidden]"""
        return run(self, hidden_states, input_tensor)


class BertAttention(BertAttentionNode):
    """Self-attention, then `BertSelfOutput`.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> attention_mask = torch.tensor([0.0, 0.0, -10000.0]).view(1, 1, 1, 3)
        >>> BertAttention(config)(torch.ones(1, 3, 32), attention_mask).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.BertAttention

    def forward(
        self,
        input_tensor: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """[batch, seq, hidden], mask, head mask -> [batch, seq, hidden]"""
        return run(self, input_tensor, attention_mask, head_mask)

    def prune_heads(self, heads: Iterable[int]) -> None:
        """Removes heads permanently; the remaining ones are renumbered.

        Parameters are replaced: create the optimizer afterwards. The configuration of a model does
        not learn of it: use the model's `prune_heads` if it is to be saved.

        Args:
            heads: Indices of heads to remove, counting present heads only.

        Raises:
            TypeError: A linear layer of the attention was replaced by something else, or heads are
                not ints.
            ValueError: A head does not exist, or none would be left.
        """
        prune_heads({"heads": self}, {"heads": heads})


class BertIntermediate(BertNode):
    """First half of the feed-forward layer: dense layer and activation.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertIntermediate(config)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 37])
    """

    _cpp_type = _C.BertIntermediate

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.intermediate_act_fn = _activation(self.config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[batch, seq, hidden] -> [batch, seq, intermediate]"""
        return run(self, hidden_states)


class BertOutput(BertNode):
    """Second half of the feed-forward layer, dropout, residual and LayerNorm.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertOutput(config)(torch.ones(1, 3, 37), torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.BertOutput

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """[batch, seq, intermediate], [batch, seq, hidden] -> [batch, seq, hidden]"""
        return run(self, hidden_states, input_tensor)


class BertLayer(BertAttentionNode):
    """One block of the Transformer: attention and feed-forward.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertLayer(config)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.BertLayer

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """[batch, seq, hidden], mask, head mask -> [batch, seq, hidden]"""
        return run(self, hidden_states, attention_mask, head_mask)


class BertEncoder(BertAttentionNode):
    """The stack of layers.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> encoded_layers = BertEncoder(config)(torch.ones(1, 3, 32))
        >>> len(encoded_layers), encoded_layers[-1].shape
        (2, torch.Size([1, 3, 32]))
    """

    _cpp_type = _C.BertEncoder

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        output_all_encoded_layers: bool = True,
        head_mask: Tensor | None = None,
    ) -> list[Tensor] | tuple[list[Tensor], list[Tensor]]:
        """[batch, seq, hidden], mask, head mask [layers or 1, 1, heads, 1, 1] -> the outputs of
        all layers, or with `output_all_encoded_layers=False` a list with the last one's"""
        return run(self, hidden_states, attention_mask, output_all_encoded_layers, head_mask)


class BertPooler(BertNode):
    """Dense layer and tanh on the first token.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertPooler(config)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 32])
    """

    _cpp_type = _C.BertPooler

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[batch, seq, hidden] -> [batch, hidden]"""
        return run(self, hidden_states)


class BertPredictionHeadTransform(BertNode):
    """Dense layer, activation and LayerNorm before the decoder.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertPredictionHeadTransform(config)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 32])
    """

    _cpp_type = _C.BertPredictionHeadTransform

    def _adopt(self, cpp: Any, adoption: Adoption) -> None:
        super()._adopt(cpp, adoption)
        self.transform_act_fn = _activation(self.config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[*, hidden] -> [*, hidden]"""
        return run(self, hidden_states)


class BertOnlyNSPHead(BertNode):
    """The next-sentence head.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> BertOnlyNSPHead(config)(torch.ones(1, 32)).shape
        torch.Size([1, 2])
    """

    _cpp_type = _C.BertOnlyNSPHead

    def forward(self, pooled_output: Tensor) -> Tensor:
        """[batch, hidden] -> [batch, 2]"""
        return run(self, pooled_output)


class BertTiedNode(BertNode):
    """A head whose decoder shares its weight with the word embeddings."""

    def __init__(self, config: BertConfig, bert_model_embedding_weights: nn.Parameter) -> None:
        """`bert_model_embedding_weights` [vocab, hidden] becomes the decoder's weight itself."""
        nn.Module.__init__(self)
        self.config = config
        self._adopt(self._cpp_type(cpp_config(config), bert_model_embedding_weights), Adoption())

    def _new_cpp(self) -> Any:
        # Only the shape of this weight matters: the real one is bound before each forward.
        shape = (self.config.vocab_size, self.config.hidden_size)
        return self._cpp_type(cpp_config(self.config), torch.empty(shape, device="meta"))


class BertLMPredictionHead(BertTiedNode):
    """Scores of every token of the vocabulary.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> word_embeddings = nn.Embedding(99, 32)
        >>> BertLMPredictionHead(config, word_embeddings.weight)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 99])
    """

    _cpp_type = _C.BertLMPredictionHead

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[*, hidden] -> [*, vocab]"""
        return run(self, hidden_states)


class BertOnlyMLMHead(BertTiedNode):
    """Wraps `BertLMPredictionHead` as `predictions`, so that keys are those of checkpoints.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> word_embeddings = nn.Embedding(99, 32)
        >>> BertOnlyMLMHead(config, word_embeddings.weight)(torch.ones(1, 3, 32)).shape
        torch.Size([1, 3, 99])
    """

    _cpp_type = _C.BertOnlyMLMHead

    def forward(self, sequence_output: Tensor) -> Tensor:
        """[batch, seq, hidden] -> [batch, seq, vocab]"""
        return run(self, sequence_output)


class BertPreTrainingHeads(BertTiedNode):
    """Both heads of pre-training.

    Example:
        >>> config = BertConfig(99, 32, 2, 4, 37)
        >>> word_embeddings = nn.Embedding(99, 32)
        >>> heads = BertPreTrainingHeads(config, word_embeddings.weight)
        >>> tokens, pair = heads(torch.ones(1, 3, 32), torch.ones(1, 32))
        >>> tokens.shape, pair.shape
        (torch.Size([1, 3, 99]), torch.Size([1, 2]))
    """

    _cpp_type = _C.BertPreTrainingHeads

    def forward(self, sequence_output: Tensor, pooled_output: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, seq, hidden], [batch, hidden] -> [batch, seq, vocab], [batch, 2]"""
        return run(self, sequence_output, pooled_output)


def _activation(config: BertConfig) -> Callable[[Tensor], Tensor]:
    if isinstance(config.hidden_act, str):
        return ACT2FN[config.hidden_act]
    return config.hidden_act


register_nodes(
    BertEmbeddings,
    BertSelfAttention,
    BertSelfOutput,
    BertAttention,
    BertIntermediate,
    BertOutput,
    BertLayer,
    BertEncoder,
    BertPooler,
    BertPredictionHeadTransform,
    BertLMPredictionHead,
    BertOnlyMLMHead,
    BertOnlyNSPHead,
    BertPreTrainingHeads,
    home="ptbert.modeling",
)
