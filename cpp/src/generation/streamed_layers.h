#pragma once

#include <vector>

#include "ptbert/models/layers.h"
#include "speed/streamed_weight.h"

/// What decoders of all families compute with: parts of layers on tokens of several rows, which
/// stand one after the other in [tokens, width].

namespace ptbert {

struct LayerNormWeights {
  Tensor weight, bias;
  double epsilon;

  Tensor operator()(const Tensor& x) const {
    return torch::layer_norm(x, {x.size(-1)}, weight, bias, epsilon);
  }
};

/// Without gradient, in float32 and contiguous.
Tensor plain(const Tensor& x);
LayerNormWeights take(const BertLayerNorm& norm);
StreamedWeight take(const Conv1D& layer, WeightFormat format);
StreamedWeight take(const Linear& layer, WeightFormat format);
/// A model in bfloat16 is not stored in more bytes than it has.
WeightFormat stored_format(const Tensor& weight, WeightFormat asked);

/// The reason why no decoder can read the parameters of `model`, which all have the dtype of
/// `weight`, or nullptr.
const char* why_not_read(const torch::nn::Module& model, const Tensor& weight);

/// x W + b, [tokens, in] -> [tokens, out]
Tensor multiply(const Tensor& x, const StreamedWeight& weight);

/// The appended tokens of a row: the row's place in the state, the first token's place among those
/// of all rows, how many they are, and where in the cache their keys begin.
struct AppendedRow {
  int64_t row, first, count, past;
};

/// Where the rows end that can be computed together with `rows[begin]`: those behind it in the
/// state with as many tokens.
size_t end_of_alike(const std::vector<AppendedRow>& rows, size_t begin);

/// Stores the keys and values of the appended tokens: `projected` [tokens, 3 * width] of queries,
/// keys and values, `cache` [2, rows, heads, capacity, size].
void store(const Tensor& projected, const std::vector<AppendedRow>& rows, Tensor& cache);

} // namespace ptbert
