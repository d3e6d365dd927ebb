#include "streamed_layers.h"

#include <algorithm>

namespace ptbert {
namespace {

/// Up to so many tokens at once, weights are read as they are stored; for more, a general product
/// with weights in float32 takes less time.
constexpr int64_t kFewTokens = 16;

} // namespace

Tensor plain(const Tensor& x) { return x.detach().to(torch::kFloat).contiguous(); }

LayerNormWeights take(const BertLayerNorm& norm) {
  return {plain(norm->weight), plain(norm->bias), norm->eps};
}

StreamedWeight take(const Conv1D& layer, WeightFormat format) {
  return make_streamed_weight(layer->weight, /*inputs_first=*/true, layer->bias, format);
}

StreamedWeight take(const Linear& layer, WeightFormat format) {
  return make_streamed_weight(layer->weight, /*inputs_first=*/false, layer->bias, format);
}

WeightFormat stored_format(const Tensor& weight, WeightFormat asked) {
  const bool is_bfloat16 = weight.scalar_type() == torch::kBFloat16;
  return is_bfloat16 && asked == WeightFormat::kFloat32 ? WeightFormat::kBFloat16 : asked;
}

const char* why_not_read(const torch::nn::Module& model, const Tensor& weight) {
  for (const auto& module : model.modules()) {
    const auto* dropout = module->as<DropoutImpl>();
    if (dropout != nullptr && dropout->is_dropping())
      return "dropout is on; call eval() first";
  }
  for (const auto& parameter : model.parameters()) {
    const auto dtype = parameter.scalar_type();
    if (!parameter.is_cpu() || dtype != weight.scalar_type() ||
        (dtype != torch::kFloat && dtype != torch::kBFloat16))
      return "parameters are not on the CPU in float32 or bfloat16";
  }
  return nullptr;
}

Tensor multiply(const Tensor& x, const StreamedWeight& weight) {
  return x.size(0) <= kFewTokens ? multiply_streamed(x, weight) : multiply_expanded(x, weight);
}

size_t end_of_alike(const std::vector<AppendedRow>& rows, size_t begin) {
  auto end = begin + 1;
  while (end < rows.size() && rows[end].row == rows[end - 1].row + 1 &&
         rows[end].count == rows[begin].count && rows[end].past == rows[begin].past)
    ++end;
  return end;
}

void store(const Tensor& projected, const std::vector<AppendedRow>& rows, Tensor& cache) {
  const auto places = cache.size(1), heads = cache.size(2), capacity = cache.size(3);
  const auto size = cache.size(4), width = heads * size;
  const auto* from = projected.const_data_ptr<float>();
  auto* to = cache.data_ptr<float>();
  for (int64_t part = 0; part < 2; ++part) { // keys, values
    for (const auto& row : rows) {
      for (int64_t head = 0; head < heads; ++head) {
        auto* target =
            to + (((part * places + row.row) * heads + head) * capacity + row.past) * size;
        const auto* source = from + row.first * 3 * width + (1 + part) * width + head * size;
        for (int64_t i = 0; i < row.count; ++i)
          std::copy_n(source + i * 3 * width, size, target + i * size);
      }
    }
  }
}

} // namespace ptbert
