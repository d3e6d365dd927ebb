#include "ptbert/models/attention.h"

#include <torch/csrc/jit/frontend/tracer.h>

#include "fused_attention.h"
#include "ptbert/speed/fast_paths.h"
#include "speed/readable_values.h"

namespace ptbert {

Tensor split_into_heads(const Tensor& x, int64_t heads, int64_t head_size) {
  // A traced graph must not keep the batch and length it has seen, which view() names; unflatten()
  // takes longer, which many short blocks of a packed batch would notice.
  const auto split = torch::jit::tracer::isTracing()
                         ? x.unflatten(-1, {heads, head_size})
                         : x.view_symint({x.sym_size(0), x.sym_size(1), heads, head_size});
  return split.permute({0, 2, 1, 3}); // [batch, seq, heads, size] -> [batch, heads, seq, size]
}

const char* why_not_one_kernel(Dropout& dropout, std::initializer_list<Tensor> inputs) {
  if (!fast_paths_enabled())
    return kSwitchedOff;
  if (dropout->exposes_internals())
    return "dropout is called in Python";
  if (dropout->is_dropping())
    return "weights are dropped";
  for (const auto& x : inputs) {
    if (!x.defined())
      continue;
    if (!has_readable_values(x))
      return kUnreadable;
    if (x.requires_grad() || x._fw_grad(/*level=*/0).defined())
      return "inputs require gradients, and the kernel has no second derivative";
  }
  return nullptr;
}

void note_attention(const char* why_not) {
  PathRecorder::note("attention", why_not ? "one operation after the other" : "one kernel",
                     why_not ? why_not : "no gradient is wanted and no weight is dropped");
}

} // namespace ptbert
