"""GPT-2: the names of 2019, to be implemented."""

from __future__ import annotations

from ._files.pretrained import archive_map
from ._models.placeholders import placeholder_class, placeholder_function
from .file_utils import CONFIG_NAME, WEIGHTS_NAME

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

PRETRAINED_CONFIG_ARCHIVE_MAP = archive_map("gpt2", CONFIG_NAME)
PRETRAINED_MODEL_ARCHIVE_MAP = archive_map("gpt2", WEIGHTS_NAME)

Attention = placeholder_class(__name__, "Attention")
Block = placeholder_class(__name__, "Block")
Conv1D = placeholder_class(__name__, "Conv1D")
GPT2Config = placeholder_class(__name__, "GPT2Config")
GPT2DoubleHeadsModel = placeholder_class(__name__, "GPT2DoubleHeadsModel")
GPT2LMHead = placeholder_class(__name__, "GPT2LMHead")
GPT2LMHeadModel = placeholder_class(__name__, "GPT2LMHeadModel")
GPT2Model = placeholder_class(__name__, "GPT2Model")
GPT2MultipleChoiceHead = placeholder_class(__name__, "GPT2MultipleChoiceHead")
GPT2PreTrainedModel = placeholder_class(__name__, "GPT2PreTrainedModel")
MLP = placeholder_class(__name__, "MLP")
gelu = placeholder_function(__name__, "gelu")
load_tf_weights_in_gpt2 = placeholder_function(__name__, "load_tf_weights_in_gpt2")
prune_conv1d_layer = placeholder_function(__name__, "prune_conv1d_layer")
