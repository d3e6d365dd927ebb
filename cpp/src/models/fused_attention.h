#pragma once

#include <initializer_list>

#include "ptbert/models/layers.h"

/// When attention is computed by one kernel that does not store the weights.

namespace ptbert {

/// The reason why the outputs of heads cannot be computed from `inputs` by one kernel, or nullptr
/// if they can. `dropout` is that of the weights.
const char* why_not_one_kernel(Dropout& dropout, std::initializer_list<Tensor> inputs);
/// Notes whether attention was computed by one kernel, and if not why.
void note_attention(const char* why_not);

} // namespace ptbert
