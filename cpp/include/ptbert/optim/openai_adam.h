#pragma once

#include <torch/torch.h>

#include <vector>

#include "ptbert/optim/schedules.h"

namespace ptbert {

/// Options of OpenAIAdam; the defaults are those of the 2019 library.
struct OpenAIAdamOptions : public torch::optim::OptimizerCloneableOptions<OpenAIAdamOptions> {
  explicit OpenAIAdamOptions(double lr) : lr_(lr) {}
  /// Learning rate, before the schedule.
  TORCH_ARG(double, lr);
  /// Multiplier of the learning rate; see make_schedule().
  TORCH_ARG(Schedule, schedule) = make_schedule("none", -1, -1);
  TORCH_ARG(double, b1) = 0.9;
  TORCH_ARG(double, b2) = 0.999;
  TORCH_ARG(double, e) = 1e-8;
  TORCH_ARG(double, weight_decay) = 0;
  /// Whether parameters of one dimension or none (biases, layer norms) decay too.
  TORCH_ARG(bool, vector_l2) = false;
  /// Gradients are clipped to this L2 norm, each parameter's on its own; 0 or -1: no clipping.
  TORCH_ARG(double, max_grad_norm) = -1;

public:
  double get_lr() const override { return lr_; }
  void set_lr(const double lr) override { lr_ = lr; }
};

struct OpenAIAdamParamState
    : public torch::optim::OptimizerCloneableParamState<OpenAIAdamParamState> {
  TORCH_ARG(int64_t, step) = 0;
  /// Exponential averages of the gradient and of its square.
  TORCH_ARG(torch::Tensor, exp_avg);
  TORCH_ARG(torch::Tensor, exp_avg_sq);
  /// float32 copy of a parameter of 16 bits; undefined for others.
  TORCH_ARG(torch::Tensor, master);
};

/// Updates one parameter in place; g is its gradient and t is `step`, which counts from 1:
///   g          *= min(1, max_grad_norm / (|g| + 1e-6))    where max_grad_norm > 0
///   exp_avg     = b1 exp_avg + (1 - b1) g
///   exp_avg_sq  = b2 exp_avg_sq + (1 - b2) g^2
///   p          -= lr sqrt(1 - b2^t) / (1 - b1^t) exp_avg / (sqrt(exp_avg_sq) + e)
///   p          -= lr weight_decay p    where p has more than one dimension, or vector_l2
/// `lr` is the scheduled rate. Adam as in section 2 of its paper (arXiv 1412.6980), with decoupled
/// weight decay (arXiv 1711.05101) as in GPT's TensorFlow code.
/// A parameter of 16 bits is updated in `master`, its float32 copy, and gets that rounded; averages
/// are in float32 then, and the gradient is left as it is.
void openai_adam_update(const OpenAIAdamOptions& options, double lr, int64_t step,
                        torch::Tensor& parameter, torch::Tensor& gradient, torch::Tensor& exp_avg,
                        torch::Tensor& exp_avg_sq, torch::Tensor master = {});

/// Adam as GPT was trained with it; the update is openai_adam_update().
class OpenAIAdam : public torch::optim::Optimizer {
public:
  OpenAIAdam(const std::vector<torch::optim::OptimizerParamGroup>& groups,
             OpenAIAdamOptions defaults);
  OpenAIAdam(std::vector<torch::Tensor> parameters, OpenAIAdamOptions defaults);
  /// Adds a group. If the group has options, they replace all defaults.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);
  torch::Tensor step(LossClosure closure = nullptr) override;
};

} // namespace ptbert
