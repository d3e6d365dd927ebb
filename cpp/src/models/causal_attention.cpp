#include "causal_attention.h"

#include <cmath>

#include <torch/csrc/jit/frontend/tracer.h>

namespace ptbert {
namespace {

bool is_causal(const Tensor& mask) {
  const bool square =
      mask.dim() == 4 && mask.size(0) == 1 && mask.size(1) == 1 && mask.size(2) == mask.size(3);
  return square && torch::equal(mask.eq(1), mask.ne(0)) &&
         torch::equal(mask.ne(0), torch::ones_like(mask, torch::kBool).tril());
}

/// 0, 1, ... along the only dimension of `x`, as operations on `x` that a traced graph repeats for
/// an input of another length.
Tensor count_along(const Tensor& x) { return torch::ones_like(x, torch::kLong).cumsum(0) - 1; }

} // namespace

Tensor make_causal_mask(int64_t n_ctx) {
  const auto options = torch::dtype(torch::kFloat).device(DefaultDevice::current());
  if (options.device().is_meta()) // where torch would run tril() in Python
    return torch::empty({1, 1, n_ctx, n_ctx}, options);
  return torch::ones({n_ctx, n_ctx}, options).tril().view({1, 1, n_ctx, n_ctx});
}

Tensor mask_of_scores(const Tensor& mask, const Tensor& scores) {
  const auto key_count = scores.sym_size(-1);
  // A slice would tie an exported program to lengths below n_ctx.
  if (torch::jit::tracer::isTracing() || key_count.is_heap_allocated()) {
    const auto one_head = scores.select(0, 0).select(0, 0); // -> [query, key]
    const auto keys = count_along(one_head.select(0, 0));
    const auto queries = count_along(one_head.select(1, 0));
    const auto past = keys.select(0, -1) - queries.select(0, -1);
    return mask.index_select(2, queries + past).index_select(3, keys);
  }
  return mask.slice_symint(2, key_count - scores.sym_size(-2), key_count)
      .slice_symint(3, 0, key_count);
}

Tensor causal_weights(const Tensor& queries, const Tensor& keys, const Tensor& mask, bool scale,
                      double masked) {
  // [batch, heads, query, size] x [batch, heads, size, key] -> [batch, heads, query, key]
  auto scores = torch::matmul(queries, keys.transpose(-1, -2));
  const auto size = queries.sym_size(-1).guard_int(__FILE__, __LINE__);
  if (scale)
    scores = scores / std::sqrt(static_cast<double>(size));
  const auto seen = mask_of_scores(mask, scores);
  return torch::softmax(scores * seen + masked * (1 - seen), -1);
}

bool CausalMaskCheck::operator()(const Tensor& mask) {
  if (mask.is_inference()) // such a tensor does not count its changes
    return is_causal(mask);
  const std::lock_guard lock(mutex_);
  auto* impl = mask.unsafeGetTensorImpl();
  const auto version = mask._version();
  if (!seen_ || seen_->_unsafe_get_target() != impl || version_ != version) {
    answer_ = is_causal(mask);
    seen_.emplace(mask.getIntrusivePtr());
    version_ = version;
  }
  return answer_;
}

Tensor causal_attention(const Tensor& queries, const Tensor& keys, const Tensor& values,
                        bool scale) {
  const auto query_count = queries.size(2), key_count = keys.size(2);
  std::optional<Tensor> mask;
  if (query_count > 1 && query_count < key_count) { // is_causal would take the first keys
    mask = torch::ones({query_count, key_count}, torch::kBool).tril(key_count - query_count);
  }
  return torch::scaled_dot_product_attention(queries, keys, values, mask, /*dropout_p=*/0,
                                             /*is_causal=*/query_count == key_count,
                                             scale ? std::nullopt : std::optional(1.0));
}

Tensor positions_after(const c10::SymInt& past, const Tensor& input_ids) {
  if (torch::jit::tracer::isTracing())
    return torch::ones_like(input_ids, torch::kLong).cumsum(1) +
           (past.guard_int(__FILE__, __LINE__) - 1);
  const auto end = input_ids.sym_size(1) + past;
  return torch::arange(past, end, input_ids.options().dtype(torch::kLong))
      .unsqueeze(0)
      .expand_as(input_ids); // [seq] -> [rows, seq]
}

} // namespace ptbert
