#pragma once

namespace ptbert {

/// Which attention tensors a model returns or keeps in addition to its outputs.
struct AttentionOptions {
  /// Return the weights of every layer.
  bool output_attentions = false;
  /// Keep `multihead_output` of every self-attention, and retain its gradient.
  bool keep_multihead_output = false;
};

} // namespace ptbert
