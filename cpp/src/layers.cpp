#include "ptbert/layers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "checks.h"
#include "ptbert/errors.h"
#include "ptbert/fast_paths.h"
#include "ptbert/linear_products.h"

namespace ptbert {
namespace {

Tensor new_parameter(torch::IntArrayRef shape) {
  return torch::empty(shape, torch::TensorOptions().device(DefaultDevice::current()));
}

/// 0 with probability `p`, else 1 / (1 - p), for each element of `x`. One number of the CPU's
/// default generator seeds the draws, which are the same on any number of threads.
Tensor dropout_factors(const Tensor& x, double p) {
  auto generator = at::detail::getDefaultCPUGenerator();
  const auto seed = [&generator] {
    const std::lock_guard lock(generator.mutex());
    return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
  }();
  const auto dropped = static_cast<uint32_t>(p * 0x1p32); // draws below it are dropped
  const auto kept = static_cast<float>(1 / (1 - p));
  auto factors = torch::empty(x.sizes(), x.options());
  auto* values = factors.mutable_data_ptr<float>();
  const auto count = factors.numel();
  constexpr int64_t kRun = 1024; // elements drawn from one subsequence of Philox
  constexpr int64_t kGrain = 16; // runs that are worth a thread
  at::parallel_for(0, (count + kRun - 1) / kRun, kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      at::Philox4_32 draw(seed, run);
      for (int64_t i = run * kRun; i < std::min((run + 1) * kRun, count); ++i)
        values[i] = draw() < dropped ? 0 : kept;
    }
  });
  return factors;
}

} // namespace

Tensor gelu(const Tensor& x) { return torch::gelu(x); }

Tensor swish(const Tensor& x) { return torch::silu(x); }

Activation activation(const std::string& name) {
  if (name == "gelu")
    return gelu;
  if (name == "relu")
    return [](const Tensor& x) { return torch::relu(x); };
  if (name == "swish")
    return swish;
  throw KeyError("`hidden_act` must be \"gelu\", \"relu\", \"swish\" or a callable, but is \"" +
                 name + "\".");
}

LinearImpl::LinearImpl(int64_t in_features, int64_t out_features, bool with_bias) {
  own_parameter("weight", weight, new_parameter({out_features, in_features}));
  if (with_bias)
    own_parameter("bias", bias, new_parameter({out_features}));
  if (weight.is_meta())
    return;
  // The default of torch.nn.Linear, so that equal seeds give the weights that PyTorch gives.
  torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (with_bias) {
    const double bound = 1 / std::sqrt(static_cast<double>(in_features));
    torch::nn::init::uniform_(bias, -bound, bound);
  }
}

Tensor LinearImpl::forward(const Tensor& x) { return linear_product(x, weight, bias); }

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
  if (!is_training() || !(p > 0 && p < 1)) // nothing is drawn
    return torch::dropout(x, p, is_training());
  const auto* why_not = !fast_paths_enabled()              ? kSwitchedOff
                        : !has_readable_values(x)          ? kUnreadable
                        : x.scalar_type() != torch::kFloat ? "not in float32"
                                                           : nullptr;
  PathRecorder::note("dropout", why_not ? "drawn by torch" : "drawn in parallel",
                     why_not ? why_not : "in float32, on the CPU");
  return why_not ? torch::dropout(x, p, /*train=*/true) : x * dropout_factors(x, p);
}

Tensor TanhImpl::forward(const Tensor& x) { return torch::tanh(x); }

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

} // namespace ptbert
