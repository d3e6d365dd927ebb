#include "ptbert/models/transfo_xl_heads.h"

#include <algorithm>
#include <string>

#include "checks.h"

namespace ptbert {

TransfoXLLMHeadModelImpl::TransfoXLLMHeadModelImpl(const TransfoXLConfig& config) : config(config) {
  transformer = register_module("transformer", TransfoXLModel(config, /*draw_biases=*/false));
  if (config.sample_softmax > 0) {
    out_layer = register_module("out_layer", Linear(config.d_model, config.n_token));
    sampler.emplace(config.n_token, config.sample_softmax);
  } else {
    crit = register_module("crit", ProjectedAdaptiveLogSoftmax(config.n_token, config.d_embed,
                                                               config.d_model, config.cutoffs,
                                                               config.div_val));
  }
  init_transfo_xl_weights(*this, config);
  draw_position_biases(*this, config);
  tie_weights();
}

void TransfoXLLMHeadModelImpl::tie_weights() {
  const auto& tables = transformer->word_emb->emb_layers->items;
  const auto& projections = *transformer->word_emb->emb_projs;
  if (out_layer) {
    if (config.tie_weight)
      out_layer->bind("weight", tables.front()->weight);
    return;
  }
  for (size_t i = 0; config.tie_weight && i < tables.size(); ++i)
    crit->out_layers->items[i]->bind("weight", tables[i]->weight);
  for (size_t i = 0; i < config.tie_projs.size(); ++i) {
    if (config.tie_projs[i] && projections.size() > 0)
      crit->out_projs->bind(std::to_string(i), projections[config.div_val == 1 ? 0 : i]);
  }
}

TransfoXLLMOutput TransfoXLLMHeadModelImpl::forward(const Tensor& input_ids, const Tensor& target,
                                                    const std::vector<Tensor>& mems) {
  check_ids("input_ids", input_ids);
  if (target.defined()) {
    check_token_labels("target", target, input_ids);
    check_range("target", target, config.n_token);
  }
  auto trunk = transformer(input_ids, mems);
  const auto& hidden = trunk.last_hidden; // [batch, seq, d_model]
  if (out_layer) {
    if (target.defined() && is_training())
      return {sampled_losses(hidden, target), trunk.new_mems};
    const auto log_probs = torch::log_softmax(out_layer(hidden), -1); // -> [batch, seq, n_token]
    if (!target.defined())
      return {log_probs, trunk.new_mems};
    const auto own = log_probs.gather(-1, target.unsqueeze(-1)); // -> [batch, seq, 1]
    return {-own.squeeze(-1), trunk.new_mems};
  }
  const auto rows = hidden.flatten(0, 1); // -> [batch * seq, d_model]
  const auto output = crit(rows, target.defined() ? target.reshape({-1}) : target);
  // [batch * seq, ...] -> [batch, seq, ...]
  return {output.unflatten_symint(0, {input_ids.sym_size(0), input_ids.sym_size(1)}),
          trunk.new_mems};
}

Tensor TransfoXLLMHeadModelImpl::sampled_losses(const Tensor& hidden, const Tensor& target) {
  TORCH_CHECK_TYPE(!out_layer->overridden(),
                   "`out_layer` must be an nn.Linear with bias and without hooks in training with "
                   "`sample_softmax`, which takes rows of its weight.");
  const auto sample = sampler->sample(target);
  const auto ids = torch::cat({target.flatten(), sample.neg_samples}); // [labels + samples]
  const auto logits =
      sample_logits(torch::embedding(out_layer->weight, ids), out_layer->bias, target, hidden,
                    sample);                            // -> [batch, seq, 1 + samples]
  return -torch::log_softmax(logits, -1).select(-1, 0); // -> [batch, seq]
}

} // namespace ptbert
