#include "row_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "vectorized.h"

namespace ptbert {
namespace {

/// Eight floats, in one register or two.
typedef float Floats __attribute__((vector_size(32)));
constexpr int64_t kLanes = 8;

inline float to_float(float x) { return x; }
inline float to_float(int8_t x) { return static_cast<float>(x); }
inline float to_float(uint16_t bits) {
  const auto wide = static_cast<uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &wide, sizeof x);
  return x;
}

#define PTBERT_INLINE inline __attribute__((always_inline))

template <typename Stored>
PTBERT_INLINE void add_tile_of(const float* x, const Stored* weight, int64_t stride, int64_t width,
                               float* __restrict y) {
  static_assert(kDepth == 8);
  const float x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
  const float x4 = x[4], x5 = x[5], x6 = x[6], x7 = x[7];
  const Stored *w0 = weight, *w1 = w0 + stride, *w2 = w1 + stride, *w3 = w2 + stride;
  const Stored *w4 = w3 + stride, *w5 = w4 + stride, *w6 = w5 + stride, *w7 = w6 + stride;
#pragma GCC ivdep
  for (int64_t j = 0; j < width; ++j) {
    float low = x0 * to_float(w0[j]), high = x4 * to_float(w4[j]);
    low += x1 * to_float(w1[j]);
    high += x5 * to_float(w5[j]);
    low += x2 * to_float(w2[j]);
    high += x6 * to_float(w6[j]);
    low += x3 * to_float(w3[j]);
    high += x7 * to_float(w7[j]);
    y[j] += low + high;
  }
}

template <typename Stored>
PTBERT_INLINE void expand_of(const Stored* weight, int64_t count, float* __restrict to) {
  for (int64_t i = 0; i < count; ++i)
    to[i] = to_float(weight[i]);
}

PTBERT_INLINE void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof to); }

PTBERT_INLINE float sum_of(const Floats& x) {
  float sum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane)
    sum += x[lane];
  return sum;
}

template <int kCount>
PTBERT_INLINE void dot_products_of(const float* x, const float* weight, int64_t inputs,
                                   float* sums) {
  Floats totals[kCount][2] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= inputs; i += 2 * kLanes) {
    Floats x0, x1, w0, w1;
    load(x + i, x0);
    load(x + i + kLanes, x1);
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      load(weight + k * inputs + i, w0);
      load(weight + k * inputs + i + kLanes, w1);
      totals[k][0] += x0 * w0;
      totals[k][1] += x1 * w1;
    }
  }
  for (int k = 0; k < kCount; ++k) {
    sums[k] = sum_of(totals[k][0] + totals[k][1]);
    for (int64_t j = i; j < inputs; ++j)
      sums[k] += x[j] * weight[k * inputs + j];
  }
}

PTBERT_INLINE void dot_products_of(const float* x, const float* weight, int64_t inputs,
                                   int64_t count, float* sums) {
  if (count == kDots)
    return dot_products_of<kDots>(x, weight, inputs, sums);
  for (int64_t k = 0; k < count; ++k)
    dot_products_of<1>(x, weight + k * inputs, inputs, sums + k);
}

} // namespace

PTBERT_FUSED void add_tile(const float* x, const float* weight, int64_t stride, int64_t width,
                           float* y) {
  add_tile_of(x, weight, stride, width, y);
}
PTBERT_FUSED void add_tile(const float* x, const uint16_t* weight, int64_t stride, int64_t width,
                           float* y) {
  add_tile_of(x, weight, stride, width, y);
}
PTBERT_FUSED void add_tile(const float* x, const int8_t* weight, int64_t stride, int64_t width,
                           float* y) {
  add_tile_of(x, weight, stride, width, y);
}

PTBERT_FUSED void expand(const float* weight, int64_t count, float* to) {
  expand_of(weight, count, to);
}
PTBERT_FUSED void expand(const uint16_t* weight, int64_t count, float* to) {
  expand_of(weight, count, to);
}
PTBERT_FUSED void expand(const int8_t* weight, int64_t count, float* to) {
  expand_of(weight, count, to);
}

PTBERT_FUSED void scale_tile(const float* scales, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i)
    y[i] *= scales[i];
}

PTBERT_FUSED void dot_products(const float* x, const float* weight, int64_t inputs, int64_t count,
                               float* sums) {
  dot_products_of(x, weight, inputs, count, sums);
}

PTBERT_FUSED void attend_one_query(const float* query, const float* keys, const float* values,
                                   int64_t count, int64_t size, float scale, float* weights,
                                   float* output) {
  for (int64_t i = 0; i < count; i += kDots) {
    const auto some = std::min<int64_t>(kDots, count - i);
    dot_products_of(query, keys + i * size, size, some, weights + i);
  }
  float largest = weights[0] * scale;
  for (int64_t i = 0; i < count; ++i) {
    weights[i] *= scale;
    largest = std::max(largest, weights[i]);
  }
  float total = 0;
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = std::exp(weights[i] - largest);
    total += weights[i];
  }
  std::fill_n(output, size, 0.F);
  for (int64_t i = 0; i < count; ++i) {
    const float weight = weights[i] / total;
    for (int64_t j = 0; j < size; ++j)
      output[j] += weight * values[i * size + j];
  }
}

} // namespace ptbert
