#include "optim/adam_parts.h"

#include <ATen/Parallel.h>
#include <ATen/TensorSubclassLikeUtils.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <vector>

#include "speed/vectorized.h"

namespace ptbert::detail {
namespace {

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

/// The L2 norm. Block sums are added in order, so the result does not depend on the threads.
double norm(const float* values, int64_t count) {
  std::vector<double> sums((count + kBlock - 1) / kBlock);
  for_each_block(count, [&](int64_t begin, int64_t end) {
    sums[begin / kBlock] = sum_of_squares(values + begin, end - begin);
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

} // namespace

bool are_dense_floats(const AdamTensors& tensors) {
  return is_dense_float(tensors.parameter) && is_dense_float(tensors.gradient) &&
         is_dense_float(tensors.average) && is_dense_float(tensors.square);
}

void update_in_one_pass(AdamKernel update, const AdamCoefficients& coefficients, double max_norm,
                        const AdamTensors& tensors) {
  auto* p = tensors.parameter.mutable_data_ptr<float>();
  auto* g = tensors.gradient.mutable_data_ptr<float>();
  auto* m = tensors.average.mutable_data_ptr<float>();
  auto* v = tensors.square.mutable_data_ptr<float>();
  const auto count = tensors.parameter.numel();
  const auto clip = static_cast<float>(max_norm > 0 ? max_norm / (norm(g, count) + 1e-6) : 1);
  for_each_block(count, [&](int64_t begin, int64_t end) {
    if (!(clip >= 1)) // true for NaN too, which then spreads as with clamp_max()
      scale(clip, g + begin, end - begin);
    update(coefficients, p + begin, g + begin, m + begin, v + begin, end - begin);
  });
  for (auto* tensor : {&tensors.parameter, &tensors.gradient, &tensors.average, &tensors.square})
    tensor->unsafeGetTensorImpl()->bump_version(); // as in-place operations do
}

bool has_16_bits(const torch::Tensor& parameter) {
  return parameter.scalar_type() == torch::kHalf || parameter.scalar_type() == torch::kBFloat16;
}

torch::Tensor new_average(const torch::Tensor& parameter) {
  const auto options = parameter.options().memory_format(torch::MemoryFormat::Preserve);
  return torch::zeros_like(parameter,
                           has_16_bits(parameter) ? options.dtype(torch::kFloat) : options);
}

torch::Tensor new_master(const torch::Tensor& parameter) {
  return has_16_bits(parameter) ? parameter.detach().to(torch::kFloat) : torch::Tensor();
}

void clip_gradient(torch::Tensor& gradient, double max_norm) {
  if (max_norm > 0)
    gradient.mul_((max_norm / (gradient.norm() + 1e-6)).clamp_max(1.0));
}

} // namespace ptbert::detail
