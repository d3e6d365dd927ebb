#pragma once

#include "ptbert/models/bert.h"

/// The heads on BERT's trunk. Shapes and masks as in bert.h; vocab = config.vocab_size.
///
/// `forward` of every model takes the inputs of BertModel, its labels and `head_mask`; `loss` of
/// the result is undefined without labels. Losses are means of cross-entropies.
///
/// Models whose loss counts some tokens only (pre-training, masked LM, token classification) leave
/// the scores undefined when labels are given, so that they need not compute them for all tokens.

namespace ptbert {

/// Dense layer, activation and LayerNorm before the decoder.
class BertPredictionHeadTransformImpl
    : public Module<BertPredictionHeadTransformImpl, Tensor(const Tensor&)> {
public:
  explicit BertPredictionHeadTransformImpl(const BertConfig& config);
  /// [*, hidden] -> [*, hidden]
  Tensor forward(const Tensor& hidden_states);

  BertConfig config;
  Linear dense{nullptr};
  Activation transform_act_fn;
  BertLayerNorm layer_norm{nullptr};
};
PTBERT_MODULE(BertPredictionHeadTransform);

/// Scores of every token of the vocabulary; the decoder's weight is tied to the word embeddings.
class BertLMPredictionHeadImpl : public Module<BertLMPredictionHeadImpl, Tensor(const Tensor&)> {
public:
  /// `embedding_weights` [vocab, hidden] is shared, not copied.
  BertLMPredictionHeadImpl(const BertConfig& config, const Tensor& embedding_weights);
  /// [*, hidden] -> [*, vocab]
  Tensor forward(const Tensor& hidden_states);

  BertConfig config;
  BertPredictionHeadTransform transform{nullptr};
  Linear decoder{nullptr};
  Tensor bias;
};
PTBERT_MODULE(BertLMPredictionHead);

/// Wraps BertLMPredictionHead as `predictions`, so that keys are those of checkpoints.
class BertOnlyMLMHeadImpl : public Module<BertOnlyMLMHeadImpl, Tensor(const Tensor&)> {
public:
  BertOnlyMLMHeadImpl(const BertConfig& config, const Tensor& embedding_weights);
  /// [*, hidden] -> [*, vocab]
  Tensor forward(const Tensor& sequence_output);

  BertConfig config;
  BertLMPredictionHead predictions{nullptr};
};
PTBERT_MODULE(BertOnlyMLMHead);

/// The next-sentence head: class 0 "is the next sentence", class 1 "is not".
class BertOnlyNSPHeadImpl : public Module<BertOnlyNSPHeadImpl, Tensor(const Tensor&)> {
public:
  explicit BertOnlyNSPHeadImpl(const BertConfig& config);
  /// [batch, hidden] -> [batch, 2]
  Tensor forward(const Tensor& pooled_output);

  BertConfig config;
  Linear seq_relationship{nullptr};
};
PTBERT_MODULE(BertOnlyNSPHead);

struct BertPreTrainingScores {
  /// [batch, seq, vocab], or [count, vocab] for [count, hidden]
  Tensor prediction_scores;
  /// [batch, 2]
  Tensor seq_relationship_score;
};

/// Both heads of pre-training.
class BertPreTrainingHeadsImpl
    : public Module<BertPreTrainingHeadsImpl, BertPreTrainingScores(const Tensor&, const Tensor&)> {
public:
  BertPreTrainingHeadsImpl(const BertConfig& config, const Tensor& embedding_weights);
  /// [batch, seq, hidden] or [count, hidden], [batch, hidden]
  BertPreTrainingScores forward(const Tensor& sequence_output, const Tensor& pooled_output);

  BertConfig config;
  BertLMPredictionHead predictions{nullptr};
  Linear seq_relationship{nullptr};
};
PTBERT_MODULE(BertPreTrainingHeads);

struct BertForPreTrainingOutput {
  /// Sum of both losses; undefined unless both labels are given.
  Tensor loss;
  /// Undefined when there is a loss.
  BertPreTrainingScores scores;
  /// As in BertModelOutput.
  std::vector<Tensor> attentions;
};

/// BERT with both heads of pre-training.
class BertForPreTrainingImpl
    : public Module<BertForPreTrainingImpl,
                    BertForPreTrainingOutput(const Tensor&, const Tensor&, const Tensor&,
                                             const Tensor&, const Tensor&, const Tensor&)> {
public:
  explicit BertForPreTrainingImpl(const BertConfig& config, AttentionOptions options = {});
  /// `masked_lm_labels` [batch, seq], token ids or -1 (not counted); `next_sentence_label` [batch],
  /// 0, 1 or -1 (not counted).
  BertForPreTrainingOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                                   const Tensor& attention_mask = {},
                                   const Tensor& masked_lm_labels = {},
                                   const Tensor& next_sentence_label = {},
                                   const Tensor& head_mask = {});

  BertConfig config;
  BertModel bert{nullptr};
  BertPreTrainingHeads cls{nullptr};
};
PTBERT_MODULE(BertForPreTraining);

struct BertHeadOutput {
  /// Undefined without labels.
  Tensor loss;
  /// Scores per token (masked LM, token classification) are undefined when there is a loss.
  Tensor logits;
  /// As in BertModelOutput.
  std::vector<Tensor> attentions;
};

/// Base of models that take one tensor of labels.
template <typename Derived>
using LabelledModule = Module<Derived, BertHeadOutput(const Tensor&, const Tensor&, const Tensor&,
                                                      const Tensor&, const Tensor&)>;

/// BERT with the masked-LM head.
class BertForMaskedLMImpl : public LabelledModule<BertForMaskedLMImpl> {
public:
  explicit BertForMaskedLMImpl(const BertConfig& config, AttentionOptions options = {});
  /// `masked_lm_labels` [batch, seq], token ids or -1 (not counted); logits [batch, seq, vocab].
  BertHeadOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                         const Tensor& attention_mask = {}, const Tensor& masked_lm_labels = {},
                         const Tensor& head_mask = {});

  BertConfig config;
  BertModel bert{nullptr};
  BertOnlyMLMHead cls{nullptr};
};
PTBERT_MODULE(BertForMaskedLM);

/// BERT with the next-sentence head.
class BertForNextSentencePredictionImpl : public LabelledModule<BertForNextSentencePredictionImpl> {
public:
  explicit BertForNextSentencePredictionImpl(const BertConfig& config,
                                             AttentionOptions options = {});
  /// `next_sentence_label` [batch], 0, 1 or -1 (not counted); logits [batch, 2].
  BertHeadOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                         const Tensor& attention_mask = {}, const Tensor& next_sentence_label = {},
                         const Tensor& head_mask = {});

  BertConfig config;
  BertModel bert{nullptr};
  BertOnlyNSPHead cls{nullptr};
};
PTBERT_MODULE(BertForNextSentencePrediction);

/// BERT with a classifier on the pooled output.
class BertForSequenceClassificationImpl : public LabelledModule<BertForSequenceClassificationImpl> {
public:
  explicit BertForSequenceClassificationImpl(const BertConfig& config, int64_t num_labels = 2,
                                             AttentionOptions options = {});
  /// `labels` [batch] in [0, num_labels); logits [batch, num_labels].
  BertHeadOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                         const Tensor& attention_mask = {}, const Tensor& labels = {},
                         const Tensor& head_mask = {});

  BertConfig config;
  int64_t num_labels;
  BertModel bert{nullptr};
  Dropout dropout{nullptr};
  Linear classifier{nullptr};
};
PTBERT_MODULE(BertForSequenceClassification);

/// BERT with a score for each of several choices.
class BertForMultipleChoiceImpl : public LabelledModule<BertForMultipleChoiceImpl> {
public:
  explicit BertForMultipleChoiceImpl(const BertConfig& config, int64_t num_choices = 2,
                                     AttentionOptions options = {});
  /// Inputs [batch, choices, seq]; `labels` [batch] in [0, num_choices); logits [batch, choices].
  BertHeadOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                         const Tensor& attention_mask = {}, const Tensor& labels = {},
                         const Tensor& head_mask = {});

  BertConfig config;
  int64_t num_choices;
  BertModel bert{nullptr};
  Dropout dropout{nullptr};
  Linear classifier{nullptr};
};
PTBERT_MODULE(BertForMultipleChoice);

/// BERT with a classifier on every token.
class BertForTokenClassificationImpl : public LabelledModule<BertForTokenClassificationImpl> {
public:
  explicit BertForTokenClassificationImpl(const BertConfig& config, int64_t num_labels = 2,
                                          AttentionOptions options = {});
  /// `labels` [batch, seq] in [0, num_labels); positions where `attention_mask` is not 1 are not
  /// counted. Logits [batch, seq, num_labels].
  BertHeadOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                         const Tensor& attention_mask = {}, const Tensor& labels = {},
                         const Tensor& head_mask = {});

  BertConfig config;
  int64_t num_labels;
  BertModel bert{nullptr};
  Dropout dropout{nullptr};
  Linear classifier{nullptr};
};
PTBERT_MODULE(BertForTokenClassification);

struct BertForQuestionAnsweringOutput {
  /// Mean of the losses of start and end; undefined unless both positions are given.
  Tensor loss;
  /// [batch, seq]
  Tensor start_logits, end_logits;
  /// As in BertModelOutput.
  std::vector<Tensor> attentions;
};

/// BERT with scores for the start and the end of an answer at every token.
class BertForQuestionAnsweringImpl
    : public Module<BertForQuestionAnsweringImpl,
                    BertForQuestionAnsweringOutput(const Tensor&, const Tensor&, const Tensor&,
                                                   const Tensor&, const Tensor&, const Tensor&)> {
public:
  explicit BertForQuestionAnsweringImpl(const BertConfig& config, AttentionOptions options = {});
  /// `start_positions`, `end_positions` [batch]: clamped to [0, seq]; a position of seq is not
  /// counted.
  BertForQuestionAnsweringOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                                         const Tensor& attention_mask = {},
                                         const Tensor& start_positions = {},
                                         const Tensor& end_positions = {},
                                         const Tensor& head_mask = {});

  BertConfig config;
  BertModel bert{nullptr};
  Linear qa_outputs{nullptr};
};
PTBERT_MODULE(BertForQuestionAnswering);

} // namespace ptbert
