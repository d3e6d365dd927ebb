#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// Dropout of float32 on the CPU: `x` with elements zeroed with probability `p`, in (0, 1), and the
/// others multiplied by 1 / (1 - p). One number of the CPU's default generator seeds the draws,
/// which are the same on any number of threads, and are made again for the gradient: nothing is
/// kept for it. Has gradients of any order.
Tensor seeded_dropout(const Tensor& x, double p);

} // namespace ptbert
