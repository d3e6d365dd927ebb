#pragma once

#include <map>
#include <string>
#include <vector>

#include "ptbert/models/layers.h"

/// Permanent removal of attention heads. Michel et al., 2019 (arXiv 1905.10650).

namespace ptbert {

/// Heads by the numbers of their layers.
using HeadsOfLayers = std::map<int64_t, std::vector<int64_t>>;

/// Keeps only some outputs (`dim` 0) or inputs (`dim` 1) of a layer: `index` [kept], int64. The
/// parameters are replaced, and require gradients if they did.
void prune_linear_layer(Linear& layer, const Tensor& index, int64_t dim = 0);
/// The same for a Conv1D, whose weight is [in, out]: outputs are `dim` 1, inputs `dim` 0.
void prune_conv1d_layer(Conv1D& layer, const Tensor& index, int64_t dim = 1);

/// The heads that stay of `count`. Throws ValueError, which names `name`, if a removed one does not
/// exist or none would stay.
std::vector<int64_t> kept_heads(int64_t count, const std::vector<int64_t>& removed,
                                const std::string& name);
/// The number, from 0, of a layer that may be counted from the end (-1 is the last). Throws
/// ValueError, which names `name`, if there is no such layer.
int64_t layer_number(int64_t layer, int64_t layers, const std::string& name);
/// For each layer that loses heads, the heads that stay; `counts` [layers] are the present ones.
/// Throws ValueError as kept_heads() and layer_number() do.
HeadsOfLayers kept_heads_of_layers(const HeadsOfLayers& removed, const std::vector<int64_t>& counts,
                                   const std::string& name);
/// What a configuration notes of a layer, by the numbers that heads had at first: of `count` heads
/// `pruned` were removed before, and now all but `kept` of the others.
std::vector<int64_t> pruned_heads(int64_t count, const std::vector<int64_t>& pruned,
                                  const std::vector<int64_t>& kept);
/// The rows of heads in a weight with `head_size` rows for each: [heads * head_size]
Tensor rows_of_heads(const std::vector<int64_t>& heads, int64_t head_size);

} // namespace ptbert
