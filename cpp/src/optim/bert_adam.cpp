#include "ptbert/optim/bert_adam.h"

#include <utility>

namespace ptbert {
namespace {

void check_options(const BertAdamOptions& options) {
  TORCH_CHECK_VALUE(options.lr() >= 0, "`lr` must be at least 0, but is ", options.lr(), ".");
  TORCH_CHECK_VALUE(options.b1() >= 0 && options.b1() < 1, "`b1` must be in [0, 1), but is ",
                    options.b1(), ".");
  TORCH_CHECK_VALUE(options.b2() >= 0 && options.b2() < 1, "`b2` must be in [0, 1), but is ",
                    options.b2(), ".");
  TORCH_CHECK_VALUE(options.e() >= 0, "`e` must be at least 0, but is ", options.e(), ".");
}

} // namespace

void bert_adam_update(const BertAdamOptions& options, double lr, torch::Tensor& parameter,
                      torch::Tensor& gradient, torch::Tensor& next_m, torch::Tensor& next_v) {
  if (options.max_grad_norm() > 0) {
    gradient.mul_((options.max_grad_norm() / (gradient.norm() + 1e-6)).clamp_max(1.0));
  }
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
  check_options(static_cast<BertAdamOptions&>(*defaults_));
  for (const auto& group : param_groups_) {
    check_options(static_cast<const BertAdamOptions&>(group.options()));
  }
}

BertAdam::BertAdam(std::vector<torch::Tensor> parameters, BertAdamOptions defaults)
    : BertAdam(std::vector<torch::optim::OptimizerParamGroup>{std::move(parameters)},
               std::move(defaults)) {}

torch::Tensor BertAdam::step(LossClosure closure) {
  torch::NoGradGuard no_grad;
  torch::Tensor loss;
  if (closure) {
    torch::AutoGradMode with_grad(true);
    loss = closure();
  }
  for (auto& group : param_groups_) {
    const auto& options = static_cast<BertAdamOptions&>(group.options());
    for (auto& parameter : group.params()) {
      auto gradient = parameter.grad();
      if (!gradient.defined())
        continue;
      TORCH_CHECK(!gradient.is_sparse(), "`grad` must be dense, but is sparse.");
      auto& slot = state_[parameter.unsafeGetTensorImpl()];
      if (!slot) {
        auto fresh = std::make_unique<BertAdamParamState>();
        fresh->next_m(torch::zeros_like(parameter, torch::MemoryFormat::Preserve));
        fresh->next_v(torch::zeros_like(parameter, torch::MemoryFormat::Preserve));
        slot = std::move(fresh);
      }
      auto& state = static_cast<BertAdamParamState&>(*slot);
      bert_adam_update(options, options.lr() * options.schedule()(state.step()), parameter,
                       gradient, state.next_m(), state.next_v());
      state.step(state.step() + 1);
    }
  }
  return loss;
}

} // namespace ptbert
