#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// Whether the processor has what multiply_few_rows() is written in: AVX2 and fused multiply-add.
bool can_multiply_few_rows();

/// Where multiply_few_rows() was at least as fast as MKL, torch's own product: 2 times as fast for
/// 16 rows, 1.3 times for 128 (AMD Zen 3, 384 to 3,072 inputs).
inline constexpr int64_t kFewestRows = 4, kMostRows = 256, kFewestFeatures = 32;

/// x W^T + b in float32: `x` [rows, in] with at most kMostRows rows, since sums are on the stack,
/// `weight` [out, in], `bias` [out] or undefined -> [rows, out]. The last dimension of each lies
/// without gaps. No gradient can follow it.
///
/// General products copy both matrices into the order in which they multiply them. Of few rows that
/// takes as long as a third of the product, nearly all of it for the weight. Here the weight is
/// read where it lies; what is copied is `x`, and turned around at the end the result.
Tensor multiply_few_rows(const Tensor& x, const Tensor& weight, const Tensor& bias);

} // namespace ptbert
