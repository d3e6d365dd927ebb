"""BERT as real `torch.nn.Module` trees over a C++ core, under the names of 2019."""

import torch

from ._torch_version import check_torch_version

check_torch_version(torch.__version__)

from . import (  # noqa: E402
    file_utils,
    generation,
    modeling,
    modeling_gpt2,
    modeling_openai,
    modeling_transfo_xl,
    modeling_transfo_xl_utilities,
    optimization,
    optimization_openai,
    tokenization,
    tokenization_gpt2,
    tokenization_openai,
    tokenization_transfo_xl,
    utils,
)
from ._analysis.embeddings import embed  # noqa: E402
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
    load_tf_weights_in_bert,
)
from .modeling_gpt2 import (  # noqa: E402
    GPT2Config,
    GPT2DoubleHeadsModel,
    GPT2LMHeadModel,
    GPT2Model,
    GPT2MultipleChoiceHead,
    load_tf_weights_in_gpt2,
)
from .modeling_openai import (  # noqa: E402
    OpenAIGPTConfig,
    OpenAIGPTDoubleHeadsModel,
    OpenAIGPTLMHeadModel,
    OpenAIGPTModel,
    load_tf_weights_in_openai_gpt,
)
from .modeling_transfo_xl import (  # noqa: E402
    TransfoXLConfig,
    TransfoXLLMHeadModel,
    TransfoXLModel,
    load_tf_weights_in_transfo_xl,
)
from .optimization import BertAdam  # noqa: E402
from .optimization_openai import OpenAIAdam  # noqa: E402
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
    "GPT2Config",
    "GPT2DoubleHeadsModel",
    "GPT2LMHeadModel",
    "GPT2Model",
    "GPT2MultipleChoiceHead",
    "GPT2Tokenizer",
    "OpenAIAdam",
    "OpenAIGPTConfig",
    "OpenAIGPTDoubleHeadsModel",
    "OpenAIGPTLMHeadModel",
    "OpenAIGPTModel",
    "OpenAIGPTTokenizer",
    "TransfoXLConfig",
    "TransfoXLCorpus",
    "TransfoXLLMHeadModel",
    "TransfoXLModel",
    "TransfoXLTokenizer",
    "WordpieceTokenizer",
    "cached_path",
    "embed",
    "generation",
    "load_tf_weights_in_bert",
    "load_tf_weights_in_gpt2",
    "load_tf_weights_in_openai_gpt",
    "load_tf_weights_in_transfo_xl",
    "utils",
]
# What `from ... import *` also gave in 2019, when the package had no `__all__`.
__all__ += [
    "file_utils",
    "modeling",
    "modeling_gpt2",
    "modeling_openai",
    "modeling_transfo_xl",
    "modeling_transfo_xl_utilities",
    "optimization",
    "optimization_openai",
    "tokenization",
    "tokenization_gpt2",
    "tokenization_openai",
    "tokenization_transfo_xl",
]
