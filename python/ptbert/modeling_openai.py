"""OpenAI GPT models. Radford et al., 2018, "Improving Language Understanding by Generative
Pre-Training".

Inputs of every model, seq = tokens of the longest sequence:

- `input_ids` [*, seq]: token ids, int64 or int32, with any number of leading dimensions, whose
  product is called batch.
- `position_ids`: position of each token, of the same shape or [seq]; None for 0, 1, ....
- `token_type_ids`: ids of a third embedding, taken from the table of tokens, of the same shape or
  [seq]; None for none.
- `head_mask` [heads] or [layers, heads]: 1 keeps an attention head, 0 removes it; None keeps all.

There is no mask for padding: put it at the end of a row, where no token sees it, and label it -1.

Invalid inputs raise TypeError (dtype), ValueError (shape) or IndexError (id out of range); the
message names the argument, the rule and the value. With labels a model returns losses, without them
its scores.

A model made with `output_attentions=True` returns the attention weights of its blocks first:
a list of [batch, heads, query, key], after softmax, dropout and head mask. With
`keep_multihead_output=True`, `OpenAIGPTModel.get_multihead_outputs()` returns the outputs of the
heads of each block in the last forward pass, with gradients.
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
from ._models.gpt_models import GPTModelWithTrunk, GPTPreTrainedModel, GPTTrunk
from ._models.layers import ACT_FNS, swish
from ._models.layers import BertLayerNorm as LayerNorm
from ._models.layers import gelu_tanh as gelu
from ._models.loading import AnyModule, load_foreign_weights
from ._models.openai_gpt_config import OpenAIGPTConfig
from ._models.openai_gpt_modules import (
    MLP,
    Attention,
    Block,
    OpenAIGPTLMHead,
    OpenAIGPTMultipleChoiceHead,
)
from .file_utils import CONFIG_NAME, WEIGHTS_NAME, StrPath, cached_path
from .generation import LanguageModel

__all__ = [
    "ACT_FNS",
    "CONFIG_NAME",
    "MLP",
    "PRETRAINED_CONFIG_ARCHIVE_MAP",
    "PRETRAINED_MODEL_ARCHIVE_MAP",
    "WEIGHTS_NAME",
    "Attention",
    "Block",
    "Conv1D",
    "OpenAIGPTConfig",
    "OpenAIGPTDoubleHeadsModel",
    "OpenAIGPTLMHead",
    "OpenAIGPTLMHeadModel",
    "OpenAIGPTModel",
    "OpenAIGPTMultipleChoiceHead",
    "OpenAIGPTPreTrainedModel",
    "gelu",
    "load_tf_weights_in_openai_gpt",
    "prune_conv1d_layer",
    "swish",
]
# What `from ... import *` also gave in 2019, when the module had no `__all__`.
__all__ += ["CrossEntropyLoss", "LayerNorm", "Parameter", "cached_path", "collections", "copy"]
__all__ += ["json", "logger", "logging", "math", "nn", "os", "shutil", "sys", "tarfile"]
__all__ += ["tempfile", "torch"]

logger = logging.getLogger(__name__)

PRETRAINED_CONFIG_ARCHIVE_MAP = archive_map("openai-gpt", CONFIG_NAME)
PRETRAINED_MODEL_ARCHIVE_MAP = archive_map("openai-gpt", WEIGHTS_NAME)


def load_tf_weights_in_openai_gpt(
    model: AnyModule, openai_checkpoint_folder_path: StrPath
) -> AnyModule:
    """Loads OpenAI's published NumPy files into a GPT model, and returns the model.

    Weights that are missing there keep their values; their names, and those of what was not used,
    are logged.

    Args:
        model: Any model of the family, or a module that holds one.
        openai_checkpoint_folder_path: The folder with params_shapes.json and params_0.npy to
            params_9.npy, or a TensorFlow checkpoint.

    Raises:
        OSError: A file is missing.
        ValueError: A file is damaged, has no weight of the model, or one of another shape.
    """
    return load_foreign_weights(model, openai_checkpoint_folder_path, "openai-gpt", logger)


class OpenAIGPTPreTrainedModel(GPTPreTrainedModel):
    """Base class with initialisation and loading of OpenAI GPT models; derive from it to put your
    own head on `OpenAIGPTModel`.

    Example:
        >>> class Scorer(OpenAIGPTPreTrainedModel):
        ...     def __init__(self, config):
        ...         super().__init__(config)
        ...         self.transformer = OpenAIGPTModel(config)
        ...         self.score = nn.Linear(config.n_embd, 1)
        ...         self.apply(self.init_weights)
        ...
        ...     def forward(self, input_ids):
        ...         hidden_states = self.transformer(input_ids)
        ...         return self.score(hidden_states[-1][:, -1])
    """

    _family = "openai-gpt"
    _config_class = OpenAIGPTConfig
    _logger = logger

    config: OpenAIGPTConfig


class OpenAIGPTModel(OpenAIGPTPreTrainedModel, GPTTrunk):
    """OpenAI GPT without a head.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `get_multihead_outputs`.

    Example:
        >>> model = OpenAIGPTModel(OpenAIGPTConfig(99, n_embd=32, n_layer=2, n_head=4))
        >>> hidden_states = model(torch.tensor([[1, 2, 3]]))
        >>> len(hidden_states), hidden_states[-1].shape
        (3, torch.Size([1, 3, 32]))
    """

    _cpp_type = _C.OpenAIGPTModel

    _embeddings = "tokens_embed"

    tokens_embed: nn.Embedding

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the embeddings and the output of every block, [*, seq, width] each."""
        return run(self, input_ids, position_ids, token_type_ids, head_mask)


class OpenAIGPTLMHeadModel(OpenAIGPTPreTrainedModel, GPTModelWithTrunk, LanguageModel):
    """OpenAI GPT with the language-model head, tied to the token embeddings.

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `OpenAIGPTModel`.

    Example:
        >>> model = OpenAIGPTLMHeadModel(OpenAIGPTConfig(99, n_embd=32, n_layer=2, n_head=4)).eval()
        >>> lm_logits = model(torch.tensor([[1, 2, 3]]))
        >>> lm_logits.shape
        torch.Size([1, 3, 99])
    """

    _cpp_type = _C.OpenAIGPTLMHeadModel

    transformer: OpenAIGPTModel
    lm_head: OpenAIGPTLMHead

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        lm_labels: Tensor | None = None,
        head_mask: Tensor | None = None,
    ) -> Any:
        """Returns the loss, or without labels the scores [*, seq, vocab].

        Args:
            lm_labels: Of the shape of `input_ids`, which may be given here again: the label of a
                token is predicted from the tokens before it; -1 is not counted.
        """
        return run(self, input_ids, position_ids, token_type_ids, lm_labels, head_mask)


class OpenAIGPTDoubleHeadsModel(OpenAIGPTPreTrainedModel, GPTModelWithTrunk):
    """OpenAI GPT with the language-model head and a head that scores choices; inputs are [batch,
    choices, seq].

    Args:
        config: The configuration of the new model.
        output_attentions: Return the attention weights as well.
        keep_multihead_output: Keep the outputs of the heads; see `OpenAIGPTModel`.

    Example:
        >>> model = OpenAIGPTDoubleHeadsModel(OpenAIGPTConfig(99, n_embd=32, n_layer=2, n_head=4))
        >>> choices = torch.tensor([[[1, 2, 3], [1, 2, 4]]])
        >>> lm_logits, mc_logits = model(choices, torch.tensor([[2, 2]]))
        >>> lm_logits.shape, mc_logits.shape
        (torch.Size([1, 2, 3, 99]), torch.Size([1, 2]))
    """

    _cpp_type = _C.OpenAIGPTDoubleHeadsModel

    transformer: OpenAIGPTModel
    lm_head: OpenAIGPTLMHead
    multiple_choice_head: OpenAIGPTMultipleChoiceHead

    def forward(
        self,
        input_ids: Tensor,
        mc_token_ids: Tensor | None = None,
        lm_labels: Tensor | None = None,
        mc_labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        *,
        multiple_choice_token_ids: Tensor | None = None,
        multiple_choice_labels: Tensor | None = None,
    ) -> Any:
        """Returns a list of the losses whose labels are given, that of the language model first; or
        without labels the scores [batch, choices, seq, vocab] and [batch, choices].

        Args:
            mc_token_ids: [batch, choices], the position of the token that is scored, mostly the
                last of its row.
            lm_labels: As for `OpenAIGPTLMHeadModel`.
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
            head_mask,
        )


register_nodes(
    OpenAIGPTModel, OpenAIGPTLMHeadModel, OpenAIGPTDoubleHeadsModel, home="ptbert.modeling_openai"
)
