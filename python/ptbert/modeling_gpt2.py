"""GPT-2 models. Radford et al., 2019, "Language Models are Unsupervised Multitask Learners".

Inputs of every model, seq = tokens of the longest sequence:

- `input_ids` [*, seq]: token ids, int64 or int32, with any number of leading dimensions, whose
  product is called batch.
- `position_ids`: position of each token, of the same shape or [seq]; None for the positions after
  `past`.
- `token_type_ids`: ids of a third embedding, taken from the table of tokens, of the same shape or
  [seq]; None for none.
- `past`: the `presents` of an earlier call, so that their tokens are not computed again.
- `head_mask` [heads] or [layers, heads]: 1 keeps an attention head, 0 removes it; None keeps all.

There is no mask for padding: put it at the end of a row, where no token sees it, and label it -1.

Invalid inputs raise TypeError (dtype), ValueError (shape) or IndexError (id out of range); the
message names the argument, the rule and the value. With labels a model returns losses, without them
its scores.

`presents` is a list with the keys and values of each block, [2, batch, heads, past + seq, head
size]. A model made with `output_attentions=True` returns the attention weights of its blocks first:
a list of [batch, heads, query, key], after softmax, dropout and head mask. With
`keep_multihead_output=True`, `GPT2Model.get_multihead_outputs()` returns the outputs of the heads
of each block in the last forward pass, with gradients.
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
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import CrossEntropyLoss
from torch.nn.parameter import Parameter

from . import _C
from ._files.published import archive_map
from ._models.aliases import either
from ._models.bridge import register_nodes, run
from ._models.conv1d import Conv1D, prune_conv1d_layer
from ._models.gpt2_config import GPT2Config
from ._models.gpt2_modules import MLP, Attention, Block, GPT2LMHead, GPT2MultipleChoiceHead
from ._models.gpt_models import GPTModelWithTrunk, GPTPreTrainedModel, GPTTrunk
from ._models.layers import BertLayerNorm as LayerNorm
from ._models.layers import gelu_tanh as gelu
from ._models.loading import AnyModule, load_foreign_weights
from .file_utils import CONFIG_NAME, WEIGHTS_NAME, StrPath, cached_path
from .generation import LanguageModel

__all__ = [
    "CONFIG_NAME",
    "MLP",
    "PRETRAINED_CONFIG_ARCHIVE_MAP",
    "PRETRAINED_MODEL_ARCHIVE_MAP",
    "WEIGHTS_NAME",
    "Attention",
    "Block",
    "Conv1D",
    "GPT2Config",
    "GPT2DoubleHeadsModel",
    "GPT2LMHead",
    "GPT2LMHeadModel",
    "GPT2Model",
    "GPT2MultipleChoiceHead",
    "GPT2PreTrainedModel",
    "gelu",
    "load_tf_weights_in_gpt2",
    "prune_conv1d_layer",
]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["CrossEntropyLoss", "LayerNorm", "Parameter", "cached_path", "collections", "copy"]
__all__ += ["json", "logger", "logging", "math", "nn", "os", "shutil", "sys", "tarfile"]
__all__ += ["tempfile", "torch"]

logger = logging.getLogger(__name__)

PRETRAINED_CONFIG_ARCHIVE_MAP = archive_map("gpt2", CONFIG_NAME)
PRETRAINED_MODEL_ARCHIVE_MAP = archive_map("gpt2", WEIGHTS_NAME)


def load_tf_weights_in_gpt2(model: AnyModule, gpt2_checkpoint_path: StrPath) -> AnyModule:
    """Loads a TensorFlow checkpoint into a GPT-2 model, without TensorFlow, and returns the model.

    Weights that are missing there keep their values; their names, and those of what was not used,
    are logged.

    Args:
        model: Any model of the family, or a module that holds one.
        gpt2_checkpoint_path: PREFIX of PREFIX.index, one of the files, or their folder.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, has no weight of the model, or one of another shape.
    """
    return load_foreign_weights(model, gpt2_checkpoint_path, "gpt2", logger)


class GPT2PreTrainedModel(GPTPreTrainedModel):
    """Base class with initialisation and loading of GPT-2 models; derive from it to put your own
    head on `GPT2Model`.

    Example:
        >>> class Scorer(GPT2PreTrainedModel):
        ...     def __init__(self, config):
        ...         super().__init__(config)
        ...         self.transformer = GPT2Model(config)
        ...         self.score = nn.Linear(config.n_embd, 1)
        ...         self.apply(self.init_weights)
        ...
        ...     def forward(self, input_ids):
        ...         hidden_states, _ = self.transformer(input_ids)
        ...         return self.score(hidden_states[-1][:, -1])
    """

    _family = "gpt2"
    _config_class = GPT2Config
    _logger = logger

    config: GPT2Config


class GPT2Model(GPT2PreTrainedModel, GPTTrunk):
    """GPT-2 without a head.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> model = GPT2Model(GPT2Config(99, n_embd=32, n_layer=2, n_head=4))
        >>> hidden_states, presents = model(torch.tensor([[1, 2, 3]]))
        >>> len(hidden_states), hidden_states[-1].shape, presents[0].shape
        (3, torch.Size([1, 3, 32]), torch.Size([2, 1, 4, 3, 8]))
    """

    _cpp_type = _C.GPT2Model

    _embeddings = "wte"

    wte: nn.Embedding

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        past: list[Tensor] | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the hidden states and the presents: a list with the embeddings and the output of
        every block, the last one after the final LayerNorm, [*, seq, width] each; and a list with
        the keys and values of every block."""
        return run(self, input_ids, position_ids, token_type_ids, past, head_mask)


class GPT2LMHeadModel(GPT2PreTrainedModel, GPTModelWithTrunk, LanguageModel):
    """GPT-2 with the language-model head, tied to the token embeddings.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `GPT2Model`.

    Example:
        >>> model = GPT2LMHeadModel(GPT2Config(99, n_embd=32, n_layer=2, n_head=4)).eval()
        >>> lm_logits, presents = model(torch.tensor([[1, 2, 3]]))
        >>> lm_logits.shape
        torch.Size([1, 3, 99])
        >>> model(torch.tensor([[4]]), past=presents)[0].shape
        torch.Size([1, 1, 99])
    """

    _cpp_type = _C.GPT2LMHeadModel

    transformer: GPT2Model
    lm_head: GPT2LMHead

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        lm_labels: Tensor | None = None,
        past: list[Tensor] | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss, or without labels the scores [*, seq, vocab] and the presents.

        Args:
            lm_labels: Of the shape of `input_ids`, which may be given here again: the label of a
                token is predicted from the tokens before it; -1 is not counted.
        """
        return run(self, input_ids, position_ids, token_type_ids, lm_labels, past, head_mask)


class GPT2DoubleHeadsModel(GPT2PreTrainedModel, GPTModelWithTrunk):
    """GPT-2 with the language-model head and a head that scores choices; inputs are [batch,
    choices, seq].

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `GPT2Model`.

    Example:
        >>> model = GPT2DoubleHeadsModel(GPT2Config(99, n_embd=32, n_layer=2, n_head=4))
        >>> choices = torch.tensor([[[1, 2, 3], [1, 2, 4]]])
        >>> lm_logits, mc_logits, presents = model(choices, torch.tensor([[2, 2]]))
        >>> lm_logits.shape, mc_logits.shape
        (torch.Size([1, 2, 3, 99]), torch.Size([1, 2]))
    """

    _cpp_type = _C.GPT2DoubleHeadsModel

    transformer: GPT2Model
    lm_head: GPT2LMHead
    multiple_choice_head: GPT2MultipleChoiceHead

    def forward(
        self,
        input_ids: Tensor,
        mc_token_ids: Tensor | None = None,
        lm_labels: Tensor | None = None,
        mc_labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        past: list[Tensor] | None = None,
        head_mask: Tensor | None = None,
        *,
        multiple_choice_token_ids: Tensor | None = None,
        multiple_choice_labels: Tensor | None = None,
    ) -> Any:
        """Returns a list of the losses whose labels are given, that of the language model first; or
        without labels the scores [batch, choices, seq, vocab] and [batch, choices], and the
        presents.

        Args:
            mc_token_ids: [batch, choices], the position of the token that is scored, mostly the
                last of its row.
            lm_labels: As for `GPT2LMHeadModel`.
            mc_labels: [batch], the right choice.
            multiple_choice_token_ids: Another name of `mc_token_ids`.
            multiple_choice_labels: Another name of `mc_labels`.
        """
        return run(
            self,
            input_ids,
            either("mc_token_ids", mc_token_ids, multiple_choice_token_ids),
            lm_labels,
            either("mc_labels", mc_labels, multiple_choice_labels),
            token_type_ids,
            position_ids,
            past,
            head_mask,
        )


register_nodes(GPT2Model, GPT2LMHeadModel, GPT2DoubleHeadsModel, home="ptbert.modeling_gpt2")
