#include "streamed_weight.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "row_kernels.h"

namespace ptbert {
namespace {

/// Outputs that a thread takes at a time: a tile of kDepth inputs by kTile outputs and the sums of
/// one row fit into the L1 cache.
constexpr int64_t kTile = 512;

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

/// y += x W for weights [in, out]; y [rows, out] starts as zeros.
template <typename Stored>
void multiply_inputs_first(const float* x, int64_t rows, const StreamedWeight& weight,
                           const Stored* values, float* y) {
  const auto inputs = weight.inputs, outputs = weight.outputs;
  for_each_tile(outputs, tile_size(outputs), [&](int64_t first, int64_t last) {
    const auto width = last - first;
    alignas(64) float tile[kDepth * kTile];
    for (int64_t k = 0; k < inputs; k += kDepth) {
      const auto depth = std::min<int64_t>(kDepth, inputs - k);
      const auto* part = values + k * outputs + first;
      if (depth < kDepth)
        std::memset(tile, 0, sizeof tile);
      if (rows == 1 && depth == kDepth) {
        add_tile(x + k, part, outputs, width, y + first);
        continue;
      }
      for (int64_t i = 0; i < depth; ++i)
        expand(part + i * outputs, width, tile + i * kTile);
      for (int64_t row = 0; row < rows; ++row) {
        float factors[kDepth] = {};
        std::copy_n(x + row * inputs + k, depth, factors);
        add_tile(factors, tile, kTile, width, y + row * outputs + first);
      }
    }
    if (weight.format == WeightFormat::kInt8) {
      const auto* scales = weight.scales.const_data_ptr<float>();
      for (int64_t row = 0; row < rows; ++row)
        scale_tile(scales + first, width, y + row * outputs + first);
    }
  });
}

/// y = x W^T for weights [out, in].
template <typename Stored>
void multiply_outputs_first(const float* x, int64_t rows, const StreamedWeight& weight,
                            const Stored* values, float* y) {
  const auto inputs = weight.inputs, outputs = weight.outputs;
  const auto* scales =
      weight.format == WeightFormat::kInt8 ? weight.scales.const_data_ptr<float>() : nullptr;
  for_each_tile(outputs, 4 * kDots, [&](int64_t first, int64_t last) {
    std::vector<float> expanded; // kDots rows of weights that are not stored as floats
    for (int64_t i = first; i < last; i += kDots) {
      const auto count = std::min<int64_t>(kDots, last - i);
      const float* part = nullptr;
      if constexpr (std::is_same_v<Stored, float>) {
        part = values + i * inputs;
      } else {
        expanded.resize(kDots * inputs);
        expand(values + i * inputs, count * inputs, expanded.data());
        part = expanded.data();
      }
      for (int64_t row = 0; row < rows; ++row) {
        float sums[kDots];
        dot_products(x + row * inputs, part, inputs, count, sums);
        for (int64_t j = 0; j < count; ++j)
          y[row * outputs + i + j] = scales ? sums[j] * scales[i + j] : sums[j];
      }
    }
  });
}

template <typename Work> void with_values(const StreamedWeight& weight, const Work& work) {
  switch (weight.format) {
  case WeightFormat::kFloat32:
    return work(weight.values.const_data_ptr<float>());
  case WeightFormat::kBFloat16:
    return work(reinterpret_cast<const uint16_t*>(weight.values.const_data_ptr<at::BFloat16>()));
  case WeightFormat::kInt8:
    return work(weight.values.const_data_ptr<int8_t>());
  }
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
  switch (format) {
  case WeightFormat::kFloat32:
    result.values = to_float(weight);
    break;
  case WeightFormat::kBFloat16:
    result.values = weight.detach().to(torch::kBFloat16).contiguous();
    break;
  case WeightFormat::kInt8: {
    const auto values = to_float(weight);
    const auto largest = values.abs().amax(inputs_first ? 0 : 1, /*keepdim=*/true);
    const auto scales = (largest / 127).clamp_min(1e-30);
    result.values = (values / scales).round_().to(torch::kChar);
    result.scales = scales.flatten(); // -> [out]
    break;
  }
  }
  return result;
}

Tensor multiply_streamed(const Tensor& x, const StreamedWeight& weight) {
  const auto rows = x.size(0);
  Tensor y;
  if (weight.inputs_first) {
    y = torch::zeros({rows, weight.outputs});
    with_values(weight, [&](const auto* values) {
      multiply_inputs_first(x.const_data_ptr<float>(), rows, weight, values, y.data_ptr<float>());
    });
  } else {
    y = torch::empty({rows, weight.outputs});
    with_values(weight, [&](const auto* values) {
      multiply_outputs_first(x.const_data_ptr<float>(), rows, weight, values, y.data_ptr<float>());
    });
  }
  return weight.bias.defined() ? y.add_(weight.bias) : y;
}

Tensor multiply_expanded(const Tensor& x, const StreamedWeight& weight) {
  auto values = weight.values.to(torch::kFloat);
  if (weight.format == WeightFormat::kInt8)
    values.mul_(weight.inputs_first ? weight.scales : weight.scales.unsqueeze(1));
  const auto matrix = weight.inputs_first ? values : values.t(); // -> [in, out]
  return weight.bias.defined() ? torch::addmm(weight.bias, x, matrix) : x.mm(matrix);
}

} // namespace ptbert
