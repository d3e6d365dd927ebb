#pragma once

#include <mutex>
#include <vector>

#include "ptbert/models/module.h"

/// Keys and values of Transformer-XL's memory, so that they are not projected again in the next
/// segment.

namespace ptbert {

class MemoryKeys {
public:
  /// For each layer the projected memory [length, batch, 2 * heads * d_head] that keep() was given
  /// for these `mems` and `weights`; undefined tensors if it was given others, or if one of them
  /// has changed since.
  std::vector<Tensor> find(const std::vector<Tensor>& mems, const std::vector<Tensor>& weights);
  void keep(const std::vector<Tensor>& mems, const std::vector<Tensor>& weights,
            std::vector<Tensor> projected);

private:
  /// A tensor at a certain number of changes.
  struct Stamp {
    explicit Stamp(const Tensor& x) : tensor(x.getIntrusivePtr()), version(x._version()) {}

    c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> tensor;
    uint32_t version;
  };

  std::mutex mutex_;
  std::vector<Stamp> stamps_; // of memories and weights
  std::vector<Tensor> projected_;
};

} // namespace ptbert
