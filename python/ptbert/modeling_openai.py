"""OpenAI GPT: the names of 2019, to be implemented."""

from __future__ import annotations

from ._files.pretrained import archive_map
from ._models.placeholders import placeholder_class, placeholder_function
from .file_utils import CONFIG_NAME, WEIGHTS_NAME

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

PRETRAINED_CONFIG_ARCHIVE_MAP = archive_map("openai-gpt", CONFIG_NAME)
PRETRAINED_MODEL_ARCHIVE_MAP = archive_map("openai-gpt", WEIGHTS_NAME)

Attention = placeholder_class(__name__, "Attention")
Block = placeholder_class(__name__, "Block")
Conv1D = placeholder_class(__name__, "Conv1D")
MLP = placeholder_class(__name__, "MLP")
OpenAIGPTConfig = placeholder_class(__name__, "OpenAIGPTConfig")
OpenAIGPTDoubleHeadsModel = placeholder_class(__name__, "OpenAIGPTDoubleHeadsModel")
OpenAIGPTLMHead = placeholder_class(__name__, "OpenAIGPTLMHead")
OpenAIGPTLMHeadModel = placeholder_class(__name__, "OpenAIGPTLMHeadModel")
OpenAIGPTModel = placeholder_class(__name__, "OpenAIGPTModel")
OpenAIGPTMultipleChoiceHead = placeholder_class(__name__, "OpenAIGPTMultipleChoiceHead")
OpenAIGPTPreTrainedModel = placeholder_class(__name__, "OpenAIGPTPreTrainedModel")
gelu = placeholder_function(__name__, "gelu")
load_tf_weights_in_openai_gpt = placeholder_function(__name__, "load_tf_weights_in_openai_gpt")
prune_conv1d_layer = placeholder_function(__name__, "prune_conv1d_layer")
swish = placeholder_function(__name__, "swish")
ACT_FNS = {name: placeholder_function(__name__, name) for name in ("gelu", "relu", "swish")}
