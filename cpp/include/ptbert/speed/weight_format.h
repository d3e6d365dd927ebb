#pragma once

namespace ptbert {

/// How a Decoder stores the weights of linear layers. Sums are computed in float32 in all formats.
enum class WeightFormat {
  /// 4 bytes each: the model's own tensors, not copied.
  kFloat32,
  /// 2 bytes each.
  kBFloat16,
  /// 1 byte each: integers in [-127, 127] and a scale for each output.
  kInt8,
};

} // namespace ptbert
