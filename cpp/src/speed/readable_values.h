#pragma once

#include <torch/torch.h>

namespace ptbert {

/// Whether the values of `tensor` can be read without waiting for a device: false on a GPU, under
/// export, tracing and the transforms of torch.func, where a tensor stands for others, and for a
/// tensor without elements.
bool has_readable_values(const torch::Tensor& tensor);

/// Reasons for the plain path that several fast paths give.
inline constexpr auto kUnreadable =
    "values cannot be read (another device, export, tracing, torch.func, or none at all)";
inline constexpr auto kSwitchedOff = "enable_fast_paths(False)";

} // namespace ptbert
