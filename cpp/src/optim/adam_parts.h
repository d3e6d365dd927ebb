#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

/// What BertAdam and OpenAIAdam have in common.

namespace ptbert::detail {

template <typename Options> void check_adam_options(const Options& options) {
  TORCH_CHECK_VALUE(options.lr() >= 0, "`lr` must be at least 0, but is ", options.lr(), ".");
  TORCH_CHECK_VALUE(options.b1() >= 0 && options.b1() < 1, "`b1` must be in [0, 1), but is ",
                    options.b1(), ".");
  TORCH_CHECK_VALUE(options.b2() >= 0 && options.b2() < 1, "`b2` must be in [0, 1), but is ",
                    options.b2(), ".");
  TORCH_CHECK_VALUE(options.e() >= 0, "`e` must be at least 0, but is ", options.e(), ".");
  TORCH_CHECK_VALUE(options.weight_decay() >= 0, "`weight_decay` must be at least 0, but is ",
                    options.weight_decay(), ".");
  TORCH_CHECK_VALUE(options.max_grad_norm() >= 0 || options.max_grad_norm() == -1,
                    "`max_grad_norm` must be at least 0, or -1 for no clipping, but is ",
                    options.max_grad_norm(), ".");
}

/// Optimizer::add_param_group() merges the options of torch's own optimizers, but overwrites those
/// of other optimizers with the defaults; this restores the options that were given.
template <typename Options>
void restore_given_options(torch::optim::OptimizerParamGroup& group,
                           const torch::optim::OptimizerParamGroup& given) {
  if (given.has_options())
    group.set_options(given.options().clone());
  check_adam_options(static_cast<const Options&>(group.options()));
}

/// Optimizer::step() without its update: calls `update(options, parameter, gradient)` for each
/// parameter that has a gradient.
template <typename Options, typename Update>
torch::Tensor step_with(std::vector<torch::optim::OptimizerParamGroup>& groups,
                        const torch::optim::Optimizer::LossClosure& closure, const Update& update) {
  torch::NoGradGuard no_grad;
  torch::Tensor loss;
  if (closure) {
    torch::AutoGradMode with_grad(true);
    loss = closure();
  }
  for (auto& group : groups) {
    const auto& options = static_cast<Options&>(group.options());
    for (auto& parameter : group.params()) {
      auto gradient = parameter.grad();
      if (!gradient.defined())
        continue;
      TORCH_CHECK(!gradient.is_sparse(), "`grad` must be dense, but is sparse.");
      update(options, parameter, gradient);
    }
  }
  return loss;
}

/// The tensors of one parameter: itself, its gradient and the exponential averages of the gradient
/// and of its square.
struct AdamTensors {
  torch::Tensor &parameter, &gradient, &average, &square;
};

/// The numbers of an update; what `rate` and `decay` multiply is up to the optimizer.
struct AdamCoefficients {
  float b1, rest1, b2, rest2, e, rate, decay;
};

/// Updates `count` values p for a clipped gradient g and the averages m and v. The arrays do not
/// overlap.
using AdamKernel = void (*)(const AdamCoefficients& coefficients, float* __restrict p,
                            const float* __restrict g, float* __restrict m, float* __restrict v,
                            int64_t count);

template <typename Options>
AdamCoefficients coefficients_of(const Options& options, double rate, double decay) {
  const auto to_float = [](double x) { return static_cast<float>(x); };
  return {
      .b1 = to_float(options.b1()),
      .rest1 = to_float(1 - options.b1()),
      .b2 = to_float(options.b2()),
      .rest2 = to_float(1 - options.b2()),
      .e = to_float(options.e()),
      .rate = to_float(rate),
      .decay = to_float(decay),
  };
}

/// Whether update_in_one_pass() can work on these tensors.
bool are_dense_floats(const AdamTensors& tensors);

/// Clips the gradient as clip_gradient() does and calls `update` for blocks that fit into the
/// cache, in parallel. Averages and parameters are read and written once, since memory bandwidth is
/// the bottleneck.
void update_in_one_pass(AdamKernel update, const AdamCoefficients& coefficients, double max_norm,
                        const AdamTensors& tensors);

/// Whether a parameter has too few bits to take small steps: float16 or bfloat16.
bool has_16_bits(const torch::Tensor& parameter);

/// Zeros for an average of a parameter's gradients: float32 for a parameter of 16 bits.
torch::Tensor new_average(const torch::Tensor& parameter);

/// The float32 copy of a parameter of 16 bits; undefined for others.
torch::Tensor new_master(const torch::Tensor& parameter);

/// Calls `update(parameter, gradient)` with the float32 copy of a parameter of 16 bits, and rounds
/// the result to the parameter. Where the parameter is not the copy rounded, it has been changed
/// since, and its value counts.
template <typename Update>
void update_master(torch::Tensor& master, torch::Tensor& parameter, const torch::Tensor& gradient,
                   const Update& update) {
  const auto is_same = master.to(parameter.scalar_type()) == parameter;
  master.copy_(torch::where(is_same, master, parameter.to(torch::kFloat)));
  auto float_gradient = gradient.to(torch::kFloat);
  update(master, float_gradient);
  parameter.copy_(master);
}

/// Scales a gradient in place by min(1, max_norm / (its L2 norm + 1e-6)), if max_norm > 0.
void clip_gradient(torch::Tensor& gradient, double max_norm);

} // namespace ptbert::detail
