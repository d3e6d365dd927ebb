#pragma once

#include <cstdint>

/// Loops over a few thousand numbers, compiled for several kinds of processor. Weights are float,
/// bfloat16 (its bits in a uint16_t) or int8_t.

namespace ptbert {

/// Inputs that are multiplied at once.
inline constexpr int64_t kDepth = 8;
/// Outputs whose dot products are computed at once.
inline constexpr int64_t kDots = 4;

/// y += x[0] W[0] + ... + x[kDepth - 1] W[kDepth - 1]; rows of W are `stride` apart.
void add_tile(const float* x, const float* weight, int64_t stride, int64_t width, float* y);
void add_tile(const float* x, const uint16_t* weight, int64_t stride, int64_t width, float* y);
void add_tile(const float* x, const int8_t* weight, int64_t stride, int64_t width, float* y);

/// Stored weights as floats.
void expand(const float* weight, int64_t count, float* to);
void expand(const uint16_t* weight, int64_t count, float* to);
void expand(const int8_t* weight, int64_t count, float* to);

/// y[i] *= scales[i]
void scale_tile(const float* scales, int64_t count, float* y);

/// Dot products of x [inputs] with `count` <= kDots rows of `weight` [count, inputs].
void dot_products(const float* x, const float* weight, int64_t inputs, int64_t count, float* sums);

/// One head of attention for one query: softmax(q K^T scale) V. `keys` and `values` are [count,
/// size]; `weights` [count] is scratch memory; `output` [size].
void attend_one_query(const float* query, const float* keys, const float* values, int64_t count,
                      int64_t size, float scale, float* weights, float* output);

} // namespace ptbert
