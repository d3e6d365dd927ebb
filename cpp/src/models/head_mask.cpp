#include "head_mask.h"

#include <algorithm>

namespace ptbert {

Tensor expand_head_mask(const Tensor& head_mask, torch::ScalarType dtype) {
  if (!head_mask.defined())
    return {};
  const auto rows =
      head_mask.dim() == 1 ? head_mask.unsqueeze(0) : head_mask;  // [1 or layers, heads]
  return rows.to(dtype).unsqueeze(1).unsqueeze(-1).unsqueeze(-1); // -> [*, 1, heads, 1, 1]
}

Tensor stack_head_masks(const std::vector<Tensor>& masks) {
  const auto given =
      std::find_if(masks.begin(), masks.end(), [](const Tensor& mask) { return mask.defined(); });
  if (given == masks.end())
    return {};
  std::vector<Tensor> all;
  for (const auto& mask : masks)
    all.push_back(mask.defined() ? mask : torch::ones_like(*given));
  return torch::stack(torch::broadcast_tensors(all)); // -> [layers, 1, heads, 1, 1]
}

Tensor head_mask_of_layer(const Tensor& head_mask, int64_t i) {
  if (!head_mask.defined())
    return {};
  return head_mask.size(0) == 1 ? head_mask[0] : head_mask[i]; // -> [1, heads, 1, 1]
}

void check_model_head_mask(const Tensor& head_mask) {
  TORCH_CHECK_VALUE(!head_mask.defined() || head_mask.dim() == 1 || head_mask.dim() == 2,
                    "`head_mask` must be of shape [heads] or [layers, heads], but is of shape ",
                    head_mask.sym_sizes(), ".");
}

void check_stack_head_mask(const Tensor& head_mask, int64_t layers) {
  if (!head_mask.defined())
    return;
  TORCH_CHECK_VALUE(
      head_mask.dim() == 5,
      "`head_mask` of an encoder must be of shape [layers, 1, heads, 1, 1], but is of "
      "shape ",
      head_mask.sym_sizes(), ".");
  TORCH_CHECK_VALUE(head_mask.sym_size(0) == 1 || head_mask.sym_size(0) == layers,
                    "`head_mask` must have a row for each of ", layers, " layers, but has ",
                    head_mask.sym_size(0), ".");
}

void check_layer_head_mask(const Tensor& head_mask, int64_t heads) {
  if (!head_mask.defined())
    return;
  TORCH_CHECK_VALUE(head_mask.dim() == 4,
                    "`head_mask` of a layer must be of shape [1, heads, 1, 1], but is of shape ",
                    head_mask.sym_sizes(), ".");
  TORCH_CHECK_VALUE(head_mask.sym_size(1) == 1 || head_mask.sym_size(1) == heads,
                    "`head_mask` must be for the ", heads, " heads that the layer has, but is for ",
                    head_mask.sym_size(1), ".");
}

} // namespace ptbert
