"""Transformer-XL: the names of 2019; all but two embeddings are to be implemented."""

from __future__ import annotations

from ._files.pretrained import archive_map
from ._models.placeholders import placeholder_class, placeholder_function
from ._models.transfo_xl_modules import AdaptiveEmbedding, PositionalEmbedding
from .file_utils import CONFIG_NAME, WEIGHTS_NAME

__all__ = [
    "CONFIG_NAME",
    "PRETRAINED_CONFIG_ARCHIVE_MAP",
    "PRETRAINED_MODEL_ARCHIVE_MAP",
    "TF_WEIGHTS_NAME",
    "WEIGHTS_NAME",
    "AdaptiveEmbedding",
    "DecoderLayer",
    "MultiHeadAttn",
    "PositionalEmbedding",
    "PositionwiseFF",
    "RelLearnableDecoderLayer",
    "RelLearnableMultiHeadAttn",
    "RelMultiHeadAttn",
    "RelPartialLearnableDecoderLayer",
    "RelPartialLearnableMultiHeadAttn",
    "TransfoXLConfig",
    "TransfoXLLMHeadModel",
    "TransfoXLModel",
    "TransfoXLPreTrainedModel",
    "build_tf_to_pytorch_map",
    "load_tf_weights_in_transfo_xl",
]

PRETRAINED_CONFIG_ARCHIVE_MAP = archive_map("transfo-xl", CONFIG_NAME)
PRETRAINED_MODEL_ARCHIVE_MAP = archive_map("transfo-xl", WEIGHTS_NAME)
TF_WEIGHTS_NAME = "model.ckpt"

DecoderLayer = placeholder_class(__name__, "DecoderLayer")
MultiHeadAttn = placeholder_class(__name__, "MultiHeadAttn")
PositionwiseFF = placeholder_class(__name__, "PositionwiseFF")
RelLearnableDecoderLayer = placeholder_class(__name__, "RelLearnableDecoderLayer")
RelLearnableMultiHeadAttn = placeholder_class(__name__, "RelLearnableMultiHeadAttn")
RelMultiHeadAttn = placeholder_class(__name__, "RelMultiHeadAttn")
RelPartialLearnableDecoderLayer = placeholder_class(__name__, "RelPartialLearnableDecoderLayer")
RelPartialLearnableMultiHeadAttn = placeholder_class(__name__, "RelPartialLearnableMultiHeadAttn")
TransfoXLConfig = placeholder_class(__name__, "TransfoXLConfig")
TransfoXLLMHeadModel = placeholder_class(__name__, "TransfoXLLMHeadModel")
TransfoXLModel = placeholder_class(__name__, "TransfoXLModel")
TransfoXLPreTrainedModel = placeholder_class(__name__, "TransfoXLPreTrainedModel")
build_tf_to_pytorch_map = placeholder_function(__name__, "build_tf_to_pytorch_map")
load_tf_weights_in_transfo_xl = placeholder_function(__name__, "load_tf_weights_in_transfo_xl")
