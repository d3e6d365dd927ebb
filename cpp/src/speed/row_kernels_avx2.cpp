#include "row_kernels.h"

#ifdef __x86_64__
#include <immintrin.h>

#include <algorithm>

namespace ptbert {
namespace {

#define PTBERT_AVX2 __attribute__((target("avx2,fma")))

/// Floats per vector register; the processor has 16 of them.
constexpr int64_t kLanes = 8;
/// Floats per cache line.
constexpr int64_t kLine = 16;

// What is computed at once. Weights are read faster than the processor foresees, so each loop asks
// for those that it needs next.

/// Inputs of add_product().
constexpr int64_t kInputs = 8;
/// Outputs of dot_products(), for two rows.
constexpr int64_t kOutputs = 4;
/// Rows of a panel: their sums (12 registers), a row of weights (3) and one factor.
constexpr int64_t kRows = 4;
/// Inputs of a panel that stay in the L1 cache until all rows are multiplied.
constexpr int64_t kDepth = 256;

PTBERT_AVX2 inline __m256 load(const uint16_t* from) {
  const auto bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

PTBERT_AVX2 inline __m256 load(const int8_t* from) {
  const auto bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

PTBERT_AVX2 inline float sum_of(__m256 x) {
  const auto fours = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const auto twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
  return _mm_cvtss_f32(_mm_add_ss(twos, _mm_movehdup_ps(twos)));
}

/// add_product() for kInputs inputs and a multiple of kLanes outputs.
PTBERT_AVX2 void add_inputs(Rows<const float> x, int64_t rows, Rows<const float> weight,
                            int64_t outputs, Rows<float> y) {
  for (int64_t j = 0; j < outputs; j += kLanes) {
    if (j % kLine == 0) {
#pragma GCC unroll 8
      for (int64_t k = 0; k < kInputs; ++k)
        _mm_prefetch(weight[kInputs + k] + j, _MM_HINT_T0);
    }
    __m256 w[kInputs];
#pragma GCC unroll 8
    for (int64_t k = 0; k < kInputs; ++k)
      w[k] = _mm256_loadu_ps(weight[k] + j);
    for (int64_t row = 0; row < rows; ++row) {
      const auto* factors = x[row];
      auto* to = y[row] + j;
      // Two sums, which need not wait for each other.
      auto low = _mm256_loadu_ps(to);
      auto high = _mm256_mul_ps(_mm256_broadcast_ss(factors + kInputs / 2), w[kInputs / 2]);
#pragma GCC unroll 4
      for (int64_t k = 0; k < kInputs / 2; ++k) {
        low = _mm256_fmadd_ps(_mm256_broadcast_ss(factors + k), w[k], low);
        if (k > 0)
          high = _mm256_fmadd_ps(_mm256_broadcast_ss(factors + kInputs / 2 + k), w[kInputs / 2 + k],
                                 high);
      }
      _mm256_storeu_ps(to, _mm256_add_ps(low, high));
    }
  }
}

void add_product(Rows<const float> x, int64_t rows, int64_t inputs, Rows<const float> weight,
                 int64_t outputs, Rows<float> y) {
  const auto wide = outputs / kLanes * kLanes, deep = inputs / kInputs * kInputs;
  for (int64_t k = 0; k < deep; k += kInputs)
    add_inputs({x[0] + k, x.stride}, rows, {weight[k], weight.stride}, wide, y);
  kPortableRowKernels.add_product({x[0] + deep, x.stride}, rows, inputs - deep,
                                  {weight[deep], weight.stride}, wide, y);
  kPortableRowKernels.add_product(x, rows, inputs, {weight[0] + wide, weight.stride},
                                  outputs - wide, {y[0] + wide, y.stride});
}

/// dot_products() for kR rows and kO outputs.
template <int64_t kR, int64_t kO>
PTBERT_AVX2 void some_dot_products(Rows<const float> x, int64_t inputs, Rows<const float> weight,
                                   Rows<float> y) {
  __m256 sums[kR][kO];
#pragma GCC unroll 2
  for (int64_t row = 0; row < kR; ++row)
#pragma GCC unroll 4
    for (int64_t j = 0; j < kO; ++j)
      sums[row][j] = _mm256_setzero_ps();
  const auto wide = inputs / kLanes * kLanes;
  for (int64_t k = 0; k < wide; k += kLanes) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < kO; ++j) {
      if (k % kLine == 0)
        _mm_prefetch(weight[kO + j] + k, _MM_HINT_T0);
      const auto w = _mm256_loadu_ps(weight[j] + k);
#pragma GCC unroll 2
      for (int64_t row = 0; row < kR; ++row)
        sums[row][j] = _mm256_fmadd_ps(_mm256_loadu_ps(x[row] + k), w, sums[row][j]);
    }
  }
#pragma GCC unroll 2
  for (int64_t row = 0; row < kR; ++row) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < kO; ++j) {
      auto sum = sum_of(sums[row][j]);
      for (auto k = wide; k < inputs; ++k)
        sum += x[row][k] * weight[j][k];
      y[row][j] = sum;
    }
  }
}

template <int64_t kO>
void dot_products_of(Rows<const float> x, int64_t rows, int64_t inputs, Rows<const float> weight,
                     Rows<float> y) {
  int64_t row = 0;
  for (; row + 2 <= rows; row += 2)
    some_dot_products<2, kO>({x[row], x.stride}, inputs, weight, {y[row], y.stride});
  if (row < rows)
    some_dot_products<1, kO>({x[row], x.stride}, inputs, weight, {y[row], y.stride});
}

void dot_products(Rows<const float> x, int64_t rows, int64_t inputs, Rows<const float> weight,
                  int64_t outputs, Rows<float> y) {
  int64_t j = 0;
  for (; j + kOutputs <= outputs; j += kOutputs)
    dot_products_of<kOutputs>(x, rows, inputs, {weight[j], weight.stride}, {y[0] + j, y.stride});
  for (; j < outputs; ++j)
    dot_products_of<1>(x, rows, inputs, {weight[j], weight.stride}, {y[0] + j, y.stride});
}

/// y += x W for kR rows and `depth` inputs of a panel. Asks for the bytes from `next` on, `step`
/// of them for each input.
template <int64_t kR, typename Stored>
PTBERT_AVX2 void add_panel_rows(Rows<const float> x, int64_t depth, const Stored* panel, float* y,
                                const char* next, int64_t step) {
  static_assert(kPanel == 3 * kLanes);
  __m256 sums[kR][3];
#pragma GCC unroll 4
  for (int64_t row = 0; row < kR; ++row)
#pragma GCC unroll 3
    for (int64_t i = 0; i < 3; ++i)
      sums[row][i] = _mm256_loadu_ps(y + row * kPanel + i * kLanes);
  for (int64_t k = 0; k < depth; ++k, panel += kPanel, next += step) {
    _mm_prefetch(next, _MM_HINT_T0);
    const auto w0 = load(panel), w1 = load(panel + kLanes), w2 = load(panel + 2 * kLanes);
#pragma GCC unroll 4
    for (int64_t row = 0; row < kR; ++row) {
      const auto factor = _mm256_broadcast_ss(x[row] + k);
      sums[row][0] = _mm256_fmadd_ps(factor, w0, sums[row][0]);
      sums[row][1] = _mm256_fmadd_ps(factor, w1, sums[row][1]);
      sums[row][2] = _mm256_fmadd_ps(factor, w2, sums[row][2]);
    }
  }
#pragma GCC unroll 4
  for (int64_t row = 0; row < kR; ++row)
#pragma GCC unroll 3
    for (int64_t i = 0; i < 3; ++i)
      _mm256_storeu_ps(y + row * kPanel + i * kLanes, sums[row][i]);
}

template <typename Stored>
void multiply_panel(Rows<const float> x, int64_t rows, int64_t inputs, const Stored* panel,
                    float* y) {
  std::fill_n(y, rows * kPanel, 0.F);
  const auto passes = (rows + kRows - 1) / kRows;
  for (int64_t k = 0; k < inputs; k += kDepth) {
    const auto depth = std::min(kDepth, inputs - k);
    const auto* part = panel + k * kPanel;
    // Each pass over this part asks for a share of the next one.
    const auto* next = reinterpret_cast<const char*>(part + depth * kPanel);
    const auto step = static_cast<int64_t>(kPanel * sizeof(Stored)) / passes;
    for (int64_t row = 0; row < rows; row += kRows, next += depth * step) {
      const Rows<const float> factors{x[row] + k, x.stride};
      auto* sums = y + row * kPanel;
      switch (std::min(kRows, rows - row)) {
      case 1:
        add_panel_rows<1>(factors, depth, part, sums, next, step);
        break;
      case 2:
        add_panel_rows<2>(factors, depth, part, sums, next, step);
        break;
      case 3:
        add_panel_rows<3>(factors, depth, part, sums, next, step);
        break;
      default:
        add_panel_rows<4>(factors, depth, part, sums, next, step);
      }
    }
  }
}

const RowKernels kAvx2RowKernels{
    .add_product = add_product,
    .dot_products = dot_products,
    .multiply_bfloat16 = multiply_panel<uint16_t>,
    .multiply_int8 = multiply_panel<int8_t>,
};

} // namespace

const RowKernels* avx2_row_kernels() {
  static const bool can_run = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return can_run ? &kAvx2RowKernels : nullptr;
}

} // namespace ptbert

#else

namespace ptbert {

const RowKernels* avx2_row_kernels() { return nullptr; }

} // namespace ptbert

#endif
