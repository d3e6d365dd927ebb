#include "few_rows_product.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <array>
#include <atomic>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace ptbert {

#ifdef __x86_64__
namespace {

#define PTBERT_AVX2 __attribute__((target("avx2,fma")))

/// Floats per vector register.
constexpr int64_t kLanes = 8;
/// Rows of `x` that are multiplied at once, in two vectors: a panel.
constexpr int64_t kPanel = 2 * kLanes;
/// Features that are multiplied at once: their sums (two vectors each), the two vectors of a panel
/// and one broadcast weight fit into the processor's 16 vector registers.
constexpr int64_t kStrip = 6;
/// Inputs that are multiplied at once, so that the part of a panel in use stays in the L1 cache.
constexpr int64_t kDepth = 384;
/// Features that a thread takes at a time.
constexpr int64_t kBlock = 4 * kStrip;

/// Transposes `matrix` [8, 8], rows `stride` apart, into `to`, rows `to_stride` apart.
PTBERT_AVX2 void transpose(const float* matrix, int64_t stride, float* to, int64_t to_stride) {
  __m256 rows[kLanes], pairs[kLanes], fours[kLanes];
  for (int64_t i = 0; i < kLanes; ++i)
    rows[i] = _mm256_loadu_ps(matrix + i * stride);
  for (int64_t i = 0; i < kLanes; i += 2) { // elements of two rows side by side
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int64_t i = 0; i < kLanes; i += 4) { // of four
    for (int64_t j = 0; j < 2; ++j) {
      fours[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0x44);
      fours[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + j + 2], 0xEE);
    }
  }
  for (int64_t i = 0; i < kLanes / 2; ++i) { // of eight
    _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * to_stride,
                     _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31));
  }
}

/// Transposes `matrix` [rows, columns], rows `stride` apart, into `to`, rows `to_stride` apart.
void transpose(const float* matrix, int64_t rows, int64_t columns, int64_t stride, float* to,
               int64_t to_stride) {
  for (int64_t i = 0; i < rows; i += kLanes) {
    for (int64_t j = 0; j < columns; j += kLanes) {
      if (i + kLanes <= rows && j + kLanes <= columns) {
        transpose(matrix + i * stride + j, stride, to + j * to_stride + i, to_stride);
        continue;
      }
      for (int64_t k = i; k < std::min(i + kLanes, rows); ++k)
        for (int64_t l = j; l < std::min(j + kLanes, columns); ++l)
          to[l * to_stride + k] = matrix[k * stride + l];
    }
  }
}

/// sums += weight panel: `sums` [features, kPanel] with rows `sums_stride` apart, `weight`
/// [features, depth] with rows `stride` apart, `panel` [depth, kPanel].
template <int kFeatures>
PTBERT_AVX2 void add_product(const float* weight, int64_t stride, const float* panel, int64_t depth,
                             float* sums, int64_t sums_stride) {
  __m256 low[kFeatures], high[kFeatures];
#pragma GCC unroll 6
  for (int i = 0; i < kFeatures; ++i) {
    low[i] = _mm256_loadu_ps(sums + i * sums_stride);
    high[i] = _mm256_loadu_ps(sums + i * sums_stride + kLanes);
  }
  for (int64_t k = 0; k < depth; ++k, panel += kPanel) {
    const __m256 x_low = _mm256_loadu_ps(panel), x_high = _mm256_loadu_ps(panel + kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kFeatures; ++i) {
      const __m256 w = _mm256_broadcast_ss(weight + i * stride + k);
      low[i] = _mm256_fmadd_ps(w, x_low, low[i]);
      high[i] = _mm256_fmadd_ps(w, x_high, high[i]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kFeatures; ++i) {
    _mm256_storeu_ps(sums + i * sums_stride, low[i]);
    _mm256_storeu_ps(sums + i * sums_stride + kLanes, high[i]);
  }
}

/// Indexed by the number of features - 1.
constexpr std::array kAddProduct{add_product<1>, add_product<2>, add_product<3>,
                                 add_product<4>, add_product<5>, add_product<6>};

/// Calls work(i) for all i in [0, count); threads take the next i when they are free.
template <typename Work> void for_each_in_parallel(int64_t count, const Work& work) {
  std::atomic<int64_t> next{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    for (int64_t i = 0; (i = next++) < count;)
      work(i);
  });
}

} // namespace

bool can_multiply_few_rows() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

Tensor multiply_few_rows(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  RECORD_FUNCTION("ptbert::multiply_few_rows", std::vector<c10::IValue>({x, weight}));
  const auto rows = x.size(0), inputs = x.size(1), features = weight.size(0);
  TORCH_INTERNAL_ASSERT(rows <= kMostRows);
  const auto panels = (rows + kPanel - 1) / kPanel, padded = panels * kPanel;
  auto result = torch::empty({rows, features}, x.options());
  const auto x_panels = torch::empty({panels, inputs, kPanel}, x.options());
  const auto *x_data = x.const_data_ptr<float>(), *weight_data = weight.const_data_ptr<float>();
  const auto* bias_data = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  auto *result_data = result.data_ptr<float>(), *panels_data = x_panels.data_ptr<float>();

  for_each_in_parallel(panels, [&](int64_t p) {
    const auto count = std::min(kPanel, rows - p * kPanel);
    auto* panel = panels_data + p * inputs * kPanel;
    if (count < kPanel)
      std::fill_n(panel, inputs * kPanel, 0.F);
    transpose(x_data + p * kPanel * x.stride(0), count, inputs, x.stride(0), panel, kPanel);
  });
  for_each_in_parallel((features + kBlock - 1) / kBlock, [&](int64_t block) {
    const auto first = block * kBlock, count = std::min(kBlock, features - first);
    std::array<float, kBlock * kMostRows> sums; // [kBlock, kMostRows]
    for (int64_t i = 0; i < count; ++i)
      std::fill_n(&sums[i * kMostRows], padded, bias_data ? bias_data[first + i] : 0.F);
    for (int64_t k = 0; k < inputs; k += kDepth) {
      const auto depth = std::min(kDepth, inputs - k);
      for (int64_t row = 0; row < padded; row += kPanel) {
        const auto* panel = panels_data + row * inputs + k * kPanel;
        for (int64_t i = 0; i < count; i += kStrip) {
          const auto* strip = weight_data + (first + i) * weight.stride(0) + k;
          kAddProduct[std::min(kStrip, count - i) - 1](strip, weight.stride(0), panel, depth,
                                                       &sums[i * kMostRows + row], kMostRows);
        }
      }
    }
    transpose(sums.data(), count, rows, kMostRows, result_data + first, features);
  });
  return result;
}

#else // not x86

bool can_multiply_few_rows() { return false; }

Tensor multiply_few_rows(const Tensor&, const Tensor&, const Tensor&) {
  TORCH_INTERNAL_ASSERT(false, "can_multiply_few_rows() is false here");
}

#endif

} // namespace ptbert
