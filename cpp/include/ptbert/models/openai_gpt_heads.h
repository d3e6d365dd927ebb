#pragma once

#include "ptbert/models/openai_gpt.h"

/// The heads on OpenAI GPT's trunk. Shapes and arguments as in openai_gpt.h; vocab = rows of the
/// token embeddings, or config.vocab_size where special tokens are not predicted; choices =
/// continuations among which the multiple-choice head chooses.
///
/// `lm_labels` have the shape of `input_ids`: the label at a position is predicted from the
/// position before; -1 is not counted. Losses are means of cross-entropies. A model that is given
/// labels computes losses only: logits are undefined, and are made for labelled positions only.

namespace ptbert {

/// Scores of every token of the vocabulary; the decoder's weight is tied to the token embeddings.
class OpenAIGPTLMHeadImpl : public Module<OpenAIGPTLMHeadImpl, Tensor(const Tensor&)> {
public:
  /// `model_embeddings_weights` [vocab, width] is shared, not copied.
  OpenAIGPTLMHeadImpl(const Tensor& model_embeddings_weights, const OpenAIGPTConfig& config);
  /// [*, width] -> [*, vocab]
  Tensor forward(const Tensor& hidden_state);
  /// Ties the decoder to other embeddings.
  void set_embeddings_weights(const Tensor& model_embeddings_weights,
                              bool predict_special_tokens = true);

  OpenAIGPTConfig config;
  Linear decoder{nullptr};
  int64_t vocab_size;
  bool predict_special_tokens;
};
PTBERT_MODULE(OpenAIGPTLMHead);

/// A score for each choice, from the hidden state of one of its tokens.
class OpenAIGPTMultipleChoiceHeadImpl
    : public Module<OpenAIGPTMultipleChoiceHeadImpl, Tensor(const Tensor&, const Tensor&)> {
public:
  explicit OpenAIGPTMultipleChoiceHeadImpl(const OpenAIGPTConfig& config);
  /// [batch, choices, seq, width], token positions [batch, choices] -> [batch, choices]
  Tensor forward(const Tensor& hidden_states, const Tensor& mc_token_ids);
  /// [batch, choices, width] -> [batch, choices]
  Tensor score(const Tensor& chosen_states);

  OpenAIGPTConfig config;
  Dropout2d dropout{nullptr};
  Linear linear{nullptr};
};
PTBERT_MODULE(OpenAIGPTMultipleChoiceHead);

struct OpenAIGPTLMOutput {
  /// Undefined without labels.
  Tensor loss;
  /// [*, seq, vocab]; undefined when there is a loss, as are the others.
  Tensor logits;
  /// As in OpenAIGPTModelOutput.
  std::vector<Tensor> attentions;
};

/// OpenAI GPT with the language-model head.
class OpenAIGPTLMHeadModelImpl
    : public Module<OpenAIGPTLMHeadModelImpl,
                    OpenAIGPTLMOutput(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                      const Tensor&)> {
public:
  explicit OpenAIGPTLMHeadModelImpl(const OpenAIGPTConfig& config, AttentionOptions options = {});
  OpenAIGPTLMOutput forward(const Tensor& input_ids, const Tensor& position_ids = {},
                            const Tensor& token_type_ids = {}, const Tensor& lm_labels = {},
                            const Tensor& head_mask = {});
  /// OpenAIGPTModel::set_num_special_tokens(), and the head tied again.
  void set_num_special_tokens(int64_t num_special_tokens, bool predict_special_tokens = true);

  OpenAIGPTConfig config;
  OpenAIGPTModel transformer{nullptr};
  OpenAIGPTLMHead lm_head{nullptr};
};
PTBERT_MODULE(OpenAIGPTLMHeadModel);

struct OpenAIGPTDoubleHeadsOutput {
  /// Undefined without the labels of each.
  Tensor lm_loss, mc_loss;
  /// [batch, choices, seq, vocab]; undefined when there is a loss, as are the others.
  Tensor lm_logits;
  /// [batch, choices]
  Tensor mc_logits;
  /// As in OpenAIGPTModelOutput.
  std::vector<Tensor> attentions;
};

/// OpenAI GPT with the language-model head and the multiple-choice head.
class OpenAIGPTDoubleHeadsModelImpl
    : public Module<OpenAIGPTDoubleHeadsModelImpl,
                    OpenAIGPTDoubleHeadsOutput(const Tensor&, const Tensor&, const Tensor&,
                                               const Tensor&, const Tensor&, const Tensor&,
                                               const Tensor&)> {
public:
  explicit OpenAIGPTDoubleHeadsModelImpl(const OpenAIGPTConfig& config,
                                         AttentionOptions options = {});
  /// `input_ids` [batch, choices, seq]; `mc_token_ids` [batch, choices]: the position of the token
  /// that the multiple-choice head reads; `mc_labels` [batch]: the right choice.
  OpenAIGPTDoubleHeadsOutput forward(const Tensor& input_ids, const Tensor& mc_token_ids,
                                     const Tensor& lm_labels = {}, const Tensor& mc_labels = {},
                                     const Tensor& token_type_ids = {},
                                     const Tensor& position_ids = {}, const Tensor& head_mask = {});
  /// OpenAIGPTModel::set_num_special_tokens(), and the head tied again.
  void set_num_special_tokens(int64_t num_special_tokens, bool predict_special_tokens = true);

  OpenAIGPTConfig config;
  OpenAIGPTModel transformer{nullptr};
  OpenAIGPTLMHead lm_head{nullptr};
  OpenAIGPTMultipleChoiceHead multiple_choice_head{nullptr};
};
PTBERT_MODULE(OpenAIGPTDoubleHeadsModel);

} // namespace ptbert
