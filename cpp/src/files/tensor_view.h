#pragma once

#include <torch/torch.h>

#include <cstring>
#include <memory>

namespace ptbert {

/// The tensor that `data` holds, as a view that keeps `owner` alive; a copy where the bytes are not
/// aligned for their type. They must be as many as the shape needs.
inline torch::Tensor view_tensor(std::shared_ptr<const void> owner, char* data,
                                 torch::IntArrayRef shape, torch::ScalarType dtype) {
  if (reinterpret_cast<uintptr_t>(data) % torch::elementSize(dtype) == 0) {
    const auto keep = [owner = std::move(owner)](void*) {};
    return torch::from_blob(data, shape, keep, torch::dtype(dtype));
  }
  auto copy = torch::empty(shape, dtype);
  std::memcpy(copy.data_ptr(), data, copy.nbytes());
  return copy;
}

} // namespace ptbert
