"""BERT as real `torch.nn.Module` trees over a C++ core, under the names of 2019."""

import torch

from ._torch_version import check_torch_version

check_torch_version(torch.__version__)

from . import utils  # noqa: E402
from .file_utils import (  # noqa: E402
    CONFIG_NAME,
    PYTORCH_PRETRAINED_BERT_CACHE,
    WEIGHTS_NAME,
    cached_path,
)
from .modeling import (  # noqa: E402
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)
from .optimization import BertAdam  # noqa: E402
from .tokenization import BasicTokenizer, BertTokenizer, WordpieceTokenizer  # noqa: E402
from .tokenization_gpt2 import GPT2Tokenizer  # noqa: E402
from .tokenization_openai import OpenAIGPTTokenizer  # noqa: E402
from .tokenization_transfo_xl import TransfoXLCorpus, TransfoXLTokenizer  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "CONFIG_NAME",
    "PYTORCH_PRETRAINED_BERT_CACHE",
    "WEIGHTS_NAME",
    "BasicTokenizer",
    "BertAdam",
    "BertConfig",
    "BertForMaskedLM",
    "BertForMultipleChoice",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "BertTokenizer",
    "GPT2Tokenizer",
    "OpenAIGPTTokenizer",
    "TransfoXLCorpus",
    "TransfoXLTokenizer",
    "WordpieceTokenizer",
    "cached_path",
    "utils",
]
