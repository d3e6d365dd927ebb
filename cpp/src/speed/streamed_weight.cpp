#include "streamed_weight.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "ptbert/speed/linear_products.h"
#include "row_kernels.h"

namespace ptbert {
namespace {

/// Rows of a call of multiply_streamed() that are computed at once.
constexpr int64_t kMostRows = 32;
/// Outputs of a float32 weight that a thread takes at a time: their sums of one row stay in the L1
/// cache.
constexpr int64_t kTile = 1536;
/// Inputs of a float32 weight [in, out] that are added up at once.
constexpr int64_t kChunk = 192;
/// For so few rows each thread takes chunks rather than outputs, since reading a weight in the
/// order of memory is faster then: 1.1 times with AVX-512 and 2 cores (AMD Zen 4).
constexpr int64_t kInMemoryOrder = 4;

/// Calls work(first, last) for tiles of `count` outputs.
template <typename Work> void for_each_tile(int64_t count, int64_t tile, const Work& work) {
  const auto tiles = (count + tile - 1) / tile;
  at::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      work(i * tile, std::min((i + 1) * tile, count));
  });
}

/// Outputs per thread and call: at most kTile, and few enough for all threads.
int64_t tile_size(int64_t outputs) {
  const auto share = (outputs + at::get_num_threads() - 1) / at::get_num_threads();
  return std::clamp<int64_t>((share + 15) / 16 * 16, 16, kTile);
}

void fill_with_bias(const StreamedWeight& weight, Rows<float> y, int64_t rows, int64_t first,
                    int64_t last) {
  for (int64_t row = 0; row < rows; ++row) {
    if (weight.bias.defined()) {
      std::copy_n(weight.bias.const_data_ptr<float>() + first, last - first, y[row] + first);
    } else {
      std::fill_n(y[row] + first, last - first, 0.F);
    }
  }
}

/// y = x W + b for weights [in, out]. Sums are those of kChunk inputs each, added up in order, so
/// that they do not depend on who computes them.
void multiply_inputs_first(Rows<const float> x, int64_t rows, const StreamedWeight& weight,
                           Rows<float> y) {
  const auto inputs = weight.inputs, outputs = weight.outputs;
  const auto chunks = (inputs + kChunk - 1) / kChunk;
  const auto* values = weight.values.const_data_ptr<float>();
  const auto add_chunk = [&](int64_t chunk, int64_t first, int64_t last, Rows<float> sums) {
    const auto k = chunk * kChunk;
    row_kernels().add_product({x[0] + k, x.stride}, rows, std::min(kChunk, inputs - k),
                              {values + k * outputs + first, outputs}, last - first, sums);
  };
  const auto add_sums = [&](const float* sums, int64_t first, int64_t last, int64_t stride) {
    for (int64_t row = 0; row < rows; ++row)
      for (auto j = first; j < last; ++j)
        y[row][j] += sums[row * stride + j - first];
  };
  if (rows <= kInMemoryOrder && chunks >= at::get_num_threads()) {
    std::vector<float> sums(chunks * rows * outputs); // [chunks, rows, outputs]
    const auto sums_of = [&](int64_t chunk) { return sums.data() + chunk * rows * outputs; };
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (auto chunk = begin; chunk < end; ++chunk)
        add_chunk(chunk, 0, outputs, {sums_of(chunk), outputs});
    });
    for_each_tile(outputs, tile_size(outputs), [&](int64_t first, int64_t last) {
      fill_with_bias(weight, y, rows, first, last);
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        add_sums(sums_of(chunk) + first, first, last, outputs);
    });
    return;
  }
  for_each_tile(outputs, tile_size(outputs), [&](int64_t first, int64_t last) {
    fill_with_bias(weight, y, rows, first, last);
    std::vector<float> sums(rows * (last - first)); // [rows, last - first]
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      std::fill(sums.begin(), sums.end(), 0.F);
      add_chunk(chunk, first, last, {sums.data(), last - first});
      add_sums(sums.data(), first, last, last - first);
    }
  });
}

/// y = x W^T + b for weights [out, in].
void multiply_outputs_first(Rows<const float> x, int64_t rows, const StreamedWeight& weight,
                            Rows<float> y) {
  const auto inputs = weight.inputs, outputs = weight.outputs;
  const auto* values = weight.values.const_data_ptr<float>();
  const auto* bias = weight.bias.defined() ? weight.bias.const_data_ptr<float>() : nullptr;
  for_each_tile(outputs, tile_size(outputs), [&](int64_t first, int64_t last) {
    row_kernels().dot_products(x, rows, inputs, {values + first * inputs, inputs}, last - first,
                               {y[0] + first, y.stride});
    for (int64_t row = 0; bias && row < rows; ++row)
      for (auto j = first; j < last; ++j)
        y[row][j] += bias[j];
  });
}

/// `kernel` multiplies one panel.
template <typename Stored, typename Kernel>
void multiply_panels(Rows<const float> x, int64_t rows, const StreamedWeight& weight,
                     const Stored* values, const Kernel& kernel, Rows<float> y) {
  const auto outputs = weight.outputs;
  const auto* scales = weight.scales.defined() ? weight.scales.const_data_ptr<float>() : nullptr;
  for_each_tile(outputs, kPanel, [&](int64_t first, int64_t last) {
    std::array<float, kMostRows * kPanel> sums; // [rows, kPanel]
    kernel(x, rows, weight.inputs, values + first * weight.inputs, sums.data());
    fill_with_bias(weight, y, rows, first, last);
    for (int64_t row = 0; row < rows; ++row)
      for (auto j = first; j < last; ++j)
        y[row][j] += sums[row * kPanel + j - first] * (scales ? scales[j] : 1);
  });
}

const uint16_t* bits_of(const Tensor& bfloat16) {
  return reinterpret_cast<const uint16_t*>(bfloat16.const_data_ptr<at::BFloat16>());
}

/// The weights as floats, [in, out].
template <typename Stored> Tensor widen(const StreamedWeight& weight, const Stored* values) {
  const auto inputs = weight.inputs, outputs = weight.outputs;
  auto result = torch::empty({inputs, outputs});
  auto* to = result.data_ptr<float>();
  const auto* scales = weight.scales.defined() ? weight.scales.const_data_ptr<float>() : nullptr;
  for_each_tile(outputs, kPanel, [&](int64_t first, int64_t last) {
    const auto* panel = values + first * inputs;
    for (int64_t k = 0; k < inputs; ++k, panel += kPanel)
      for (auto j = first; j < last; ++j)
        to[k * outputs + j] = widened(panel[j - first]) * (scales ? scales[j] : 1);
  });
  return result;
}

/// [in, out] -> [panels, in, kPanel]
Tensor to_panels(const Tensor& matrix) {
  const auto inputs = matrix.size(0), outputs = matrix.size(1);
  const auto panels = (outputs + kPanel - 1) / kPanel;
  return torch::constant_pad_nd(matrix, {0, panels * kPanel - outputs})
      .view({inputs, panels, kPanel})
      .transpose(0, 1)
      .contiguous();
}

} // namespace

StreamedWeight make_streamed_weight(const Tensor& weight, bool inputs_first, const Tensor& bias,
                                    WeightFormat format) {
  StreamedWeight result{format, inputs_first, weight.size(inputs_first ? 0 : 1),
                        weight.size(inputs_first ? 1 : 0)};
  const auto to_float = [](const Tensor& x) {
    return x.defined() ? x.detach().to(torch::kFloat).contiguous() : x;
  };
  result.bias = to_float(bias);
  const auto matrix = inputs_first ? weight.detach() : weight.detach().t(); // -> [in, out]
  switch (format) {
  case WeightFormat::kFloat32:
    result.values = to_float(weight);
    break;
  case WeightFormat::kBFloat16:
    result.values = to_panels(matrix.to(torch::kBFloat16));
    break;
  case WeightFormat::kInt8: {
    const auto values = matrix.to(torch::kFloat);
    const auto scales = (values.abs().amax(0) / 127).clamp_min(1e-30); // -> [out]
    result.values = to_panels((values / scales).round_().to(torch::kChar));
    result.scales = scales;
    break;
  }
  }
  return result;
}

Tensor multiply_streamed(const Tensor& x, const StreamedWeight& weight) {
  const auto rows = x.size(0);
  auto result = torch::empty({rows, weight.outputs});
  for (int64_t begin = 0; begin < rows; begin += kMostRows) {
    const auto count = std::min(kMostRows, rows - begin);
    const Rows<const float> from{x.const_data_ptr<float>() + begin * weight.inputs, weight.inputs};
    const Rows<float> to{result.data_ptr<float>() + begin * weight.outputs, weight.outputs};
    switch (weight.format) {
    case WeightFormat::kFloat32:
      weight.inputs_first ? multiply_inputs_first(from, count, weight, to)
                          : multiply_outputs_first(from, count, weight, to);
      break;
    case WeightFormat::kBFloat16:
      multiply_panels(from, count, weight, bits_of(weight.values), row_kernels().multiply_bfloat16,
                      to);
      break;
    case WeightFormat::kInt8:
      multiply_panels(from, count, weight, weight.values.const_data_ptr<int8_t>(),
                      row_kernels().multiply_int8, to);
      break;
    }
  }
  return result;
}

Tensor multiply_expanded(const Tensor& x, const StreamedWeight& weight) {
  Tensor matrix; // [in, out]
  switch (weight.format) {
  case WeightFormat::kFloat32:
    matrix = weight.inputs_first ? weight.values : weight.values.t();
    break;
  case WeightFormat::kBFloat16:
    matrix = widen(weight, bits_of(weight.values));
    break;
  case WeightFormat::kInt8:
    matrix = widen(weight, weight.values.const_data_ptr<int8_t>());
    break;
  }
  return linear_product(x, matrix.t(), weight.bias);
}

} // namespace ptbert
