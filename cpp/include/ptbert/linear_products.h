#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// What multiplies the matrices of linear layers in float32 on the CPU.
enum class ProductLibrary {
  /// What is faster here: measured when it is first needed, once for a process.
  kMeasured,
  /// What torch itself takes: MKL on x86.
  kAten,
  /// oneDNN, which is inside torch too, and has better products for the AVX-512 of AMD.
  kOneDnn,
};

/// Has linear_product() use `library` in this process. Throws ValueError where torch was built
/// without oneDNN.
void use_product_library(ProductLibrary library);

/// x W^T + b: `x` [*, in], `weight` [out, in], `bias` [out] or undefined -> [*, out]. The same as
/// torch::linear() but for rounding, gradients of any order included.
Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor& bias);

} // namespace ptbert
