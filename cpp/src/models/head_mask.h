#pragma once

#include <torch/torch.h>

#include <vector>

/// Masks that multiply the attention weights: 1 keeps a head, 0 removes it. The user's mask is
/// [heads] or [layers, heads]; the encoder takes [layers or 1, 1, heads, 1, 1] and each layer
/// [1, heads, 1, 1], which broadcasts to [batch, heads, query, key]. An undefined mask keeps all
/// heads and passes every check. Michel et al., 2019 (arXiv 1905.10650).

namespace ptbert {

using torch::Tensor;

/// [heads] or [layers, heads] -> [1 or layers, 1, heads, 1, 1] of `dtype`, that of the weights;
/// an undefined mask stays undefined.
Tensor expand_head_mask(const Tensor& head_mask, torch::ScalarType dtype);

/// One mask for each layer, [1, heads, 1, 1] or undefined -> [layers, 1, heads, 1, 1]; undefined if
/// all are.
Tensor stack_head_masks(const std::vector<Tensor>& masks);

/// The mask of layer `i`: [layers or 1, 1, heads, 1, 1] -> [1, heads, 1, 1]; an undefined mask
/// stays undefined.
Tensor head_mask_of_layer(const Tensor& head_mask, int64_t i);

/// The mask given to a model: [heads] or [layers, heads].
void check_model_head_mask(const Tensor& head_mask);
/// The mask given to an encoder of `layers` layers: [layers or 1, 1, heads, 1, 1].
void check_stack_head_mask(const Tensor& head_mask, int64_t layers);
/// The mask given to a layer: [1, heads or 1, 1, 1].
void check_layer_head_mask(const Tensor& head_mask, int64_t heads);

} // namespace ptbert
