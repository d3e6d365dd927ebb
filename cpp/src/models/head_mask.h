#pragma once

#include <torch/torch.h>

/// Masks that multiply the attention weights: 1 keeps a head, 0 removes it. Users give a model one
/// of shape [heads] or [layers, heads]; its stack of layers gets [layers or 1, 1, heads, 1, 1] and
/// each layer [1, heads, 1, 1], which broadcasts to [batch, heads, query, key]. An undefined one
/// keeps all heads, and passes every check. Michel et al., 2019 (arXiv 1905.10650).

namespace ptbert {

using torch::Tensor;

/// [heads] or [layers, heads] -> [1 or layers, 1, heads, 1, 1], in the dtype of the weights;
/// undefined for undefined.
Tensor expand_head_mask(const Tensor& head_mask, torch::ScalarType dtype);

/// The mask of layer `i`: [layers or 1, 1, heads, 1, 1] -> [1, heads, 1, 1], undefined
/// for undefined.
Tensor head_mask_of_layer(const Tensor& head_mask, int64_t i);

/// What the user gives to a model: [heads] or [layers, heads].
void check_model_head_mask(const Tensor& head_mask);
/// What a stack of `layers` layers takes.
void check_stack_head_mask(const Tensor& head_mask, int64_t layers);
/// What a layer takes: for `heads` heads, or for all alike.
void check_layer_head_mask(const Tensor& head_mask, int64_t heads);

} // namespace ptbert
