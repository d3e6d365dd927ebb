#include "ptbert/models/layers.h"

#include <cmath>

#include "ptbert/errors.h"
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
  if (weight.is_meta())
    return;
  // As torch.nn.Linear initialises, so that equal seeds give equal weights.
  torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (with_bias) {
    const double bound = 1 / std::sqrt(static_cast<double>(in_features));
    torch::nn::init::uniform_(bias, -bound, bound);
  }
}

Tensor LinearImpl::forward(const Tensor& x) { return linear_product(x, weight, bias); }

Conv1DImpl::Conv1DImpl(int64_t out_features, int64_t in_features) {
  own_parameter("weight", weight, new_parameter({in_features, out_features}));
  own_parameter("bias", bias, new_parameter({out_features}));
  if (weight.is_meta())
    return;
  torch::nn::init::normal_(weight, 0, 0.02); // whatever `initializer_range` says, as in 2019
  torch::nn::init::zeros_(bias);
}

Tensor Conv1DImpl::forward(const Tensor& x) { return linear_product(x, weight.t(), bias); }

EmbeddingImpl::EmbeddingImpl(int64_t rows, int64_t width, std::optional<int64_t> padding_idx)
    : padding_idx(padding_idx.value_or(-1)) {
  own_parameter("weight", weight, new_parameter({rows, width}));
  own_attribute("padding_idx", this->padding_idx);
  if (weight.is_meta())
    return;
  torch::NoGradGuard no_grad;
  torch::nn::init::normal_(weight);
  if (padding_idx)
    weight[*padding_idx].zero_();
}

Tensor EmbeddingImpl::forward(const Tensor& ids) {
  return torch::embedding(weight, ids, padding_idx);
}

BertLayerNormImpl::BertLayerNormImpl(int64_t hidden_size, double eps) : eps(eps) {
  own_parameter("weight", weight, new_parameter({hidden_size}));
  own_parameter("bias", bias, new_parameter({hidden_size}));
  own_attribute("eps", this->eps);
  if (weight.is_meta())
    return;
  torch::nn::init::ones_(weight);
  torch::nn::init::zeros_(bias);
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
  if (DefaultDevice::current().is_meta())
    return;
  torch::NoGradGuard no_grad;
  module.apply([initializer_range](torch::nn::Module& child) {
    if (auto* linear = child.as<LinearImpl>()) {
      linear->weight.normal_(0, initializer_range);
      if (linear->bias.defined())
        linear->bias.zero_();
    } else if (auto* embedding = child.as<EmbeddingImpl>()) {
      embedding->weight.normal_(0, initializer_range);
    } else if (auto* layer_norm = child.as<BertLayerNormImpl>()) {
      layer_norm->weight.fill_(1);
      layer_norm->bias.zero_();
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
