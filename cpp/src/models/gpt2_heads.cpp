#include "ptbert/models/gpt2_heads.h"

#include "checks.h"
#include "losses.h"
#include "ptbert/models/initial_weights.h"
#include "ptbert/speed/fast_paths.h"
#include "speed/readable_values.h"

namespace ptbert {
namespace {

/// The losses of a double-heads model from the hidden states that they need, or std::nullopt if the
/// trunk must be computed as a whole. `lm_labels` or `mc_labels` may be undefined.
std::optional<GPT2DoubleHeadsOutput>
losses_at_positions(GPT2DoubleHeadsModelImpl& model, const Tensor& input_ids,
                    const Tensor& mc_token_ids, const Tensor& lm_labels, const Tensor& mc_labels,
                    const Tensor& token_type_ids, const Tensor& position_ids,
                    const std::vector<Tensor>& past, const Tensor& head_mask) {
  if (!fast_paths_enabled() || !has_readable_values(input_ids) ||
      model.lm_head->exposes_internals() || model.multiple_choice_head->exposes_internals())
    return std::nullopt;
  std::vector<Tensor> positions; // of the LM labels, then of the choices
  Tensor labels;
  if (lm_labels.defined()) {
    positions.emplace_back();
    std::tie(positions.back(), labels) = predicting_positions(lm_labels);
    if (labels.size(0) == 0)
      return std::nullopt;
  }
  if (mc_labels.defined()) {
    const auto rows = torch::arange(mc_token_ids.numel()) * input_ids.size(-1);
    positions.push_back(rows + mc_token_ids.flatten()); // [batch, choices] -> [batch * choices]
  }
  const auto states = model.transformer->forward_at_positions(
      input_ids, position_ids, token_type_ids, past, head_mask, torch::cat(positions));
  if (!states)
    return std::nullopt;
  GPT2DoubleHeadsOutput output;
  if (lm_labels.defined()) {
    output.lm_loss =
        language_model_loss(model.lm_head, states->narrow(0, 0, labels.size(0)), labels);
  }
  if (mc_labels.defined()) {
    const auto chosen =
        states->narrow(0, states->size(0) - mc_token_ids.numel(), mc_token_ids.numel());
    const auto logits = model.multiple_choice_head->score(
        chosen.view({input_ids.size(0), input_ids.size(1), -1})); // -> [batch, choices, width]
    output.mc_loss = multiple_choice_loss(logits, mc_labels);
  }
  return output;
}

} // namespace

GPT2LMHeadImpl::GPT2LMHeadImpl(const Tensor& model_embeddings_weights, const GPT2Config& config)
    : config(config), vocab_size(config.vocab_size),
      predict_special_tokens(config.predict_special_tokens) {
  own_attribute("vocab_size", vocab_size);
  own_attribute("predict_special_tokens", predict_special_tokens);
  decoder = register_module("decoder", Linear(model_embeddings_weights.size(1),
                                              model_embeddings_weights.size(0),
                                              /*with_bias=*/false));
  decoder->bind("weight", model_embeddings_weights);
}

Tensor GPT2LMHeadImpl::forward(const Tensor& hidden_state) {
  const auto logits = decoder(hidden_state);
  return predict_special_tokens ? logits : logits.slice(-1, 0, vocab_size);
}

void GPT2LMHeadImpl::set_embeddings_weights(const Tensor& model_embeddings_weights,
                                            bool predict_special) {
  predict_special_tokens = predict_special;
  decoder->bind("weight", model_embeddings_weights);
}

GPT2MultipleChoiceHeadImpl::GPT2MultipleChoiceHeadImpl(const GPT2Config& config) : config(config) {
  dropout = register_module("dropout", Dropout2d(config.resid_pdrop));
  linear = register_module("linear", Linear(config.n_embd, 1));
  if (linear->weight.is_meta())
    return;
  draw_normal(linear->weight, 0, 0.02);
  draw_normal(linear->bias, 0, 1); // as in 2019; models set it to zero afterwards
}

Tensor GPT2MultipleChoiceHeadImpl::forward(const Tensor& hidden_states,
                                           const Tensor& mc_token_ids) {
  check_choice_states(hidden_states, mc_token_ids);
  const auto index =
      mc_token_ids.to(torch::kLong)
          .unsqueeze(-1)
          .unsqueeze(-1)
          .expand_symint({-1, -1, -1, hidden_states.sym_size(-1)}); // -> [batch, choices, 1, width]
  return score(hidden_states.gather(2, index).squeeze(2));          // -> [batch, choices, width]
}

Tensor GPT2MultipleChoiceHeadImpl::score(const Tensor& chosen_states) {
  // A feature is dropped in all choices or in none.
  // [batch, choices, width] -> [batch, width, choices] and back
  const auto kept = dropout(chosen_states.transpose(1, 2)).transpose(1, 2);
  return linear(kept).squeeze(-1); // [batch, choices, width] -> [batch, choices]
}

GPT2LMHeadModelImpl::GPT2LMHeadModelImpl(const GPT2Config& config, AttentionOptions options)
    : config(config) {
  transformer = register_module("transformer", GPT2Model(config, options));
  lm_head = register_module("lm_head", GPT2LMHead(transformer->wte->weight, config));
  init_bert_weights(*this, config.initializer_range);
}

GPT2LMOutput GPT2LMHeadModelImpl::forward(const Tensor& input_ids, const Tensor& position_ids,
                                          const Tensor& token_type_ids, const Tensor& lm_labels,
                                          const std::vector<Tensor>& past,
                                          const Tensor& head_mask) {
  GPT2LMOutput output;
  if (lm_labels.defined()) {
    check_ids_of_rows("input_ids", input_ids);
    check_token_labels("lm_labels", lm_labels, input_ids);
    if (fast_paths_enabled() && has_readable_values(lm_labels) && !lm_head->exposes_internals()) {
      const auto [positions, labels] = predicting_positions(lm_labels);
      const auto states =
          labels.size(0) == 0
              ? std::nullopt
              : transformer->forward_at_positions(input_ids, position_ids, token_type_ids, past,
                                                  head_mask, positions);
      if (states) {
        output.loss = language_model_loss(lm_head, *states, labels);
        return output;
      }
    }
  }
  auto trunk = transformer(input_ids, position_ids, token_type_ids, past, head_mask);
  const auto logits = lm_head(trunk.hidden_states.back());
  if (lm_labels.defined()) {
    output.loss = next_token_loss(logits, lm_labels);
    return output;
  }
  return {.logits = logits, .presents = trunk.presents, .attentions = trunk.attentions};
}

void GPT2LMHeadModelImpl::set_num_special_tokens(int64_t num_special_tokens,
                                                 bool predict_special_tokens) {
  transformer->set_num_special_tokens(num_special_tokens);
  config.predict_special_tokens = transformer->config.predict_special_tokens =
      predict_special_tokens;
  lm_head->set_embeddings_weights(transformer->wte->weight, predict_special_tokens);
}

GPT2DoubleHeadsModelImpl::GPT2DoubleHeadsModelImpl(const GPT2Config& config,
                                                   AttentionOptions options)
    : config(config) {
  transformer = register_module("transformer", GPT2Model(config, options));
  lm_head = register_module("lm_head", GPT2LMHead(transformer->wte->weight, config));
  multiple_choice_head = register_module("multiple_choice_head", GPT2MultipleChoiceHead(config));
  init_bert_weights(*this, config.initializer_range);
}

GPT2DoubleHeadsOutput
GPT2DoubleHeadsModelImpl::forward(const Tensor& input_ids, const Tensor& mc_token_ids,
                                  const Tensor& lm_labels, const Tensor& mc_labels,
                                  const Tensor& token_type_ids, const Tensor& position_ids,
                                  const std::vector<Tensor>& past, const Tensor& head_mask) {
  check_choices(input_ids);
  check_choice_positions(mc_token_ids, input_ids);
  if (lm_labels.defined())
    check_token_labels("lm_labels", lm_labels, input_ids);
  if (mc_labels.defined())
    check_sequence_labels("mc_labels", mc_labels, input_ids.sym_size(0));
  if (lm_labels.defined() || mc_labels.defined()) {
    if (const auto losses =
            losses_at_positions(*this, input_ids, mc_token_ids, lm_labels, mc_labels,
                                token_type_ids, position_ids, past, head_mask))
      return *losses;
  }
  auto trunk = transformer(input_ids, position_ids, token_type_ids, past, head_mask);
  const auto lm_logits = lm_head(trunk.hidden_states.back());
  const auto mc_logits = multiple_choice_head(trunk.hidden_states.back(), mc_token_ids);
  GPT2DoubleHeadsOutput output;
  if (lm_labels.defined())
    output.lm_loss = next_token_loss(lm_logits, lm_labels);
  if (mc_labels.defined())
    output.mc_loss = multiple_choice_loss(mc_logits, mc_labels);
  if (lm_labels.defined() || mc_labels.defined())
    return output;
  return {.lm_logits = lm_logits,
          .mc_logits = mc_logits,
          .presents = trunk.presents,
          .attentions = trunk.attentions};
}

void GPT2DoubleHeadsModelImpl::set_num_special_tokens(int64_t num_special_tokens,
                                                      bool predict_special_tokens) {
  transformer->set_num_special_tokens(num_special_tokens);
  config.predict_special_tokens = transformer->config.predict_special_tokens =
      predict_special_tokens;
  lm_head->set_embeddings_weights(transformer->wte->weight, predict_special_tokens);
}

} // namespace ptbert
