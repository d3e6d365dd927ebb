#include "sequences.h"

#include <algorithm>

#include "ptbert/speed/fast_paths.h"
#include "speed/readable_values.h"

namespace ptbert {

Tensor as_rows(const Tensor& x) {
  if (!x.defined() || x.dim() == 2)
    return x;
  // [seq] -> [1, seq], [*, seq] -> [rows, seq]; also where a traced length changes
  return x.dim() == 1 ? x.unsqueeze(0) : x.flatten(0, -2);
}

Tensor with_dimensions_of(const Tensor& input_ids, const Tensor& x) {
  if (input_ids.dim() == 2)
    return x;
  // One dimension is -1, so that a traced graph serves any number of rows.
  const auto sizes = input_ids.sym_sizes();
  std::vector<c10::SymInt> leading(sizes.begin(), sizes.end() - 1);
  if (leading.empty())
    return x.squeeze(0); // [1, ...] -> [...]
  leading.front() = -1;
  return x.unflatten_symint(0, leading); // [rows, ...] -> [*, ...]
}

const char* why_not_cut(const Node& trunk, const Tensor& input_ids, const std::vector<Tensor>& past,
                        const Tensor& head_mask) {
  if (!fast_paths_enabled())
    return kSwitchedOff;
  if (!past.empty())
    return "there is a past";
  if (head_mask.defined())
    return "there is a head mask";
  if (trunk.exposes_internals())
    return "user code can see intermediate tensors (hook, replaced part, kept output)";
  return has_readable_values(input_ids) ? nullptr : kUnreadable;
}

Packing pack_until(const Tensor& positions, const Tensor& ids) {
  const auto seq = ids.size(1);
  const auto rows = positions.div(seq, "floor");
  const auto lengths = torch::ones({ids.size(0)}, torch::kLong)
                           .scatter_reduce(0, rows, positions - rows * seq + 1, "amax"); // [batch]
  const auto needed = torch::arange(seq) < lengths.unsqueeze(1); // [batch, seq]
  return make_packing(ids, needed);
}

void clear_if_undefined(std::vector<Tensor>& tensors) {
  if (std::none_of(tensors.begin(), tensors.end(), [](const auto& x) { return x.defined(); }))
    tensors.clear();
}

} // namespace ptbert
