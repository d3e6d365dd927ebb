#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// Whether the processor has what multiply_few_rows() is written in: AVX2 and fused multiply-add.
bool can_multiply_few_rows();

/// With more, torch's product is as fast (measured on Zen 3, hidden sizes 384 and 768).
inline constexpr int64_t kMostRows = 256;

/// x W^T + b in float32: `x` [rows, in], `weight` [out, in], `bias` [out] or undefined
/// -> [rows, out]. The last dimension of each lies without gaps. No gradient can follow it.
///
/// General products copy both matrices into the order in which they multiply them. Of few rows that
/// takes as long as a third of the product, nearly all of it for the weight. Here the weight is
/// read where it lies; what is copied is `x`, and turned around at the end the result.
Tensor multiply_few_rows(const Tensor& x, const Tensor& weight, const Tensor& bias);

} // namespace ptbert
