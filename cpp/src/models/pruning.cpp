#include "ptbert/models/pruning.h"

#include <algorithm>

namespace ptbert {
namespace {

/// Makes `value` the parameter `name` in the place of `parameter`.
template <typename Layer>
void replace(Layer& layer, const char* name, const Tensor& parameter, const Tensor& value) {
  layer->bind(name, value.clone().requires_grad_(parameter.requires_grad()));
}

template <typename Layer>
void prune_layer(Layer& layer, const Tensor& index, int64_t dim, int64_t output_dim) {
  const auto rows = index.to(layer->weight.device());
  replace(layer, "weight", layer->weight, layer->weight.detach().index_select(dim, rows));
  if (layer->bias.defined() && dim == output_dim)
    replace(layer, "bias", layer->bias, layer->bias.detach().index_select(0, rows));
}

bool contains(const std::vector<int64_t>& heads, int64_t head) {
  return std::find(heads.begin(), heads.end(), head) != heads.end();
}

} // namespace

void prune_linear_layer(Linear& layer, const Tensor& index, int64_t dim) {
  prune_layer(layer, index, dim, /*output_dim=*/0);
}

void prune_conv1d_layer(Conv1D& layer, const Tensor& index, int64_t dim) {
  prune_layer(layer, index, dim, /*output_dim=*/1);
}

std::vector<int64_t> kept_heads(int64_t count, const std::vector<int64_t>& removed,
                                const std::string& name) {
  auto sorted = removed;
  std::sort(sorted.begin(), sorted.end());
  for (const auto head : sorted)
    TORCH_CHECK_VALUE(head >= 0 && head < count, "`", name, "` must be in [0, ", count, "), but ",
                      head, " is among them.");
  std::vector<int64_t> kept;
  for (int64_t head = 0; head < count; ++head) {
    if (!contains(removed, head))
      kept.push_back(head);
  }
  TORCH_CHECK_VALUE(!kept.empty(), "`", name, "` must leave at least one of ", count,
                    " heads, but names all.");
  return kept;
}

int64_t layer_number(int64_t layer, int64_t layers, const std::string& name) {
  TORCH_CHECK_VALUE(layer >= -layers && layer < layers, "`", name, "` must name layers in [-",
                    layers, ", ", layers, "), but has ", layer, ".");
  return layer < 0 ? layer + layers : layer;
}

HeadsOfLayers kept_heads_of_layers(const HeadsOfLayers& removed, const std::vector<int64_t>& counts,
                                   const std::string& name) {
  const auto layers = static_cast<int64_t>(counts.size());
  HeadsOfLayers by_number; // a layer may be named twice: -1 is the last
  for (const auto& [layer, heads] : removed) {
    auto& all = by_number[layer_number(layer, layers, name)];
    all.insert(all.end(), heads.begin(), heads.end());
  }
  HeadsOfLayers kept;
  for (const auto& [layer, heads] : by_number) {
    if (!heads.empty())
      kept[layer] = kept_heads(counts[layer], heads, name + "[" + std::to_string(layer) + "]");
  }
  return kept;
}

std::vector<int64_t> pruned_heads(int64_t count, const std::vector<int64_t>& pruned,
                                  const std::vector<int64_t>& kept) {
  std::vector<int64_t> all;
  for (int64_t head = 0, present = 0; head < count; ++head) {
    if (contains(pruned, head) || !contains(kept, present++))
      all.push_back(head);
  }
  return all;
}

Tensor rows_of_heads(const std::vector<int64_t>& heads, int64_t head_size) {
  const auto starts = torch::tensor(heads, torch::kLong).unsqueeze(1) * head_size; // -> [heads, 1]
  return (starts + torch::arange(head_size)).flatten(); // [heads, head_size] -> [*]
}

} // namespace ptbert
