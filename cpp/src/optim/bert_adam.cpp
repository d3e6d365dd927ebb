#include "ptbert/optim/bert_adam.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "optim/adam_parts.h"
#include "speed/vectorized.h"

namespace ptbert {
namespace {

/// The formula of bert_adam_update().
PTBERT_VECTORIZED void update(const detail::AdamCoefficients& c, float* __restrict p,
                              const float* __restrict g, float* __restrict m, float* __restrict v,
                              int64_t count) {
  const auto [b1, rest1, b2, rest2, e, rate, decay] = c;
  for (int64_t i = 0; i < count; ++i) {
    m[i] = b1 * m[i] + rest1 * g[i];
    v[i] = b2 * v[i] + rest2 * g[i] * g[i];
    p[i] -= rate * (m[i] / (std::sqrt(v[i]) + e) + decay * p[i]);
  }
}

} // namespace

void bert_adam_update(const BertAdamOptions& options, double lr, torch::Tensor& parameter,
                      torch::Tensor& gradient, torch::Tensor& next_m, torch::Tensor& next_v,
                      torch::Tensor master) {
  if (master.defined()) {
    const auto update = [&](torch::Tensor& p, torch::Tensor& g) {
      bert_adam_update(options, lr, p, g, next_m, next_v);
    };
    return detail::update_master(master, parameter, gradient, update);
  }
  const detail::AdamTensors tensors{parameter, gradient, next_m, next_v};
  if (detail::are_dense_floats(tensors)) {
    const auto decay = std::max(options.weight_decay(), 0.0);
    return detail::update_in_one_pass(update, detail::coefficients_of(options, lr, decay),
                                      options.max_grad_norm(), tensors);
  }
  detail::clip_gradient(gradient, options.max_grad_norm());
  next_m.mul_(options.b1()).add_(gradient, 1 - options.b1());
  next_v.mul_(options.b2()).addcmul_(gradient, gradient, 1 - options.b2());
  auto update = next_m / (next_v.sqrt().add_(options.e()));
  if (options.weight_decay() > 0)
    update.add_(parameter, options.weight_decay());
  parameter.add_(update, -lr);
}

BertAdam::BertAdam(const std::vector<torch::optim::OptimizerParamGroup>& groups,
                   BertAdamOptions defaults)
    : Optimizer(groups, std::make_unique<BertAdamOptions>(std::move(defaults))) {
  detail::check_adam_options(static_cast<BertAdamOptions&>(*defaults_));
  for (size_t i = 0; i < groups.size(); ++i)
    detail::restore_given_options<BertAdamOptions>(param_groups_[i], groups[i]);
}

BertAdam::BertAdam(std::vector<torch::Tensor> parameters, BertAdamOptions defaults)
    : BertAdam(std::vector<torch::optim::OptimizerParamGroup>{std::move(parameters)},
               std::move(defaults)) {}

void BertAdam::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  Optimizer::add_param_group(group);
  detail::restore_given_options<BertAdamOptions>(param_groups_.back(), group);
}

torch::Tensor BertAdam::step(LossClosure closure) {
  const auto update = [this](const BertAdamOptions& options, torch::Tensor& parameter,
                             torch::Tensor& gradient) {
    auto& slot = state_[parameter.unsafeGetTensorImpl()];
    if (!slot) {
      auto fresh = std::make_unique<BertAdamParamState>();
      fresh->next_m(detail::new_average(parameter));
      fresh->next_v(detail::new_average(parameter));
      fresh->master(detail::new_master(parameter));
      slot = std::move(fresh);
    }
    auto& state = static_cast<BertAdamParamState&>(*slot);
    bert_adam_update(options, options.lr() * options.schedule()(state.step()), parameter, gradient,
                     state.next_m(), state.next_v(), state.master());
    state.step(state.step() + 1);
  };
  return detail::step_with<BertAdamOptions>(param_groups_, closure, update);
}

} // namespace ptbert
