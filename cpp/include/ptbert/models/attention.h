#pragma once

#include <torch/torch.h>

namespace ptbert {

using torch::Tensor;

/// Which attention tensors a model returns or keeps in addition to its outputs.
struct AttentionOptions {
  /// Return the weights of every layer.
  bool output_attentions = false;
  /// Keep `multihead_output` of every self-attention, and retain its gradient.
  bool keep_multihead_output = false;
};

/// [batch, seq, heads * head_size] -> [batch, heads, seq, head_size]
Tensor split_into_heads(const Tensor& x, int64_t heads, int64_t head_size);

} // namespace ptbert
