#pragma once

#include <cstddef>

#include "ptbert/files/checkpoint.h"

namespace ptbert::fuzz {

/// Reads every element of tensors: each must be in memory.
inline void read_all(const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors)
    static_cast<void>(tensor.isnan().any().item<bool>());
}

} // namespace ptbert::fuzz
