#pragma once

#include "ptbert/models/gpt2.h"

/// The heads on GPT-2's trunk. Shapes and arguments as in gpt2.h; vocab = rows of the token
/// embeddings, or config.vocab_size where special tokens are not predicted; choices = continuations
/// among which the multiple-choice head chooses.
///
/// `lm_labels` have the shape of `input_ids`: the label at a position is predicted from the
/// position before; -1 is not counted. Losses are means of cross-entropies. A model that is given
/// labels computes losses only: logits are undefined, and are made for labelled positions only.

namespace ptbert {

/// Scores of every token of the vocabulary; the decoder's weight is tied to the token embeddings.
class GPT2LMHeadImpl : public Module<GPT2LMHeadImpl, Tensor(const Tensor&)> {
public:
  /// `model_embeddings_weights` [vocab, width] is shared, not copied.
  GPT2LMHeadImpl(const Tensor& model_embeddings_weights, const GPT2Config& config);
  /// [*, width] -> [*, vocab]
  Tensor forward(const Tensor& hidden_state);
  /// Ties the decoder to other embeddings.
  void set_embeddings_weights(const Tensor& model_embeddings_weights,
                              bool predict_special_tokens = true);

  GPT2Config config;
  Linear decoder{nullptr};
  int64_t vocab_size;
  bool predict_special_tokens;
};
PTBERT_MODULE(GPT2LMHead);

/// A score for each choice, from the hidden state of one of its tokens.
class GPT2MultipleChoiceHeadImpl
    : public Module<GPT2MultipleChoiceHeadImpl, Tensor(const Tensor&, const Tensor&)> {
public:
  explicit GPT2MultipleChoiceHeadImpl(const GPT2Config& config);
  /// [batch, choices, seq, width], token positions [batch, choices] -> [batch, choices]
  Tensor forward(const Tensor& hidden_states, const Tensor& mc_token_ids);
  /// [batch, choices, width] -> [batch, choices]
  Tensor score(const Tensor& chosen_states);

  GPT2Config config;
  Dropout2d dropout{nullptr};
  Linear linear{nullptr};
};
PTBERT_MODULE(GPT2MultipleChoiceHead);

struct GPT2LMOutput {
  /// Undefined without labels.
  Tensor loss;
  /// [*, seq, vocab]; undefined when there is a loss, as are the others.
  Tensor logits;
  /// As in GPT2ModelOutput.
  std::vector<Tensor> presents, attentions;
};

/// GPT-2 with the language-model head.
class GPT2LMHeadModelImpl
    : public Module<GPT2LMHeadModelImpl,
                    GPT2LMOutput(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                 const std::vector<Tensor>&, const Tensor&)> {
public:
  explicit GPT2LMHeadModelImpl(const GPT2Config& config, AttentionOptions options = {});
  GPT2LMOutput forward(const Tensor& input_ids, const Tensor& position_ids = {},
                       const Tensor& token_type_ids = {}, const Tensor& lm_labels = {},
                       const std::vector<Tensor>& past = {}, const Tensor& head_mask = {});
  /// GPT2Model::set_num_special_tokens(), and the head tied again.
  void set_num_special_tokens(int64_t num_special_tokens, bool predict_special_tokens = true);

  GPT2Config config;
  GPT2Model transformer{nullptr};
  GPT2LMHead lm_head{nullptr};
};
PTBERT_MODULE(GPT2LMHeadModel);

struct GPT2DoubleHeadsOutput {
  /// Undefined without the labels of each.
  Tensor lm_loss, mc_loss;
  /// [batch, choices, seq, vocab]; undefined when there is a loss, as are the others.
  Tensor lm_logits;
  /// [batch, choices]
  Tensor mc_logits;
  /// As in GPT2ModelOutput.
  std::vector<Tensor> presents, attentions;
};

/// GPT-2 with the language-model head and the multiple-choice head.
class GPT2DoubleHeadsModelImpl
    : public Module<GPT2DoubleHeadsModelImpl,
                    GPT2DoubleHeadsOutput(const Tensor&, const Tensor&, const Tensor&,
                                          const Tensor&, const Tensor&, const Tensor&,
                                          const std::vector<Tensor>&, const Tensor&)> {
public:
  explicit GPT2DoubleHeadsModelImpl(const GPT2Config& config, AttentionOptions options = {});
  /// `input_ids` [batch, choices, seq]; `mc_token_ids` [batch, choices]: the position of the token
  /// that the multiple-choice head reads; `mc_labels` [batch]: the right choice.
  GPT2DoubleHeadsOutput forward(const Tensor& input_ids, const Tensor& mc_token_ids,
                                const Tensor& lm_labels = {}, const Tensor& mc_labels = {},
                                const Tensor& token_type_ids = {}, const Tensor& position_ids = {},
                                const std::vector<Tensor>& past = {}, const Tensor& head_mask = {});
  /// GPT2Model::set_num_special_tokens(), and the head tied again.
  void set_num_special_tokens(int64_t num_special_tokens, bool predict_special_tokens = true);

  GPT2Config config;
  GPT2Model transformer{nullptr};
  GPT2LMHead lm_head{nullptr};
  GPT2MultipleChoiceHead multiple_choice_head{nullptr};
};
PTBERT_MODULE(GPT2DoubleHeadsModel);

} // namespace ptbert
