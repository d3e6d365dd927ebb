#pragma once

#include "ptbert/models/transfo_xl_heads.h"
#include "support.h"

namespace ptbert {

/// A small configuration with three clusters, memory and a limit of distances.
inline TransfoXLConfig tiny_transfo_xl() {
  TransfoXLConfig config;
  config.n_token = 29;
  config.cutoffs = {7, 15};
  config.tie_projs = {false, true, true};
  config.d_model = config.d_embed = 8;
  config.n_head = 2;
  config.d_head = 4;
  config.d_inner = 12;
  config.div_val = 2;
  config.n_layer = 2;
  config.tgt_len = 4;
  config.mem_len = 6;
  config.clamp_len = 7;
  return config;
}

/// A model whose weights are large enough to tell tokens apart.
inline TransfoXLLMHeadModel lively_transfo_xl(const TransfoXLConfig& config) {
  TransfoXLLMHeadModel model(config);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters())
    parameter.add_(torch::randn_like(parameter), 0.3);
  model->eval();
  return model;
}

inline Tensor transfo_xl_ids(torch::IntArrayRef shape) {
  return torch::randint(0, 29, shape, torch::kLong);
}

} // namespace ptbert
