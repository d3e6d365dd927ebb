#include "ptbert/optim/openai_adam.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "optim/adam_parts.h"
#include "speed/vectorized.h"

namespace ptbert {
namespace {

/// The formula of openai_adam_update().
PTBERT_VECTORIZED void update(const detail::AdamCoefficients& c, float* __restrict p,
                              const float* __restrict g, float* __restrict m, float* __restrict v,
                              int64_t count) {
  const auto [b1, rest1, b2, rest2, e, rate, decay] = c;
  for (int64_t i = 0; i < count; ++i) {
    m[i] = b1 * m[i] + rest1 * g[i];
    v[i] = b2 * v[i] + rest2 * g[i] * g[i];
    p[i] -= rate * (m[i] / (std::sqrt(v[i]) + e));
    p[i] -= decay * p[i];
  }
}

} // namespace

void openai_adam_update(const OpenAIAdamOptions& options, double lr, int64_t step,
                        torch::Tensor& parameter, torch::Tensor& gradient, torch::Tensor& exp_avg,
                        torch::Tensor& exp_avg_sq, torch::Tensor master) {
  if (master.defined()) {
    const auto update = [&](torch::Tensor& p, torch::Tensor& g) {
      openai_adam_update(options, lr, step, p, g, exp_avg, exp_avg_sq);
    };
    return detail::update_master(master, parameter, gradient, update);
  }
  TORCH_CHECK_VALUE(step >= 1, "`step` must be at least 1, but is ", step, ".");
  const auto t = static_cast<double>(step);
  const auto rate = lr * std::sqrt(1 - std::pow(options.b2(), t)) / (1 - std::pow(options.b1(), t));
  const bool decays = parameter.dim() > 1 || options.vector_l2();
  const auto decay = decays ? lr * std::max(options.weight_decay(), 0.0) : 0.0;
  const detail::AdamTensors tensors{parameter, gradient, exp_avg, exp_avg_sq};
  if (detail::are_dense_floats(tensors)) {
    return detail::update_in_one_pass(update, detail::coefficients_of(options, rate, decay),
                                      options.max_grad_norm(), tensors);
  }
  detail::clip_gradient(gradient, options.max_grad_norm());
  exp_avg.mul_(options.b1()).add_(gradient, 1 - options.b1());
  exp_avg_sq.mul_(options.b2()).addcmul_(gradient, gradient, 1 - options.b2());
  parameter.addcdiv_(exp_avg, exp_avg_sq.sqrt().add_(options.e()), -rate);
  if (decay != 0)
    parameter.add_(parameter, -decay);
}

OpenAIAdam::OpenAIAdam(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                       OpenAIAdamOptions defaults)
    : Optimizer(groups, std::make_unique<OpenAIAdamOptions>(std::move(defaults))) {
  detail::check_adam_options(static_cast<OpenAIAdamOptions&>(*defaults_));
  for (size_t i = 0; i < groups.size(); ++i)
    detail::restore_given_options<OpenAIAdamOptions>(param_groups_[i], groups[i]);
}

OpenAIAdam::OpenAIAdam(std::vector<torch::Tensor> parameters, OpenAIAdamOptions defaults)
    : OpenAIAdam(std::vector<torch::optim::OptimizerParamGroup>{std::move(parameters)},
                 std::move(defaults)) {}

void OpenAIAdam::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  Optimizer::add_param_group(group);
  detail::restore_given_options<OpenAIAdamOptions>(param_groups_.back(), group);
}

torch::Tensor OpenAIAdam::step(LossClosure closure) {
  const auto update = [this](const OpenAIAdamOptions& options, torch::Tensor& parameter,
                             torch::Tensor& gradient) {
    auto& slot = state_[parameter.unsafeGetTensorImpl()];
    if (!slot) {
      auto fresh = std::make_unique<OpenAIAdamParamState>();
      fresh->exp_avg(detail::new_average(parameter));
      fresh->exp_avg_sq(detail::new_average(parameter));
      fresh->master(detail::new_master(parameter));
      slot = std::move(fresh);
    }
    auto& state = static_cast<OpenAIAdamParamState&>(*slot);
    state.step(state.step() + 1);
    openai_adam_update(options, options.lr() * options.schedule()(state.step()), state.step(),
                       parameter, gradient, state.exp_avg(), state.exp_avg_sq(), state.master());
  };
  return detail::step_with<OpenAIAdamOptions>(param_groups_, closure, update);
}

} // namespace ptbert
