#pragma once

#include "ptbert/models/gpt2_heads.h"
#include "ptbert/models/openai_gpt_heads.h"
#include "support.h"

namespace ptbert {

/// A small configuration of GPT or GPT-2 whose hidden states are of order one.
template <typename Config> Config tiny_gpt_config() {
  Config config;
  config.vocab_size = 61;
  config.n_positions = config.n_ctx = 24;
  config.n_embd = 32;
  config.n_layer = 2;
  config.n_head = 4;
  config.initializer_range = 0.3;
  return config;
}

/// The name of the families' types by one parameter, for tests of both.
struct GPT2Family {
  using Config = GPT2Config;
  using Trunk = GPT2Model;
  using Model = GPT2LMHeadModel;
  using DoubleHeads = GPT2DoubleHeadsModel;
  static Tensor last_states(Trunk& trunk, const Tensor& ids, const Tensor& head_mask = {}) {
    return trunk(ids, Tensor(), Tensor(), std::vector<Tensor>(), head_mask).hidden_states.back();
  }
  static Tensor logits(Model& model, const Tensor& ids) { return model->forward(ids).logits; }
  static Tensor loss(Model& model, const Tensor& ids, const Tensor& labels) {
    return model->forward(ids, {}, {}, labels).loss;
  }
};
struct OpenAIGPTFamily {
  using Config = OpenAIGPTConfig;
  using Trunk = OpenAIGPTModel;
  using Model = OpenAIGPTLMHeadModel;
  using DoubleHeads = OpenAIGPTDoubleHeadsModel;
  static Tensor last_states(Trunk& trunk, const Tensor& ids, const Tensor& head_mask = {}) {
    return trunk(ids, Tensor(), Tensor(), head_mask).hidden_states.back();
  }
  static Tensor logits(Model& model, const Tensor& ids) { return model->forward(ids).logits; }
  static Tensor loss(Model& model, const Tensor& ids, const Tensor& labels) {
    return model->forward(ids, {}, {}, labels).loss;
  }
};

/// A model in evaluation whose linear layers are of order one, too.
template <typename Model, typename Config> Model lively_gpt(const Config& config) {
  Model model(config);
  torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) {
    if (parameter.dim() == 2)
      parameter.normal_(0, 0.3);
  }
  model->eval();
  return model;
}

inline torch::Tensor gpt_ids(torch::IntArrayRef shape) {
  return torch::randint(0, 61, shape, torch::kLong);
}

} // namespace ptbert
