#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// The reason why linear_cross_entropy() cannot be used, or nullptr if it can.
const char* why_not_linear_cross_entropy(const Tensor& states, const Tensor& weight);

/// Mean cross-entropy of the scores `states` W^T, [count, width] x [width, classes], at `labels`
/// [count], all of which count. Scores are made for a few rows at a time, with their gradients, and
/// are never in memory as a whole: those of a language model would be larger than the model.
Tensor linear_cross_entropy(const Tensor& states, const Tensor& weight, const Tensor& labels);

} // namespace ptbert
