#include "ptbert/optim/bert_adam.h"

#include <ATen/Parallel.h>
#include <ATen/TensorSubclassLikeUtils.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

#include "speed/vectorized.h"

namespace ptbert {
namespace {

void check_options(const BertAdamOptions& options) {
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
void restore_given_options(torch::optim::OptimizerParamGroup& group,
                           const torch::optim::OptimizerParamGroup& given) {
  if (given.has_options())
    group.set_options(given.options().clone());
  check_options(static_cast<const BertAdamOptions&>(group.options()));
}

torch::Tensor clip_factor(const BertAdamOptions& options, const torch::Tensor& gradient) {
  return (options.max_grad_norm() / (gradient.norm() + 1e-6)).clamp_max(1.0);
}

bool is_dense_float(const torch::Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat && tensor.is_contiguous() &&
         !at::isTensorSubclassLike(tensor);
}

/// Elements that are updated at a time; four arrays of this size fit into the L2 cache.
constexpr int64_t kBlock = 4096;
constexpr int64_t kMinBlocksPerThread = 4;

/// Calls `work(begin, end)` for each block of `count` elements.
template <typename Work> void for_each_block(int64_t count, const Work& work) {
  const auto blocks = (count + kBlock - 1) / kBlock;
  at::parallel_for(0, blocks, kMinBlocksPerThread, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block)
      work(block * kBlock, std::min((block + 1) * kBlock, count));
  });
}

/// Keeps kLanes partial sums, so that the compiler can use vector instructions.
PTBERT_VECTORIZED double sum_of_squares(const float* values, int64_t count) {
  constexpr int64_t kLanes = 32;
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane)
      sums[lane] += values[i + lane] * values[i + lane];
  }
  for (; i < count; ++i)
    sums[0] += values[i] * values[i];
  return std::accumulate(std::begin(sums), std::end(sums), 0.0);
}

PTBERT_VECTORIZED void scale(float factor, float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    values[i] *= factor;
}

struct Coefficients {
  float b1, rest1, b2, rest2, e, rate, decay;
};

/// The formula of bert_adam_update(), for a clipped gradient `g`. The arrays do not overlap.
PTBERT_VECTORIZED void update(const Coefficients& c, float* __restrict p, const float* __restrict g,
                              float* __restrict m, float* __restrict v, int64_t count) {
  const auto [b1, rest1, b2, rest2, e, rate, decay] = c;
  for (int64_t i = 0; i < count; ++i) {
    m[i] = b1 * m[i] + rest1 * g[i];
    v[i] = b2 * v[i] + rest2 * g[i] * g[i];
    p[i] -= rate * (m[i] / (std::sqrt(v[i]) + e) + decay * p[i]);
  }
}

/// The L2 norm. Block sums are added in order, so the result does not depend on the threads.
double norm(const float* values, int64_t count) {
  std::vector<double> sums((count + kBlock - 1) / kBlock);
  for_each_block(count, [&](int64_t begin, int64_t end) {
    sums[begin / kBlock] = sum_of_squares(values + begin, end - begin);
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

/// bert_adam_update() that reads and writes moments and parameters once, since memory bandwidth is
/// the bottleneck.
void update_in_one_pass(const BertAdamOptions& options, double lr, torch::Tensor& parameter,
                        torch::Tensor& gradient, torch::Tensor& next_m, torch::Tensor& next_v) {
  auto* p = parameter.mutable_data_ptr<float>();
  auto* g = gradient.mutable_data_ptr<float>();
  auto* m = next_m.mutable_data_ptr<float>();
  auto* v = next_v.mutable_data_ptr<float>();
  const auto count = parameter.numel();
  const auto max_norm = options.max_grad_norm();
  const auto clip = static_cast<float>(max_norm > 0 ? max_norm / (norm(g, count) + 1e-6) : 1);
  const auto to_float = [](double x) { return static_cast<float>(x); };
  const Coefficients coefficients{
      .b1 = to_float(options.b1()),
      .rest1 = to_float(1 - options.b1()),
      .b2 = to_float(options.b2()),
      .rest2 = to_float(1 - options.b2()),
      .e = to_float(options.e()),
      .rate = to_float(lr),
      .decay = to_float(std::max(options.weight_decay(), 0.0)),
  };
  for_each_block(count, [=](int64_t begin, int64_t end) {
    if (!(clip >= 1)) // true for NaN too, which then spreads as with clamp_max()
      scale(clip, g + begin, end - begin);
    update(coefficients, p + begin, g + begin, m + begin, v + begin, end - begin);
  });
  for (auto* tensor : {&parameter, &gradient, &next_m, &next_v}) {
    tensor->unsafeGetTensorImpl()->bump_version(); // as in-place operations do
  }
}

} // namespace

void bert_adam_update(const BertAdamOptions& options, double lr, torch::Tensor& parameter,
                      torch::Tensor& gradient, torch::Tensor& next_m, torch::Tensor& next_v) {
  if (is_dense_float(parameter) && is_dense_float(gradient) && is_dense_float(next_m) &&
      is_dense_float(next_v)) {
    return update_in_one_pass(options, lr, parameter, gradient, next_m, next_v);
  }
  if (options.max_grad_norm() > 0)
    gradient.mul_(clip_factor(options, gradient));
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
  for (size_t i = 0; i < groups.size(); ++i)
    restore_given_options(param_groups_[i], groups[i]);
}

BertAdam::BertAdam(std::vector<torch::Tensor> parameters, BertAdamOptions defaults)
    : BertAdam(std::vector<torch::optim::OptimizerParamGroup>{std::move(parameters)},
               std::move(defaults)) {}

void BertAdam::add_param_group(const torch::optim::OptimizerParamGroup& group) {
  Optimizer::add_param_group(group);
  restore_given_options(param_groups_.back(), group);
}

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
