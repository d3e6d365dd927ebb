#pragma once

namespace ptbert {

/// How a Decoder stores the weights of linear layers. Sums are computed in float32 in all formats.
enum class WeightFormat {
  /// The model's own tensors, not copied: 4 bytes each, or 2 of a model in bfloat16.
  kFloat32,
  /// 2 bytes each.
  kBFloat16,
  /// 1 byte each: integers in [-127, 127] and a scale for each output.
  kInt8,
};

} // namespace ptbert
