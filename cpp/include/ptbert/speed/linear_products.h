#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// What multiplies the matrices of linear layers in float32 on the CPU.
enum class ProductLibrary {
  /// oneDNN where there is AVX-512 and a product of 768 x 768 x 768 is at least 1.3 times as fast
  /// with it, forward and for each gradient: measured when it is first needed, once in a process.
  /// With AVX2 alone, kPtbert.
  kMeasured,
  /// What torch itself takes: MKL on x86.
  kAten,
  /// oneDNN, which is inside torch too.
  kOneDnn,
  /// Forward a product of the core itself, written for AVX2, where there are 4 to 256 rows and at
  /// least 32 features; otherwise ATen.
  kPtbert,
};

/// Has linear_product() use `library` in this process. Throws ValueError where torch was built
/// without oneDNN, or the processor has no AVX2 for kPtbert.
void use_product_library(ProductLibrary library);

/// x W^T + b: `x` [*, in], `weight` [out, in], `bias` [out] or undefined -> [*, out]. The same as
/// torch::linear() but for rounding, gradients of any order included.
Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor& bias);

} // namespace ptbert
