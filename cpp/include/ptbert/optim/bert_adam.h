#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "ptbert/optim/schedules.h"

namespace ptbert {

/// Options of BertAdam; the defaults are those of the 2019 library.
struct BertAdamOptions : public torch::optim::OptimizerCloneableOptions<BertAdamOptions> {
  explicit BertAdamOptions(double lr) : lr_(lr) {}
  /// Learning rate, before the schedule.
  TORCH_ARG(double, lr);
  /// Multiplier of the learning rate; see make_schedule().
  TORCH_ARG(Schedule, schedule) = make_schedule("none", -1, -1);
  TORCH_ARG(double, b1) = 0.9;
  TORCH_ARG(double, b2) = 0.999;
  TORCH_ARG(double, e) = 1e-6;
  TORCH_ARG(double, weight_decay) = 0.01;
  /// Gradients are clipped to this L2 norm, each parameter's on its own; 0 or -1: no clipping.
  TORCH_ARG(double, max_grad_norm) = 1.0;

public:
  double get_lr() const override { return lr_; }
  void set_lr(const double lr) override { lr_ = lr; }
};

struct BertAdamParamState : public torch::optim::OptimizerCloneableParamState<BertAdamParamState> {
  TORCH_ARG(int64_t, step) = 0;
  /// Exponential averages of the gradient and of its square.
  TORCH_ARG(torch::Tensor, next_m);
  TORCH_ARG(torch::Tensor, next_v);
  /// float32 copy of a parameter of 16 bits; undefined for others.
  TORCH_ARG(torch::Tensor, master);
};

/// Updates one parameter in place; g is its gradient:
///   g      *= min(1, max_grad_norm / (|g| + 1e-6))    where max_grad_norm > 0
///   next_m  = b1 next_m + (1 - b1) g
///   next_v  = b2 next_v + (1 - b2) g^2
///   p      -= lr (next_m / (sqrt(next_v) + e) + weight_decay p)
/// `lr` is the scheduled rate. Adam (arXiv 1412.6980) without bias correction, as in BERT's
/// TensorFlow code, with decoupled weight decay (arXiv 1711.05101).
/// A parameter of 16 bits is updated in `master`, its float32 copy, and gets that rounded; averages
/// are in float32 then, and the gradient is left as it is.
void bert_adam_update(const BertAdamOptions& options, double lr, torch::Tensor& parameter,
                      torch::Tensor& gradient, torch::Tensor& next_m, torch::Tensor& next_v,
                      torch::Tensor master = {});

/// Adam as BERT was trained with it; the update is bert_adam_update().
class BertAdam : public torch::optim::Optimizer {
public:
  BertAdam(const std::vector<torch::optim::OptimizerParamGroup>& groups, BertAdamOptions defaults);
  BertAdam(std::vector<torch::Tensor> parameters, BertAdamOptions defaults);
  /// Adds a group. If the group has options, they replace all defaults.
  void add_param_group(const torch::optim::OptimizerParamGroup& group);
  torch::Tensor step(LossClosure closure = nullptr) override;
};

} // namespace ptbert
