"""BERT models. Devlin et al., 2018 (https://arxiv.org/abs/1810.04805).

Inputs of every model, batch = sequences and seq = tokens of the longest:

- `input_ids` [batch, seq]: token ids, int64 or int32.
- `token_type_ids` [batch, seq]: segment of each token, 0 or 1; None for zeros.
- `attention_mask` [batch, seq]: 1 for a token, 0 for padding; None for ones.
- `head_mask` [heads] or [layers, heads]: 1 keeps an attention head, 0 removes it; None keeps all.

Invalid inputs raise TypeError (dtype), ValueError (shape) or IndexError (id out of range); the
message names the argument, the rule and the value. With labels a model returns the loss, without
them its scores.

A model made with `output_attentions=True` returns the attention weights of its layers first: a list
of [batch, heads, query, key], after softmax, dropout and head mask; losses are returned alone. With
`keep_multihead_output=True`, `BertModel.get_multihead_outputs()` returns the outputs of the heads
of each layer in the last forward pass, with gradients (Michel et al., 2019,
https://arxiv.org/abs/1905.10650). In `BertForMultipleChoice` the batch of both is batch * choices.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import CrossEntropyLoss

from . import _C
from ._files.published import archive_map
from ._models.bert_config import BertConfig
from ._models.bert_modules import (
    BertAttention,
    BertAttentionNode,
    BertEmbeddings,
    BertEncoder,
    BertIntermediate,
    BertLayer,
    BertLMPredictionHead,
    BertOnlyMLMHead,
    BertOnlyNSPHead,
    BertOutput,
    BertPooler,
    BertPredictionHeadTransform,
    BertPreTrainingHeads,
    BertSelfAttention,
    BertSelfOutput,
)
from ._models.bridge import register_nodes, run
from ._models.config import cpp_config
from ._models.layers import ACT2FN, BertLayerNorm, gelu, swish
from ._models.loading import AnyModule, PretrainedModel, load_foreign_weights
from ._models.pruning import prune_as_configured, prune_heads, prune_layers, prune_linear_layer
from .file_utils import (
    BERT_CONFIG_NAME,
    CONFIG_NAME,
    TF_WEIGHTS_NAME,
    WEIGHTS_NAME,
    StrPath,
    cached_path,
)

__all__ = [
    "ACT2FN",
    "BERT_CONFIG_NAME",
    "CONFIG_NAME",
    "PRETRAINED_MODEL_ARCHIVE_MAP",
    "TF_WEIGHTS_NAME",
    "WEIGHTS_NAME",
    "BertAttention",
    "BertConfig",
    "BertEmbeddings",
    "BertEncoder",
    "BertForMaskedLM",
    "BertForMultipleChoice",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertIntermediate",
    "BertLMPredictionHead",
    "BertLayer",
    "BertLayerNorm",
    "BertModel",
    "BertOnlyMLMHead",
    "BertOnlyNSPHead",
    "BertOutput",
    "BertPooler",
    "BertPreTrainedModel",
    "BertPreTrainingHeads",
    "BertPredictionHeadTransform",
    "BertSelfAttention",
    "BertSelfOutput",
    "PreTrainedBertModel",
    "gelu",
    "load_tf_weights_in_bert",
    "prune_linear_layer",
    "swish",
]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["CrossEntropyLoss", "cached_path", "copy", "json", "logger", "logging", "math", "nn"]
__all__ += ["os", "shutil", "sys", "tarfile", "tempfile", "torch"]

logger = logging.getLogger(__name__)

PRETRAINED_MODEL_ARCHIVE_MAP = archive_map("bert", "model.safetensors")


def load_tf_weights_in_bert(model: AnyModule, tf_checkpoint_path: StrPath) -> AnyModule:
    """Loads a TensorFlow checkpoint into a BERT model, without TensorFlow, and returns the model.

    Weights that are missing there keep their values; their names, and those of what was not used,
    are logged.

    Args:
        model: Any model of the family, or a module that holds one.
        tf_checkpoint_path: PREFIX of PREFIX.index, one of the files, or their folder.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, has no weight of the model, or one of another shape.
    """
    return load_foreign_weights(model, tf_checkpoint_path, "bert", logger)


class BertPreTrainedModel(PretrainedModel):
    """Base class with initialisation and loading of BERT models; derive from it to put your own
    head on `BertModel`.

    Example:
        >>> class Scorer(BertPreTrainedModel):
        ...     def __init__(self, config):
        ...         super().__init__(config)
        ...         self.bert = BertModel(config)
        ...         self.score = nn.Linear(config.hidden_size, 1)
        ...         self.apply(self.init_bert_weights)
        ...
        ...     def forward(self, input_ids):
        ...         _, pooled_output = self.bert(input_ids, output_all_encoded_layers=False)
        ...         return self.score(pooled_output)
    """

    _family = "bert"
    _config_class = BertConfig
    _logger = logger

    config: BertConfig

    def init_bert_weights(self, module: nn.Module) -> None:
        """Initialises one module with `config.initializer_range`; for use with `self.apply`."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)
        elif isinstance(module, BertLayerNorm):
            module.bias.data.zero_()
            module.weight.data.fill_(1.0)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.data.zero_()


PreTrainedBertModel = BertPreTrainedModel  # its name until version 0.5


class _CppModel(BertPreTrainedModel, BertAttentionNode):
    """A whole model that C++ computes."""

    def __init__(
        self,
        config: BertConfig,
        output_attentions: bool = False,
        keep_multihead_output: bool = False,
    ) -> None:
        BertPreTrainedModel.__init__(self, config)
        for replacement in self._adopt_new().replacements:
            replacement.apply(self.init_bert_weights)
        prune_as_configured(getattr(self, "bert", self))
        self.output_attentions = output_attentions
        self.keep_multihead_output = keep_multihead_output


class BertModel(_CppModel):
    """BERT without a head.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Attributes:
        skip_padding: Whether the hidden states of padding (`attention_mask` 0) may be zeros instead
            of what the 2019 library computes. Set it on this model, or on `bert` of a model with a
            head, to save the work on padding. It changes the loss of `BertForQuestionAnswering`, a
            softmax over all positions, padding included. False by default.

    Example:
        >>> model = BertModel(BertConfig(99, 32, 2, 4, 37))
        >>> encoded_layers, pooled_output = model(torch.tensor([[1, 2, 3]]))
        >>> len(encoded_layers), encoded_layers[-1].shape, pooled_output.shape
        (2, torch.Size([1, 3, 32]), torch.Size([1, 32]))
    """

    _cpp_type = _C.BertModel

    encoder: BertEncoder
    skip_padding: bool

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        output_all_encoded_layers: bool = True,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the hidden states and the pooled output.

        The hidden states are a list with the output of every layer, or with
        `output_all_encoded_layers=False` the output of the last layer itself; each is [batch, seq,
        hidden]. The pooled output is [batch, hidden].
        """
        return run(
            self, input_ids, token_type_ids, attention_mask, output_all_encoded_layers, head_mask
        )

    def prune_heads(self, heads_to_prune: Mapping[int, Iterable[int]]) -> None:
        """Removes attention heads permanently; outputs are the same as with the heads masked.

        `config.pruned_heads` notes them by their first numbers, so that a saved model loads again.
        Parameters are replaced: create the optimizer afterwards. Once layers have different numbers
        of heads, no `head_mask` fits all of them.

        Args:
            heads_to_prune: For each layer (-1 is the last) the indices of heads to remove, counting
                present heads only.

        Raises:
            TypeError: A linear layer of an attention was replaced by something else, or heads are
                not ints.
            ValueError: A layer or head does not exist, or a layer would have no head left.
        """
        self._prune(heads_to_prune, "heads_to_prune")

    def _prune(self, heads: Mapping[int, Iterable[int]], argument: str) -> None:
        layers: Any = self.encoder.layer
        attentions = [layer.attention for layer in layers]
        count = self.config.num_attention_heads
        prune_layers(prune_heads, attentions, heads, self.config, count, argument)

    def get_multihead_outputs(self) -> list[Tensor | None]:
        """Returns the outputs of the heads of each layer in the last forward pass before they were
        merged, [batch, heads, seq, head size] each; None without `keep_multihead_output`."""
        layers: Any = self.encoder.layer
        return [layer.attention.self.multihead_output for layer in layers]


class _CppModelWithTrunk(_CppModel):
    """A `BertModel` with a head."""

    bert: BertModel


class _CppClassifier(_CppModelWithTrunk):
    """A model that tells `num_labels` classes apart."""

    def __init__(
        self,
        config: BertConfig,
        num_labels: int = 2,
        output_attentions: bool = False,
        keep_multihead_output: bool = False,
    ) -> None:
        self.num_labels = num_labels
        super().__init__(config, output_attentions, keep_multihead_output)

    def _new_cpp(self) -> Any:
        return self._cpp_type(cpp_config(self.config), self.num_labels)


class BertForPreTraining(_CppModelWithTrunk):
    """BERT with the masked-LM and the next-sentence head.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> model = BertForPreTraining(BertConfig(99, 32, 2, 4, 37))
        >>> prediction_scores, seq_relationship_score = model(torch.tensor([[1, 2, 3]]))
        >>> prediction_scores.shape, seq_relationship_score.shape
        (torch.Size([1, 3, 99]), torch.Size([1, 2]))
    """

    _cpp_type = _C.BertForPreTraining

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        masked_lm_labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the sum of both losses when both labels are given, else the scores of both heads.

        Args:
            masked_lm_labels: [batch, seq], the token ids to predict, -1 where there is nothing to
                predict.
            next_sentence_label: [batch], 0 where the second sentence follows the first, 1 where it
                is random.
        """
        return run(
            self,
            input_ids,
            token_type_ids,
            attention_mask,
            masked_lm_labels,
            next_sentence_label,
            head_mask,
        )


class BertForMaskedLM(_CppModelWithTrunk):
    """BERT with the masked-LM head.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> BertForMaskedLM(BertConfig(99, 32, 2, 4, 37))(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 99])
    """

    _cpp_type = _C.BertForMaskedLM

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        masked_lm_labels: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss, or without labels the scores [batch, seq, vocab].

        Args:
            masked_lm_labels: [batch, seq], the token ids to predict, -1 where there is nothing to
                predict.
        """
        return run(self, input_ids, token_type_ids, attention_mask, masked_lm_labels, head_mask)


class BertForNextSentencePrediction(_CppModelWithTrunk):
    """BERT with the next-sentence head.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> model = BertForNextSentencePrediction(BertConfig(99, 32, 2, 4, 37))
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 2])
    """

    _cpp_type = _C.BertForNextSentencePrediction

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss, or without labels the scores [batch, 2].

        Args:
            next_sentence_label: [batch], 0 where the second sentence follows the first, 1 where it
                is random.
        """
        return run(self, input_ids, token_type_ids, attention_mask, next_sentence_label, head_mask)


class BertForSequenceClassification(_CppClassifier):
    """BERT with a classifier on the pooled output, for sentences or pairs of sentences.

    Args:
        config: The configuration of the new model.
        num_labels: Number of classes.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> model = BertForSequenceClassification(BertConfig(99, 32, 2, 4, 37), num_labels=3)
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3])
    """

    _cpp_type = _C.BertForSequenceClassification

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss, or without labels the scores [batch, num_labels].

        Args:
            labels: [batch], the classes, in [0, num_labels).
        """
        return run(self, input_ids, token_type_ids, attention_mask, labels, head_mask)


class BertForMultipleChoice(_CppModelWithTrunk):
    """BERT with a score for each of several choices; all inputs are [batch, choices, seq].

    Args:
        config: The configuration of the new model.
        num_choices: Number of choices.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> model = BertForMultipleChoice(BertConfig(99, 32, 2, 4, 37), num_choices=2)
        >>> model(torch.tensor([[[1, 2, 3], [1, 2, 4]]])).shape
        torch.Size([1, 2])
    """

    _cpp_type = _C.BertForMultipleChoice

    def __init__(
        self,
        config: BertConfig,
        num_choices: int = 2,
        output_attentions: bool = False,
        keep_multihead_output: bool = False,
    ) -> None:
        self.num_choices = num_choices
        super().__init__(config, output_attentions, keep_multihead_output)

    def _new_cpp(self) -> Any:
        return self._cpp_type(cpp_config(self.config), self.num_choices)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss, or without labels the scores [batch, choices].

        Args:
            labels: [batch], the right choices, in [0, num_choices).
        """
        return run(self, input_ids, token_type_ids, attention_mask, labels, head_mask)


class BertForTokenClassification(_CppClassifier):
    """BERT with a classifier on every token.

    Args:
        config: The configuration of the new model.
        num_labels: Number of classes.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> model = BertForTokenClassification(BertConfig(99, 32, 2, 4, 37), num_labels=5)
        >>> model(torch.tensor([[1, 2, 3]])).shape
        torch.Size([1, 3, 5])
    """

    _cpp_type = _C.BertForTokenClassification

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss, or without labels the scores [batch, seq, num_labels].

        Args:
            labels: [batch, seq], the classes, in [0, num_labels). With an `attention_mask` only
                positions where it is 1 count.
        """
        return run(self, input_ids, token_type_ids, attention_mask, labels, head_mask)


class BertForQuestionAnswering(_CppModelWithTrunk):
    """BERT with scores for the start and the end of an answer at every token.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> start_logits, end_logits = BertForQuestionAnswering(BertConfig(99, 32, 2, 4, 37))(
        ...     torch.tensor([[1, 2, 3]])
        ... )
        >>> start_logits.shape, end_logits.shape
        (torch.Size([1, 3]), torch.Size([1, 3]))
    """

    _cpp_type = _C.BertForQuestionAnswering

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the mean of both losses when both positions are given, else the scores, each
        [batch, seq].

        Args:
            start_positions: [batch], index of the first token of the answer; clamped to [0, seq],
                where seq means "not in this window" and does not count.
            end_positions: [batch], index of the last token, likewise.
        """
        return run(
            self,
            input_ids,
            token_type_ids,
            attention_mask,
            start_positions,
            end_positions,
            head_mask,
        )


register_nodes(
    BertModel,
    BertForPreTraining,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForSequenceClassification,
    BertForMultipleChoice,
    BertForTokenClassification,
    BertForQuestionAnswering,
    home="ptbert.modeling",
)
