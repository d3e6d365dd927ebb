#pragma once

#include <bit>
#include <cstdint>

/// Products of a few rows with the weights of a layer, which are read from memory once: the loops
/// that decoding spends its time in. Each row is computed alike whatever the number of rows.

namespace ptbert {

/// A matrix whose rows are `stride` elements apart.
template <typename T> struct Rows {
  T* first;
  int64_t stride;

  T* operator[](int64_t row) const { return first + row * stride; }
};

/// Outputs in a panel: a weight of another format than float32 is stored as panels [inputs,
/// kPanel], one after the other, so that each is read from its beginning to its end.
inline constexpr int64_t kPanel = 24;

/// The loops as compiled for one kind of processor. `x` is [rows, inputs].
struct RowKernels {
  /// y += x W: `weight` [inputs, outputs], `y` [rows, outputs].
  void (*add_product)(Rows<const float> x, int64_t rows, int64_t inputs, Rows<const float> weight,
                      int64_t outputs, Rows<float> y);
  /// y = x W^T: `weight` [outputs, inputs], `y` [rows, outputs].
  void (*dot_products)(Rows<const float> x, int64_t rows, int64_t inputs, Rows<const float> weight,
                       int64_t outputs, Rows<float> y);
  /// y = x W for one panel [inputs, kPanel] of bfloat16, given as its bits, or int8; `y` [rows,
  /// kPanel].
  void (*multiply_bfloat16)(Rows<const float> x, int64_t rows, int64_t inputs,
                            const uint16_t* panel, float* y);
  void (*multiply_int8)(Rows<const float> x, int64_t rows, int64_t inputs, const int8_t* panel,
                        float* y);
};

/// Those for the processor that runs this.
const RowKernels& row_kernels();
/// For any processor.
extern const RowKernels kPortableRowKernels;
/// With AVX2, or nullptr where they cannot run.
const RowKernels* avx2_row_kernels();

/// A weight stored as bfloat16 (its bits) or int8, as a float.
inline float widened(int8_t x) { return static_cast<float>(x); }
inline float widened(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// One head of attention for one query: softmax((q K^T + bias) scale) V. `keys` and `values` are
/// [count, size]; `bias` [count], or nullptr for none; `weights` [count] is scratch memory;
/// `output` [size].
void attend_one_query(const float* query, const float* keys, const float* values, int64_t count,
                      int64_t size, float scale, const float* bias, float* weights, float* output);

} // namespace ptbert
