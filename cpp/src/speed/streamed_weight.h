#pragma once

#include <torch/torch.h>

#include "ptbert/speed/weight_format.h"

namespace ptbert {

using torch::Tensor;

/// The weight of a linear layer as decoding reads it: from memory, once for each token, which is
/// what the time of a token goes into. So it may be stored in fewer bytes.
struct StreamedWeight {
  WeightFormat format;
  /// Whether float32 `values` are [in, out], as those of a Conv1D, or [out, in].
  bool inputs_first;
  int64_t inputs, outputs;
  /// float32, or bfloat16 or int8 [panels, in, kPanel], with zeros behind the last output
  Tensor values;
  /// For int8: what the integers of each output are multiplied by, [out].
  Tensor scales;
  /// [out] or undefined
  Tensor bias;
};

/// `weight` in a format; in float32 it is shared, not copied, if it is contiguous. On the CPU.
StreamedWeight make_streamed_weight(const Tensor& weight, bool inputs_first, const Tensor& bias,
                                    WeightFormat format);

/// x W + b for a few rows: `x` [rows, in] -> [rows, out], float32, contiguous. Each row is computed
/// alike whatever the number of rows.
Tensor multiply_streamed(const Tensor& x, const StreamedWeight& weight);

/// The same for many rows: a general product with the weight in float32, rounded to its format.
Tensor multiply_expanded(const Tensor& x, const StreamedWeight& weight);

} // namespace ptbert
