#include "row_kernels.h"

#include <algorithm>
#include <cmath>

namespace ptbert {
namespace {

void add_product(Rows<const float> x, int64_t rows, int64_t inputs, Rows<const float> weight,
                 int64_t outputs, Rows<float> y) {
  for (int64_t k = 0; k < inputs; ++k) {
    for (int64_t row = 0; row < rows; ++row) {
      const float factor = x[row][k];
      for (int64_t j = 0; j < outputs; ++j)
        y[row][j] += factor * weight[k][j];
    }
  }
}

void dot_products(Rows<const float> x, int64_t rows, int64_t inputs, Rows<const float> weight,
                  int64_t outputs, Rows<float> y) {
  for (int64_t j = 0; j < outputs; ++j) {
    for (int64_t row = 0; row < rows; ++row) {
      float sum = 0;
      for (int64_t k = 0; k < inputs; ++k)
        sum += x[row][k] * weight[j][k];
      y[row][j] = sum;
    }
  }
}

template <typename Stored>
void multiply_panel(Rows<const float> x, int64_t rows, int64_t inputs, const Stored* panel,
                    float* y) {
  std::fill_n(y, rows * kPanel, 0.F);
  for (int64_t k = 0; k < inputs; ++k, panel += kPanel) {
    for (int64_t row = 0; row < rows; ++row) {
      const float factor = x[row][k];
      for (int64_t j = 0; j < kPanel; ++j)
        y[row * kPanel + j] += factor * widened(panel[j]);
    }
  }
}

} // namespace

const RowKernels kPortableRowKernels{
    .add_product = add_product,
    .dot_products = dot_products,
    .multiply_bfloat16 = multiply_panel<uint16_t>,
    .multiply_int8 = multiply_panel<int8_t>,
};

const RowKernels& row_kernels() {
  static const RowKernels& kernels = avx2_row_kernels() ? *avx2_row_kernels() : kPortableRowKernels;
  return kernels;
}

void attend_one_query(const float* query, const float* keys, const float* values, int64_t count,
                      int64_t size, float scale, const float* bias, float* weights, float* output) {
  const auto& kernels = row_kernels();
  kernels.dot_products({query, size}, 1, size, {keys, size}, count, {weights, count});
  for (int64_t i = 0; bias != nullptr && i < count; ++i)
    weights[i] += bias[i];
  const float largest = scale > 0 ? *std::max_element(weights, weights + count)
                                  : *std::min_element(weights, weights + count);
  float total = 0;
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = std::exp((weights[i] - largest) * scale);
    total += weights[i];
  }
  std::fill_n(output, size, 0.F);
  kernels.add_product({weights, count}, 1, count, {values, size}, size, {output, size});
  for (int64_t i = 0; i < size; ++i)
    output[i] /= total;
}

} // namespace ptbert
