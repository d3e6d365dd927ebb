#pragma once

namespace ptbert {

/// What a model gives to callers that look inside its attention, besides its outputs.
struct AttentionOptions {
  /// Return the weights of every layer.
  bool output_attentions = false;
  /// Keep `multihead_output` of every self-attention, with its gradient.
  bool keep_multihead_output = false;
};

} // namespace ptbert
