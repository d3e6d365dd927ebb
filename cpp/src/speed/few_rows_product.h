#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// Whether the processor has AVX2 and fused multiply-add, which multiply_few_rows() needs.
bool can_multiply_few_rows();

/// The sizes for which multiply_few_rows() was at least as fast as MKL: 2 times for 16 rows, 1.3
/// times for 128 (AMD Zen 3, 384 to 3,072 inputs).
inline constexpr int64_t kFewestRows = 4, kMostRows = 256, kFewestFeatures = 32;

/// x W^T + b in float32: `x` [rows, in] with at most kMostRows rows (sums are on the stack),
/// `weight` [out, in], `bias` [out] or undefined -> [rows, out]. The last dimension of each must
/// have stride 1. Not differentiable.
///
/// A general product first copies both matrices into the order in which it reads them. With few
/// rows that takes up to a third of the time, nearly all of it for the weight. This one reads the
/// weight in place; it copies only `x`, and transposes the result.
Tensor multiply_few_rows(const Tensor& x, const Tensor& weight, const Tensor& bias);

} // namespace ptbert
