#pragma once

#include <vector>

#include "ptbert/models/module.h"
#include "ptbert/speed/packing.h"

/// Batches of GPT and GPT-2: inputs [*, seq] with any number of leading dimensions are computed as
/// [batch, seq]. Later tokens do not change earlier ones, so a batch can be cut after the last
/// token of each row that is needed.

namespace ptbert {

/// [*, seq] -> [batch, seq]; an undefined tensor stays undefined.
Tensor as_rows(const Tensor& x);
/// [batch, seq, width] -> [*, seq, width] with the leading dimensions of `input_ids`
Tensor with_dimensions_of(const Tensor& input_ids, const Tensor& x);

/// The reason why a batch cannot be cut, or nullptr if it can.
const char* why_not_cut(const Node& trunk, const Tensor& input_ids, const std::vector<Tensor>& past,
                        const Tensor& head_mask);
/// The packing of `ids` [batch, seq] up to the last of `positions` [count] in each row.
Packing pack_until(const Tensor& positions, const Tensor& ids);

/// Empties `tensors` if all of them are undefined.
void clear_if_undefined(std::vector<Tensor>& tensors);

} // namespace ptbert
