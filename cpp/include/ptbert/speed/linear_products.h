#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// Which code multiplies the matrices of linear layers in float32 on the CPU.
enum class ProductLibrary {
  /// What was measured to be fastest on this kind of processor. On AMD with AVX-512: oneDNN for the
  /// forward product and the input gradient from 16 rows on, and for the weight gradient if a
  /// measurement, once per process, finds it at least 1.3 times as fast as ATen. With AVX2 only:
  /// kPtbert. Otherwise kAten.
  kMeasured,
  /// The library that torch itself uses: MKL on x86.
  kAten,
  /// oneDNN, which is built into torch as well.
  kOneDnn,
  /// This library's own AVX2 product, for forward passes with 4 to 256 rows and at least 32 output
  /// features; ATen for everything else.
  kPtbert,
};

/// Makes linear_product() use `library` in this process. Throws ValueError for kOneDnn if torch was
/// built without it, and for kPtbert if the processor has no AVX2.
void use_product_library(ProductLibrary library);

/// x W^T + b: `x` [*, in], `weight` [out, in], `bias` [out] or undefined -> [*, out]. Equal to
/// torch::linear() up to rounding, including gradients of any order.
Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor& bias);

} // namespace ptbert
