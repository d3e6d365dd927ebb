#pragma once

#include <torch/torch.h>

namespace ptbert {

/// Whether `tensor` is concrete: not under export, tracing or a transform of torch.func.
bool has_values(const torch::Tensor& tensor);

/// Whether the values of `tensor` can be read without a sync: it is on the CPU, not empty, and
/// concrete.
bool has_readable_values(const torch::Tensor& tensor);

/// Reasons for taking the plain path that several fast paths share.
inline constexpr auto kUnreadable =
    "values cannot be read (another device, export, tracing, torch.func, or none at all)";
inline constexpr auto kSwitchedOff = "enable_fast_paths(False)";

} // namespace ptbert
