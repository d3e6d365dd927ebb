#include "ptbert/models/layers.h"

#include <cmath>

#include "ptbert/errors.h"
#include "ptbert/models/initial_weights.h"
#include "ptbert/speed/fast_paths.h"
#include "ptbert/speed/linear_products.h"
#include "speed/readable_values.h"
#include "speed/seeded_dropout.h"

namespace ptbert {
namespace {

Tensor new_parameter(torch::IntArrayRef shape) {
  return torch::empty(shape, torch::TensorOptions().device(DefaultDevice::current()));
}

} // namespace

Tensor gelu(const Tensor& x) { return torch::gelu(x); }

Tensor gelu_tanh(const Tensor& x) { return torch::gelu(x, "tanh"); }

Tensor swish(const Tensor& x) { return torch::silu(x); }

const std::map<std::string, Activation>& activations() {
  static const std::map<std::string, Activation> functions = {
      {"gelu", gelu},
      {"gelu_tanh", gelu_tanh},
      {"relu", [](const Tensor& x) { return torch::relu(x); }},
      {"swish", swish},
  };
  return functions;
}

Activation activation(const std::string& name, const char* field, Tensor (*gelu)(const Tensor&)) {
  if (name == "gelu")
    return gelu;
  if (name == "relu" || name == "swish")
    return activations().at(name);
  throw KeyError(std::string("`") + field +
                 "` must be \"gelu\", \"relu\", \"swish\" or a callable, but is \"" + name + "\".");
}

LinearImpl::LinearImpl(int64_t in_features, int64_t out_features, bool with_bias) {
  own_parameter("weight", weight, new_parameter({out_features, in_features}));
  if (with_bias)
    own_parameter("bias", bias, new_parameter({out_features}));
  // As torch.nn.Linear, whose two bounds differ by rounding.
  const auto root = std::sqrt(static_cast<double>(in_features));
  const auto gain = std::sqrt(2 / (1 + std::pow(std::sqrt(5.0), 2)));
  const auto bound = std::sqrt(3.0) * (gain / root);
  draw_uniform(weight, -bound, bound);
  if (with_bias)
    draw_uniform(bias, -1 / root, 1 / root);
}

Tensor LinearImpl::forward(const Tensor& x) { return linear_product(x, weight, bias); }

Conv1DImpl::Conv1DImpl(int64_t out_features, int64_t in_features) {
  own_parameter("weight", weight, new_parameter({in_features, out_features}));
  own_parameter("bias", bias, new_parameter({out_features}));
  draw_normal(weight, 0, 0.02); // whatever `initializer_range` says, as in 2019
  fill(bias, 0);
}

Tensor Conv1DImpl::forward(const Tensor& x) { return linear_product(x, weight.t(), bias); }

EmbeddingImpl::EmbeddingImpl(int64_t rows, int64_t width, std::optional<int64_t> padding_idx)
    : padding_idx(padding_idx.value_or(-1)) {
  own_parameter("weight", weight, new_parameter({rows, width}));
  own_attribute("padding_idx", this->padding_idx);
  draw_normal(weight, 0, 1);
  if (padding_idx && !weight.is_meta()) {
    const torch::NoGradGuard no_grad;
    weight[*padding_idx].zero_();
  }
}

Tensor EmbeddingImpl::forward(const Tensor& ids) {
  return torch::embedding(weight, ids, padding_idx);
}

BertLayerNormImpl::BertLayerNormImpl(int64_t hidden_size, double eps) : eps(eps) {
  own_parameter("weight", weight, new_parameter({hidden_size}));
  own_parameter("bias", bias, new_parameter({hidden_size}));
  own_attribute("eps", this->eps);
  fill(weight, 1);
  fill(bias, 0);
}

Tensor BertLayerNormImpl::forward(const Tensor& x) {
  return torch::layer_norm_symint(x, {x.sym_size(-1)}, weight, bias, eps);
}

DropoutImpl::DropoutImpl(double p) : p(p) { own_attribute("p", this->p); }

Tensor DropoutImpl::forward(const Tensor& x) {
  if (!is_training() || !(p > 0 && p < 1)) // no random numbers are needed
    return torch::dropout(x, p, is_training());
  const auto* why_not = !fast_paths_enabled()               ? kSwitchedOff
                        : !has_readable_values(x)           ? kUnreadable
                        : x.scalar_type() != torch::kFloat  ? "not in float32"
                        : x._fw_grad(/*level=*/0).defined() ? "forward-mode gradients"
                                                            : nullptr;
  PathRecorder::note("dropout", why_not ? "drawn by torch" : "drawn in parallel",
                     why_not ? why_not : "in float32, on the CPU");
  return why_not ? torch::dropout(x, p, /*train=*/true) : seeded_dropout(x, p);
}

Dropout2dImpl::Dropout2dImpl(double p) : p(p) { own_attribute("p", this->p); }

Tensor Dropout2dImpl::forward(const Tensor& x) {
  return torch::feature_dropout(x, p, is_training());
}

Tensor TanhImpl::forward(const Tensor& x) { return torch::tanh(x); }

Tensor ReLUImpl::forward(const Tensor& x) { return torch::relu(x); }

void init_bert_weights(torch::nn::Module& module, double initializer_range) {
  module.apply([initializer_range](torch::nn::Module& child) {
    if (auto* linear = child.as<LinearImpl>()) {
      draw_normal(linear->weight, 0, initializer_range);
      if (linear->bias.defined())
        fill(linear->bias, 0);
    } else if (auto* embedding = child.as<EmbeddingImpl>()) {
      draw_normal(embedding->weight, 0, initializer_range);
    } else if (auto* layer_norm = child.as<BertLayerNormImpl>()) {
      fill(layer_norm->weight, 1);
      fill(layer_norm->bias, 0);
    }
  });
}

Tensor resized_embedding(const Tensor& weight, int64_t kept, int64_t rows,
                         double standard_deviation) {
  const torch::NoGradGuard no_grad;
  // Drawn twice, as a new embedding that is then initialised: equal seeds give equal weights.
  auto resized = torch::randn({rows, weight.size(1)}).normal_(0, standard_deviation);
  resized.narrow(0, 0, kept).copy_(weight.narrow(0, 0, kept));
  return resized.to(weight.options()).requires_grad_(weight.requires_grad());
}

} // namespace ptbert
