#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// Dropout of float32 on the CPU: zeroes elements of `x` with probability `p`, in (0, 1), and
/// multiplies the others by 1 / (1 - p). Seeded by one number from the CPU's default generator; the
/// result does not depend on the number of threads. The backward pass draws the same numbers again
/// instead of saving a mask. Supports gradients of any order.
Tensor seeded_dropout(const Tensor& x, double p);

} // namespace ptbert
