#include <algorithm>

#include "ptbert/models/adaptive_softmax.h"
#include "ptbert/models/initial_weights.h"
#include "ptbert/models/transfo_xl.h"

namespace ptbert {
namespace {

/// Calls `function` for all modules below `module`, and then for it; as nn.Module.apply in Python.
template <typename Function> void inner_first(torch::nn::Module& module, const Function& function) {
  for (const auto& child : module.children())
    inner_first(*child, function);
  function(module);
}

} // namespace

void init_transfo_xl_weights(torch::nn::Module& module, const TransfoXLConfig& config) {
  const auto draw = [&config](const Tensor& weight) {
    if (config.init == "uniform")
      draw_uniform(weight, -config.init_range, config.init_range);
    else
      draw_normal(weight, 0, config.init_std);
  };
  const auto draw_projections = [&config](const ParameterListImpl& projections) {
    for (size_t i = 0; i < projections.size(); ++i) {
      if (projections[i].defined())
        draw_normal(projections[i], 0, config.proj_init_std);
    }
  };
  inner_first(module, [&](torch::nn::Module& child) {
    if (auto* linear = child.as<LinearImpl>()) {
      draw(linear->weight);
      if (linear->bias.defined())
        fill(linear->bias, 0);
    } else if (auto* embedding = child.as<EmbeddingImpl>()) {
      draw(embedding->weight);
    } else if (auto* adaptive = child.as<AdaptiveEmbeddingImpl>()) {
      draw_projections(*adaptive->emb_projs);
    } else if (auto* softmax = child.as<ProjectedAdaptiveLogSoftmaxImpl>()) {
      if (softmax->cluster_weight.defined()) {
        draw(softmax->cluster_weight);
        fill(softmax->cluster_bias, 0);
      }
      draw_projections(*softmax->out_projs);
    } else if (auto* layer_norm = child.as<BertLayerNormImpl>()) {
      draw_normal(layer_norm->weight, 1, config.init_std);
      fill(layer_norm->bias, 0);
    }
  });
}

void draw_position_biases(torch::nn::Module& module, const TransfoXLConfig& config) {
  std::vector<std::string> names = {"r_w_bias", "r_r_bias", "r_emb", "r_bias"};
  for (auto& parameter : module.named_parameters()) { // a shared one is drawn once
    const auto name = parameter.key().substr(parameter.key().rfind('.') + 1);
    if (std::count(names.begin(), names.end(), name) > 0)
      draw_normal(parameter.value(), 0, config.init_std);
  }
}

} // namespace ptbert
