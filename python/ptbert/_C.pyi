"""
The C++ core of ptbert. Private: use the classes of the package.
"""

from __future__ import annotations
import collections.abc
import os
import torch
import torch._C.cpp.nn
import typing

__all__: list[str] = [
    "AdaptiveEmbedding",
    "BasicTokenizer",
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
    "BertPreTrainingHeads",
    "BertPredictionHeadTransform",
    "BertSelfAttention",
    "BertSelfOutput",
    "BertTextEncoder",
    "Bridge",
    "Conv1D",
    "CoreNet",
    "Decoder",
    "DecoderLayer",
    "DecoderState",
    "DefaultDevice",
    "DeferredWeights",
    "Dropout",
    "Dropout2d",
    "Embedding",
    "GPT2Attention",
    "GPT2Block",
    "GPT2Config",
    "GPT2DoubleHeadsModel",
    "GPT2LMHead",
    "GPT2LMHeadModel",
    "GPT2MLP",
    "GPT2Model",
    "GPT2MultipleChoiceHead",
    "GPT2Tokenizer",
    "GPT2_PATTERN",
    "Generation",
    "HeadStatistics",
    "IndexedLines",
    "LineFormat",
    "Linear",
    "LogUniformSampler",
    "MultiHeadAttn",
    "OpenAIGPTAttention",
    "OpenAIGPTBlock",
    "OpenAIGPTConfig",
    "OpenAIGPTDoubleHeadsModel",
    "OpenAIGPTLMHead",
    "OpenAIGPTLMHeadModel",
    "OpenAIGPTMLP",
    "OpenAIGPTModel",
    "OpenAIGPTMultipleChoiceHead",
    "OpenAIGPTTokenizer",
    "ParameterList",
    "PositionalEmbedding",
    "PositionwiseFF",
    "ProjectedAdaptiveLogSoftmax",
    "ReLU",
    "RelLearnableDecoderLayer",
    "RelLearnableMultiHeadAttn",
    "RelPartialLearnableDecoderLayer",
    "RelPartialLearnableMultiHeadAttn",
    "Run",
    "Tanh",
    "TransfoXLAttentionOptions",
    "TransfoXLConfig",
    "TransfoXLLMHeadModel",
    "TransfoXLModel",
    "Vocabulary",
    "WordpieceTokenizer",
    "assign_tf_variables",
    "attributes",
    "bert_adam_update",
    "buffers",
    "bytes_to_unicode",
    "causal_weights",
    "check_lengths",
    "clean_text",
    "count_symbols",
    "enable_fast_paths",
    "fast_paths_enabled",
    "gelu",
    "gelu_tanh",
    "is_chinese_char",
    "is_control",
    "is_punctuation",
    "is_tf_checkpoint",
    "is_whitespace",
    "kind_of",
    "left_out_projections",
    "list_tf_variables",
    "load_safetensors",
    "load_tf_variables",
    "load_weights",
    "make_decoder",
    "make_plain_decoder",
    "make_plain_transfo_xl_decoder",
    "match_weights",
    "openai_adam_update",
    "pad_rows",
    "parameter_list",
    "pool_tokens",
    "read_first_words",
    "read_pickled_attributes",
    "record_paths",
    "register_activation",
    "register_kind",
    "resized_embedding",
    "sample_logits",
    "save_tf_weights",
    "score",
    "sort_tf_variables",
    "split_into_heads",
    "split_line",
    "split_on_punctuation",
    "standardize_text",
    "strip_accents",
    "swish",
    "tf_family",
    "to_lower",
    "to_unit_length",
    "tokenize_chinese_chars",
    "torch_version",
    "use_product_library",
    "warmup_constant",
    "warmup_cosine",
    "warmup_cosine_with_hard_restarts",
    "warmup_cosine_with_warmup_restarts",
    "warmup_linear",
    "whitespace_tokenize",
    "why_not_decoded",
    "wordpiece_tokenize",
]

class DefaultDevice:
    """
    Device of the parameters made in a scope.
    """
    def __enter__(self) -> None: ...
    def __exit__(self, *args) -> None: ...
    def __init__(self, device: torch.device) -> None: ...

class DeferredWeights:
    """
    New weights are filled later.
    """
    def __enter__(self) -> DeferredWeights: ...
    def __exit__(self, *args) -> None: ...
    def __init__(self) -> None: ...
    def fill(self, weights: collections.abc.Sequence[torch.Tensor]) -> None:
        """
        Fills those that no checkpoint has filled.
        """

class Linear(torch._C.cpp.nn.Module):
    pass

class Embedding(torch._C.cpp.nn.Module):
    pass

class Dropout(torch._C.cpp.nn.Module):
    pass

class Dropout2d(torch._C.cpp.nn.Module):
    pass

class Tanh(torch._C.cpp.nn.Module):
    pass

class ReLU(torch._C.cpp.nn.Module):
    pass

class Conv1D(torch._C.cpp.nn.Module):
    def __init__(
        self,
        out_features: typing.SupportsInt | typing.SupportsIndex,
        in_features: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def forward(self, x: torch.Tensor) -> typing.Any: ...

class BertLayerNorm(torch._C.cpp.nn.Module):
    pass

class ParameterList(torch._C.cpp.nn.Module):
    pass

class BertConfig:
    """
    Configuration as the core sees it.
    """
    @staticmethod
    def from_json(text: str) -> BertConfig: ...

class BertEmbeddings(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None
    ) -> typing.Any: ...

class BertSelfAttention(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertSelfOutput(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(self, hidden_states: torch.Tensor, input_tensor: torch.Tensor) -> typing.Any: ...

class BertAttention(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        input_tensor: torch.Tensor,
        attention_mask: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertIntermediate(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(self, hidden_states: torch.Tensor) -> typing.Any: ...

class BertOutput(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(self, hidden_states: torch.Tensor, input_tensor: torch.Tensor) -> typing.Any: ...

class BertLayer(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertEncoder(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        output_all_encoded_layers: bool,
        head_mask: typing.Any,
    ) -> typing.Any: ...

class BertPooler(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(self, hidden_states: torch.Tensor) -> typing.Any: ...

class BertModel(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        output_all_encoded_layers: bool,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertPredictionHeadTransform(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(self, hidden_states: torch.Tensor) -> typing.Any: ...

class BertLMPredictionHead(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig, embedding_weights: torch.Tensor) -> None: ...
    def forward(self, hidden_states: torch.Tensor) -> typing.Any: ...

class BertOnlyMLMHead(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig, embedding_weights: torch.Tensor) -> None: ...
    def forward(self, sequence_output: torch.Tensor) -> typing.Any: ...

class BertOnlyNSPHead(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(self, pooled_output: torch.Tensor) -> typing.Any: ...

class BertPreTrainingHeads(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig, embedding_weights: torch.Tensor) -> None: ...
    def forward(self, sequence_output: torch.Tensor, pooled_output: torch.Tensor) -> typing.Any: ...

class BertForPreTraining(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        masked_lm_labels: torch.Tensor | None,
        next_sentence_label: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertForMaskedLM(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        masked_lm_labels: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertForNextSentencePrediction(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        next_sentence_label: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertForSequenceClassification(torch._C.cpp.nn.Module):
    def __init__(
        self, config: BertConfig, num_labels: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        labels: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertForMultipleChoice(torch._C.cpp.nn.Module):
    def __init__(
        self, config: BertConfig, num_choices: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        labels: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertForTokenClassification(torch._C.cpp.nn.Module):
    def __init__(
        self, config: BertConfig, num_labels: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        labels: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class BertForQuestionAnswering(torch._C.cpp.nn.Module):
    def __init__(self, config: BertConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        start_positions: torch.Tensor | None,
        end_positions: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class OpenAIGPTConfig:
    """
    Configuration as the core sees it.
    """
    @staticmethod
    def from_json(text: str) -> OpenAIGPTConfig: ...
    @staticmethod
    def options() -> list[str]: ...

class OpenAIGPTAttention(torch._C.cpp.nn.Module):
    def __init__(
        self,
        nx: typing.SupportsInt | typing.SupportsIndex,
        n_ctx: typing.SupportsInt | typing.SupportsIndex,
        config: OpenAIGPTConfig,
        scale: bool,
    ) -> None: ...
    def forward(self, x: torch.Tensor, head_mask: torch.Tensor | None) -> typing.Any: ...

class OpenAIGPTMLP(torch._C.cpp.nn.Module):
    def __init__(
        self, n_state: typing.SupportsInt | typing.SupportsIndex, config: OpenAIGPTConfig
    ) -> None: ...
    def forward(self, x: torch.Tensor) -> typing.Any: ...

class OpenAIGPTBlock(torch._C.cpp.nn.Module):
    def __init__(
        self, n_ctx: typing.SupportsInt | typing.SupportsIndex, config: OpenAIGPTConfig, scale: bool
    ) -> None: ...
    def forward(self, x: torch.Tensor, head_mask: torch.Tensor | None) -> typing.Any: ...

class OpenAIGPTModel(torch._C.cpp.nn.Module):
    def __init__(self, config: OpenAIGPTConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class OpenAIGPTLMHead(torch._C.cpp.nn.Module):
    def __init__(self, model_embeddings_weights: torch.Tensor, config: OpenAIGPTConfig) -> None: ...
    def forward(self, hidden_state: torch.Tensor) -> typing.Any: ...

class OpenAIGPTMultipleChoiceHead(torch._C.cpp.nn.Module):
    def __init__(self, config: OpenAIGPTConfig) -> None: ...
    def forward(self, hidden_states: torch.Tensor, mc_token_ids: torch.Tensor) -> typing.Any: ...

class OpenAIGPTLMHeadModel(torch._C.cpp.nn.Module):
    def __init__(self, config: OpenAIGPTConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
        lm_labels: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class OpenAIGPTDoubleHeadsModel(torch._C.cpp.nn.Module):
    def __init__(self, config: OpenAIGPTConfig) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        mc_token_ids: torch.Tensor,
        lm_labels: torch.Tensor | None,
        mc_labels: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
        position_ids: torch.Tensor | None,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class GPT2Config:
    """
    Configuration as the core sees it.
    """
    @staticmethod
    def from_json(text: str) -> GPT2Config: ...
    @staticmethod
    def options() -> list[str]: ...

class GPT2Attention(torch._C.cpp.nn.Module):
    def __init__(
        self,
        nx: typing.SupportsInt | typing.SupportsIndex,
        n_ctx: typing.SupportsInt | typing.SupportsIndex,
        config: GPT2Config,
        scale: bool,
    ) -> None: ...
    def forward(
        self, x: torch.Tensor, layer_past: torch.Tensor | None, head_mask: torch.Tensor | None
    ) -> typing.Any: ...

class GPT2MLP(torch._C.cpp.nn.Module):
    def __init__(
        self, n_state: typing.SupportsInt | typing.SupportsIndex, config: GPT2Config
    ) -> None: ...
    def forward(self, x: torch.Tensor) -> typing.Any: ...

class GPT2Block(torch._C.cpp.nn.Module):
    def __init__(
        self, n_ctx: typing.SupportsInt | typing.SupportsIndex, config: GPT2Config, scale: bool
    ) -> None: ...
    def forward(
        self, x: torch.Tensor, layer_past: torch.Tensor | None, head_mask: torch.Tensor | None
    ) -> typing.Any: ...

class GPT2Model(torch._C.cpp.nn.Module):
    def __init__(self, config: GPT2Config) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
        past: typing.Any,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class GPT2LMHead(torch._C.cpp.nn.Module):
    def __init__(self, model_embeddings_weights: torch.Tensor, config: GPT2Config) -> None: ...
    def forward(self, hidden_state: torch.Tensor) -> typing.Any: ...

class GPT2MultipleChoiceHead(torch._C.cpp.nn.Module):
    def __init__(self, config: GPT2Config) -> None: ...
    def forward(self, hidden_states: torch.Tensor, mc_token_ids: torch.Tensor) -> typing.Any: ...

class GPT2LMHeadModel(torch._C.cpp.nn.Module):
    def __init__(self, config: GPT2Config) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
        lm_labels: torch.Tensor | None,
        past: typing.Any,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class GPT2DoubleHeadsModel(torch._C.cpp.nn.Module):
    def __init__(self, config: GPT2Config) -> None: ...
    def forward(
        self,
        input_ids: torch.Tensor,
        mc_token_ids: torch.Tensor,
        lm_labels: torch.Tensor | None,
        mc_labels: torch.Tensor | None,
        token_type_ids: torch.Tensor | None,
        position_ids: torch.Tensor | None,
        past: typing.Any,
        head_mask: torch.Tensor | None,
    ) -> typing.Any: ...

class PositionalEmbedding(torch._C.cpp.nn.Module):
    def __init__(self, demb: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    def forward(
        self, pos_seq: torch.Tensor, bsz: typing.SupportsInt | typing.SupportsIndex | None
    ) -> typing.Any: ...

class AdaptiveEmbedding(torch._C.cpp.nn.Module):
    def __init__(
        self,
        n_token: typing.SupportsInt | typing.SupportsIndex,
        d_embed: typing.SupportsInt | typing.SupportsIndex,
        d_proj: typing.SupportsInt | typing.SupportsIndex,
        cutoffs: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
        div_val: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def forward(self, inp: torch.Tensor) -> typing.Any: ...

class CoreNet(torch._C.cpp.nn.Module):
    pass

class PositionwiseFF(torch._C.cpp.nn.Module):
    def __init__(
        self,
        d_model: typing.SupportsInt | typing.SupportsIndex,
        d_inner: typing.SupportsInt | typing.SupportsIndex,
        dropout: typing.SupportsFloat | typing.SupportsIndex,
        pre_lnorm: bool,
        layer_norm_epsilon: typing.SupportsFloat | typing.SupportsIndex = 1e-12,
    ) -> None: ...
    def forward(self, inp: torch.Tensor) -> typing.Any: ...

class TransfoXLAttentionOptions:
    """
    Arguments of all kinds of attention.
    """
    def __init__(
        self,
        n_head: typing.SupportsInt | typing.SupportsIndex,
        d_model: typing.SupportsInt | typing.SupportsIndex,
        d_head: typing.SupportsInt | typing.SupportsIndex,
        dropout: typing.SupportsFloat | typing.SupportsIndex,
        dropatt: typing.SupportsFloat | typing.SupportsIndex,
        pre_lnorm: bool,
        r_r_bias: torch.Tensor | None,
        r_w_bias: torch.Tensor | None,
    ) -> None: ...

class MultiHeadAttn(torch._C.cpp.nn.Module):
    def __init__(self, options: TransfoXLAttentionOptions) -> None: ...
    def forward(
        self, h: torch.Tensor, attn_mask: torch.Tensor | None, mems: torch.Tensor | None
    ) -> typing.Any: ...

class RelPartialLearnableMultiHeadAttn(torch._C.cpp.nn.Module):
    def __init__(self, options: TransfoXLAttentionOptions) -> None: ...
    def forward(
        self,
        w: torch.Tensor,
        r: torch.Tensor,
        attn_mask: torch.Tensor | None,
        mems: torch.Tensor | None,
    ) -> typing.Any: ...

class RelLearnableMultiHeadAttn(torch._C.cpp.nn.Module):
    def __init__(self, options: TransfoXLAttentionOptions) -> None: ...
    def forward(
        self,
        w: torch.Tensor,
        r_emb: torch.Tensor,
        r_w_bias: torch.Tensor | None,
        r_bias: torch.Tensor,
        attn_mask: torch.Tensor | None,
        mems: torch.Tensor | None,
    ) -> typing.Any: ...

class DecoderLayer(torch._C.cpp.nn.Module):
    def __init__(
        self, options: TransfoXLAttentionOptions, d_inner: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def forward(
        self, dec_inp: torch.Tensor, dec_attn_mask: torch.Tensor | None, mems: torch.Tensor | None
    ) -> typing.Any: ...

class RelPartialLearnableDecoderLayer(torch._C.cpp.nn.Module):
    def __init__(
        self, options: TransfoXLAttentionOptions, d_inner: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def forward(
        self,
        dec_inp: torch.Tensor,
        r: torch.Tensor,
        dec_attn_mask: torch.Tensor | None,
        mems: torch.Tensor | None,
    ) -> typing.Any: ...

class RelLearnableDecoderLayer(torch._C.cpp.nn.Module):
    def __init__(
        self, options: TransfoXLAttentionOptions, d_inner: typing.SupportsInt | typing.SupportsIndex
    ) -> None: ...
    def forward(
        self,
        dec_inp: torch.Tensor,
        r_emb: torch.Tensor,
        r_w_bias: torch.Tensor | None,
        r_bias: torch.Tensor,
        dec_attn_mask: torch.Tensor | None,
        mems: torch.Tensor | None,
    ) -> typing.Any: ...

class ProjectedAdaptiveLogSoftmax(torch._C.cpp.nn.Module):
    def __init__(
        self,
        n_token: typing.SupportsInt | typing.SupportsIndex,
        d_embed: typing.SupportsInt | typing.SupportsIndex,
        d_proj: typing.SupportsInt | typing.SupportsIndex,
        cutoffs: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
        div_val: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def forward(self, hidden: torch.Tensor, target: torch.Tensor | None) -> typing.Any: ...

class LogUniformSampler:
    """
    Draws ids, the lower ones more often.
    """
    def __init__(
        self,
        range_max: typing.SupportsInt | typing.SupportsIndex,
        n_sample: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def sample(self, labels: torch.Tensor) -> tuple[typing.Any, typing.Any, typing.Any]: ...
    @property
    def dist(self) -> torch.Tensor: ...
    @property
    def log_q(self) -> torch.Tensor: ...

class TransfoXLConfig:
    """
    Configuration as the core sees it.
    """
    @staticmethod
    def from_json(text: str) -> TransfoXLConfig: ...

class TransfoXLModel(torch._C.cpp.nn.Module):
    def __init__(self, config: TransfoXLConfig) -> None: ...
    def forward(self, input_ids: torch.Tensor, mems: typing.Any) -> typing.Any: ...

class TransfoXLLMHeadModel(torch._C.cpp.nn.Module):
    def __init__(self, config: TransfoXLConfig) -> None: ...
    def forward(
        self, input_ids: torch.Tensor, target: torch.Tensor | None, mems: typing.Any
    ) -> typing.Any: ...

class Run:
    """
    Computes the forward pass of a node in C++, through its bridge.
    """
    def __call__(self, node: typing.Any, *args) -> typing.Any: ...
    def __init__(self) -> None: ...

class Bridge:
    """
    Connects a node to the C++ modules that compute it.
    """
    def __init__(self, node: typing.Any) -> None: ...
    def __reduce__(self) -> tuple[type, tuple]: ...

class HeadStatistics:
    """
    Entropy and importance of attention heads.
    """
    def __init__(self, layers: typing.SupportsInt | typing.SupportsIndex) -> None: ...
    def add_attentions(
        self,
        layer: typing.SupportsInt | typing.SupportsIndex,
        attentions: torch.Tensor,
        attention_mask: torch.Tensor | None,
    ) -> None: ...
    def add_outputs(
        self,
        layer: typing.SupportsInt | typing.SupportsIndex,
        outputs: torch.Tensor,
        gradients: torch.Tensor,
        attention_mask: torch.Tensor | None,
    ) -> None: ...
    def entropy(self) -> torch.Tensor: ...
    def importance(self, normalize_by_layer: bool, normalize_globally: bool) -> torch.Tensor: ...

class DecoderState:
    """
    What was computed of rows of tokens.
    """
    @property
    def tokens(self) -> list[list[int]]: ...

class Decoder:
    """
    Computes next-token scores.
    """
    def prefix(
        self, ids: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]
    ) -> DecoderState: ...
    @property
    def has_memory(self) -> bool: ...
    @property
    def vocabulary(self) -> int: ...
    @property
    def window(self) -> int: ...

class Generation:
    """
    Text being generated.
    """
    def __init__(
        self,
        decoder: Decoder,
        prompts: collections.abc.Sequence[
            collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]
        ],
        prefix: DecoderState | None,
        options: dict,
    ) -> None: ...
    def rows(self) -> list: ...
    def step(self) -> list[tuple[int, int, float]]: ...
    def stop(self, row: typing.SupportsInt | typing.SupportsIndex, reason: str) -> None: ...
    @property
    def done(self) -> bool: ...

class Vocabulary:
    """
    The tokens of a model and their ids.
    """
    @staticmethod
    def load(vocab_file: typing.Any) -> Vocabulary: ...
    def __init__(self, vocab: dict[str, int]) -> None: ...
    def __len__(self) -> int: ...
    def __repr__(self) -> str: ...
    def is_consecutive(self) -> bool: ...
    def items(self) -> list[tuple[str, int]]: ...
    def save(self, vocab_file: typing.Any) -> None: ...

class BasicTokenizer:
    """
    Splits text into words and punctuation.
    """
    def __init__(self, do_lower_case: bool, never_split: collections.abc.Iterable[str]) -> None: ...
    def tokenize(self, text: typing.Any) -> list[str]: ...

class WordpieceTokenizer:
    """
    Splits words into pieces.
    """
    def __init__(
        self,
        vocab: Vocabulary,
        unk_token: typing.Any,
        max_input_chars_per_word: typing.SupportsInt | typing.SupportsIndex,
    ) -> None: ...
    def tokenize(self, text: typing.Any) -> list[str]: ...

class BertTextEncoder:
    """
    Basic tokenization and WordPiece in one pass.
    """
    def __init__(self, basic: BasicTokenizer | None, wordpiece: WordpieceTokenizer) -> None: ...
    def encode(self, text: typing.Any) -> list[int]: ...
    def encode_batch(
        self,
        texts: collections.abc.Iterable[str],
        num_threads: typing.SupportsInt | typing.SupportsIndex,
    ) -> list[list[int]]: ...
    def encode_pair(
        self,
        text_a: typing.Any,
        text_b: typing.Any,
        max_length: typing.SupportsInt | typing.SupportsIndex | None,
    ) -> tuple[list[int], list[int]]: ...
    def encode_pairs(
        self,
        texts: collections.abc.Iterable[str],
        text_pairs: collections.abc.Iterable[str] | None,
        max_length: typing.SupportsInt | typing.SupportsIndex | None,
        num_threads: typing.SupportsInt | typing.SupportsIndex,
    ) -> tuple: ...
    def offsets(self, text: typing.Any) -> list[tuple[int, int]]: ...
    def tokenize(self, text: typing.Any) -> list[str]: ...

class GPT2Tokenizer:
    """
    Byte-level BPE.
    """
    @staticmethod
    def from_tables(encoder: dict[str, int], bpe_ranks: dict) -> GPT2Tokenizer: ...
    def __init__(self, vocab_file: typing.Any, merges_file: typing.Any) -> None: ...
    def bpe(self, token: typing.Any) -> list[str]: ...
    def decode(
        self,
        ids: collections.abc.Iterable[int],
        skip_special_tokens: bool,
        clean_up_tokenization_spaces: bool,
        errors: str,
    ) -> str: ...
    def encode(self, text: typing.Any) -> list[int]: ...
    def encode_batch(
        self,
        texts: collections.abc.Iterable[str],
        num_threads: typing.SupportsInt | typing.SupportsIndex,
    ) -> list[list[int]]: ...
    def encode_padded(
        self,
        texts: collections.abc.Iterable[str],
        max_length: typing.SupportsInt | typing.SupportsIndex | None,
        num_threads: typing.SupportsInt | typing.SupportsIndex,
    ) -> tuple: ...
    def encoder_items(self) -> list[tuple[str, int]]: ...
    def ids_to_tokens(
        self, ids: collections.abc.Iterable[int], skip_special_tokens: bool
    ) -> list[str]: ...
    def merges(self) -> list[tuple[tuple[str, str], int]]: ...
    def num_tokens(self) -> int: ...
    def offsets(self, text: typing.Any) -> list[tuple[int, int]]: ...
    def save_vocabulary(self, vocab_path: typing.Any) -> None: ...
    def text_of(
        self, joined: typing.Any, clean_up_tokenization_spaces: bool, errors: str
    ) -> str: ...
    def token_id(self, token: typing.Any) -> int: ...
    def tokenize(self, text: typing.Any) -> list[str]: ...
    def tokens_to_ids(self, tokens: collections.abc.Iterable[str]) -> list[int]: ...
    def with_special_tables(
        self, special_tokens: dict[str, int], special_tokens_decoder: dict[int, str]
    ) -> GPT2Tokenizer: ...
    def words(self, text: typing.Any) -> list[str]: ...

class OpenAIGPTTokenizer:
    """
    BPE of lower-cased words.
    """
    @staticmethod
    def from_tables(encoder: dict[str, int], bpe_ranks: dict) -> OpenAIGPTTokenizer: ...
    def __init__(self, vocab_file: typing.Any, merges_file: typing.Any) -> None: ...
    def bpe(self, token: typing.Any) -> list[str]: ...
    def decode(
        self,
        ids: collections.abc.Iterable[int],
        skip_special_tokens: bool,
        clean_up_tokenization_spaces: bool,
        errors: str,
    ) -> str: ...
    def encode(self, text: typing.Any) -> list[int]: ...
    def encode_batch(
        self,
        texts: collections.abc.Iterable[str],
        num_threads: typing.SupportsInt | typing.SupportsIndex,
    ) -> list[list[int]]: ...
    def encode_padded(
        self,
        texts: collections.abc.Iterable[str],
        max_length: typing.SupportsInt | typing.SupportsIndex | None,
        num_threads: typing.SupportsInt | typing.SupportsIndex,
    ) -> tuple: ...
    def encoder_items(self) -> list[tuple[str, int]]: ...
    def ids_to_tokens(
        self, ids: collections.abc.Iterable[int], skip_special_tokens: bool
    ) -> list[str]: ...
    def merges(self) -> list[tuple[tuple[str, str], int]]: ...
    def num_tokens(self) -> int: ...
    def offsets(self, text: typing.Any) -> list[tuple[int, int]]: ...
    def save_vocabulary(self, vocab_path: typing.Any) -> None: ...
    def text_of(
        self, joined: typing.Any, clean_up_tokenization_spaces: bool, errors: str
    ) -> str: ...
    def token_id(self, token: typing.Any) -> int: ...
    def tokenize(self, text: typing.Any) -> list[str]: ...
    def tokenize_words(self, words: collections.abc.Iterable[str]) -> list[str]: ...
    def tokens_to_ids(self, tokens: collections.abc.Iterable[str]) -> list[int]: ...
    def with_basic_tokenizer(self, basic_tokenizer: BasicTokenizer) -> OpenAIGPTTokenizer: ...
    def with_special_tables(
        self, special_tokens: dict[str, int], special_tokens_decoder: dict[int, str]
    ) -> OpenAIGPTTokenizer: ...

class LineFormat:
    """
    How a line is split into symbols.
    """
    def __init__(
        self, lower_case: bool, delimiter: typing.Any, add_eos: bool, add_double_eos: bool
    ) -> None: ...

class IndexedLines:
    """
    Lines as indices into a table of symbols.
    """
    @staticmethod
    def of_texts(
        texts: collections.abc.Iterable[str],
        format: LineFormat,
        num_threads: typing.SupportsInt | typing.SupportsIndex,
    ) -> IndexedLines: ...
    def __init__(self, path: typing.Any, format: LineFormat, progress: typing.Any) -> None: ...
    def __len__(self) -> int: ...
    def __repr__(self) -> str: ...
    def counts(self) -> dict[str, int]: ...
    def encode(
        self, ids: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]
    ) -> typing.Any:
        """
        The ids of all lines in one tensor; `ids` has the id of each symbol.
        """
    def encode_lines(
        self, ids: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]
    ) -> typing.Any:
        """
        A tensor of ids for each line; `ids` has the id of each symbol.
        """
    def first_line_of(self, index: typing.SupportsInt | typing.SupportsIndex) -> int: ...
    def id_lists(self, ids: list[int]) -> list[list[int]]:
        """
        A list of ids for each line; `ids` has the id of each symbol.
        """
    def sentences(self) -> list[list[str]]: ...
    def symbols(self) -> list[str]: ...

def assign_tf_variables(
    weights: dict,
    family: str,
    cutoffs: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
) -> dict:
    """
    The weights that are written to each variable of TensorFlow.
    """

def attributes(module: torch._C.cpp.nn.Module) -> dict:
    """
    The numbers and flags of a module that Python may set.
    """

def bert_adam_update(
    parameters: list,
    gradients: list,
    next_m: list,
    next_v: list,
    masters: list,
    rates: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex],
    b1: typing.SupportsFloat | typing.SupportsIndex,
    b2: typing.SupportsFloat | typing.SupportsIndex,
    e: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    max_grad_norm: typing.SupportsFloat | typing.SupportsIndex,
) -> None:
    """
    One step of BertAdam on the parameters of a group, in place.
    """

def buffers(module: torch._C.cpp.nn.Module) -> dict:
    """
    The buffers of a module as (tensor, persistent).
    """

def bytes_to_unicode() -> list[tuple[int, str]]:
    """
    Each byte and the character that represents it in GPT-2's files.
    """

def causal_weights(
    queries: torch.Tensor,
    keys: torch.Tensor,
    mask: torch.Tensor,
    scale: bool,
    masked: typing.SupportsFloat | typing.SupportsIndex,
) -> typing.Any:
    """
    Attention weights before dropout, [batch, heads, query, key].
    """

def check_lengths(
    tgt_len: typing.SupportsInt | typing.SupportsIndex,
    ext_len: typing.SupportsInt | typing.SupportsIndex,
    mem_len: typing.SupportsInt | typing.SupportsIndex,
) -> None:
    """
    Raises ValueError unless the lengths are possible.
    """

def clean_text(text: typing.Any) -> str:
    """
    Text without controls, and with plain spaces.
    """

def count_symbols(path: typing.Any, format: LineFormat, progress: typing.Any) -> dict[str, int]:
    """
    How often a file has each symbol, in the order of appearance.
    """

def enable_fast_paths(enabled: bool) -> None:
    """
    Allows or forbids fast paths; see ptbert.utils.
    """

def fast_paths_enabled() -> bool:
    """
    Whether fast paths are allowed.
    """

def gelu(x: torch.Tensor) -> typing.Any: ...
def gelu_tanh(x: torch.Tensor) -> typing.Any: ...
def is_chinese_char(code: typing.SupportsInt | typing.SupportsIndex) -> bool:
    """
    Whether BERT's basic tokenization makes a code point a word of its own.
    """

def is_control(code: typing.SupportsInt | typing.SupportsIndex) -> bool:
    """
    Whether BERT's text cleaning drops a code point.
    """

def is_punctuation(code: typing.SupportsInt | typing.SupportsIndex) -> bool:
    """
    Whether BERT splits words at a code point.
    """

def is_tf_checkpoint(path: os.PathLike | str | bytes) -> bool:
    """
    Whether a path names a TensorFlow checkpoint.
    """

def is_whitespace(code: typing.SupportsInt | typing.SupportsIndex) -> bool:
    """
    Whether BERT's text cleaning turns a code point into a space.
    """

def kind_of(module: torch._C.cpp.nn.Module) -> str:
    """
    The name of a C++ module's kind.
    """

def left_out_projections(model: dict, found: dict, family: str) -> dict:
    """
    Identity projections of a Transformer-XL, which TensorFlow leaves out.
    """

def list_tf_variables(path: os.PathLike | str | bytes) -> list:
    """
    Lists names, types and shapes in a TensorFlow checkpoint.
    """

def load_safetensors(path: os.PathLike | str | bytes) -> dict:
    """
    Reads a .safetensors file.
    """

def load_tf_variables(path: os.PathLike | str | bytes) -> dict:
    """
    Reads the variables of a TensorFlow checkpoint.
    """

def load_weights(model: dict, checkpoint: dict, family: str) -> tuple[list[str], list[str]]:
    """
    Copies a checkpoint into the tensors of a model; returns missing and unused names.
    """

def make_decoder(node: typing.Any, weights: str) -> Decoder: ...
def make_plain_decoder(
    forward: typing.Any,
    has_past: bool,
    window: typing.SupportsInt | typing.SupportsIndex,
    vocabulary: typing.SupportsInt | typing.SupportsIndex,
) -> Decoder: ...
def make_plain_transfo_xl_decoder(forward: typing.Any, config: TransfoXLConfig) -> Decoder: ...
def match_weights(model: dict, checkpoint: dict, family: str) -> tuple[dict, list[str], list[str]]:
    """
    Renames a checkpoint by the tensors of a model; returns it, missing and unused names.
    """

def openai_adam_update(
    parameters: list,
    gradients: list,
    exp_avg: list,
    exp_avg_sq: list,
    masters: list,
    rates: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex],
    steps: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
    b1: typing.SupportsFloat | typing.SupportsIndex,
    b2: typing.SupportsFloat | typing.SupportsIndex,
    e: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    vector_l2: bool,
    max_grad_norm: typing.SupportsFloat | typing.SupportsIndex,
) -> None:
    """
    One step of OpenAIAdam on the parameters of a group, in place.
    """

def pad_rows(
    rows: collections.abc.Sequence[
        collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]
    ],
) -> tuple[typing.Any, typing.Any]:
    """
    Ids padded with 0 [batch, length], and their attention mask.
    """

def parameter_list(list: ParameterList) -> list:
    """
    The parameters of a list; None for undefined ones.
    """

def pool_tokens(
    hidden_states: torch.Tensor, attention_mask: torch.Tensor, pooling: str
) -> torch.Tensor:
    """
    [batch, seq, hidden], [batch, seq] -> [batch, hidden]; see ptbert.embed.
    """

def read_first_words(vocab_file: typing.Any) -> list[str]:
    """
    The first word of every line, without repetitions.
    """

def read_pickled_attributes(path: os.PathLike | str | bytes) -> tuple[dict, list[str]]:
    """
    Reads a pickled dict of plain data; returns it and the names of what is none.
    """

def record_paths(run: collections.abc.Callable) -> list[tuple[str, str, str, int]]:
    """
    The choices of fast paths during `run()` as (step, path, reason, times); see ptbert.utils.explain.
    """

def register_activation(function: typing.Any, name: str) -> None:
    """
    Registers a Python function that C++ computes by the activation `name`.
    """

def register_kind(name: str, cls: typing.Any, forward: typing.Any, required: dict) -> None:
    """
    Registers the Python class of the nodes that C++ modules of a kind compute.
    """

def resized_embedding(
    weight: torch.Tensor,
    kept: typing.SupportsInt | typing.SupportsIndex,
    rows: typing.SupportsInt | typing.SupportsIndex,
    standard_deviation: typing.SupportsFloat | typing.SupportsIndex,
) -> typing.Any:
    """
    The first `kept` rows of an embedding's weight, and new ones up to `rows`.
    """

def sample_logits(
    vectors: torch.Tensor,
    bias: torch.Tensor,
    labels: torch.Tensor,
    inputs: torch.Tensor,
    true_log_probs: torch.Tensor,
    samp_log_probs: torch.Tensor,
    neg_samples: torch.Tensor,
) -> typing.Any:
    """
    Scores of labels and samples, [batch, seq, 1 + samples].
    """

def save_tf_weights(
    prefix: os.PathLike | str | bytes,
    weights: dict,
    family: str,
    cutoffs: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex],
) -> list[str]:
    """
    Writes a TensorFlow checkpoint; returns the names of weights it has no variable for.
    """

def score(
    decoder: Decoder,
    texts: collections.abc.Sequence[
        collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex]
    ],
    stride: typing.SupportsInt | typing.SupportsIndex,
    window: typing.SupportsInt | typing.SupportsIndex,
    batch_tokens: typing.SupportsInt | typing.SupportsIndex,
    on_progress: typing.Any,
) -> list[list[float]]: ...
def sort_tf_variables(variables: dict, family: str) -> tuple[dict, list[str], list[str], list[str]]:
    """
    Renames TensorFlow's variables; returns weights, the variable of each, variables of the training, and unknown ones.
    """

def split_into_heads(
    x: torch.Tensor,
    heads: typing.SupportsInt | typing.SupportsIndex,
    head_size: typing.SupportsInt | typing.SupportsIndex,
) -> typing.Any:
    """
    [batch, seq, heads * head_size] -> [batch, heads, seq, head_size]
    """

def split_line(
    line: typing.Any, lower_case: bool, delimiter: typing.Any, add_eos: bool, add_double_eos: bool
) -> list[str]:
    """
    The symbols of a line.
    """

def split_on_punctuation(text: typing.Any) -> list[str]:
    """
    Punctuation characters and the runs between them.
    """

def standardize_text(text: typing.Any) -> str:
    """
    GPT's clean-up of text before spaCy.
    """

def strip_accents(text: typing.Any) -> str:
    """
    Decomposed text without nonspacing marks.
    """

def swish(x: torch.Tensor) -> typing.Any: ...
def tf_family(variables: collections.abc.Sequence[str]) -> str:
    """
    The family that knows most of these variables; empty if none knows any.
    """

def to_lower(text: typing.Any) -> str:
    """
    Text in lower case.
    """

def to_unit_length(vectors: torch.Tensor) -> torch.Tensor:
    """
    [*, hidden] -> the same with a length of 1.
    """

def tokenize_chinese_chars(text: typing.Any) -> str:
    """
    Text with spaces around CJK ideographs.
    """

def use_product_library(library: str) -> None:
    """
    Makes linear layers use a library; see ptbert.utils.
    """

def warmup_constant(
    progress: typing.SupportsFloat | typing.SupportsIndex,
    warmup: typing.SupportsFloat | typing.SupportsIndex,
) -> float: ...
def warmup_cosine(
    progress: typing.SupportsFloat | typing.SupportsIndex,
    warmup: typing.SupportsFloat | typing.SupportsIndex,
    cycles: typing.SupportsFloat | typing.SupportsIndex,
) -> float: ...
def warmup_cosine_with_hard_restarts(
    progress: typing.SupportsFloat | typing.SupportsIndex,
    warmup: typing.SupportsFloat | typing.SupportsIndex,
    cycles: typing.SupportsFloat | typing.SupportsIndex,
) -> float: ...
def warmup_cosine_with_warmup_restarts(
    progress: typing.SupportsFloat | typing.SupportsIndex,
    warmup: typing.SupportsFloat | typing.SupportsIndex,
    cycles: typing.SupportsFloat | typing.SupportsIndex,
) -> float: ...
def warmup_linear(
    progress: typing.SupportsFloat | typing.SupportsIndex,
    warmup: typing.SupportsFloat | typing.SupportsIndex,
) -> float: ...
def whitespace_tokenize(text: typing.Any) -> list[str]:
    """
    The words of a text, as str.split makes them.
    """

def why_not_decoded(node: typing.Any) -> str | None:
    """
    Why a model has no decoder of its own; None if it has.
    """

def wordpiece_tokenize(
    text: typing.Any,
    vocab: typing.Any,
    unk_token: typing.Any,
    max_input_chars_per_word: typing.SupportsInt | typing.SupportsIndex,
) -> list[str]:
    """
    WordPiece with any Python container as the vocabulary; holds the GIL.
    """

GPT2_PATTERN: str = (
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
)
torch_version: str = "2.13.0"
