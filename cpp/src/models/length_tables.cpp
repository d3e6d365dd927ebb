#include "length_tables.h"

#include "speed/readable_values.h"

namespace ptbert {

Tensor hidden_keys(const c10::SymInt& query, const c10::SymInt& memory, int64_t mem_len,
                   bool same_length, torch::Device device) {
  const auto options = torch::dtype(torch::kLong).device(device);
  const auto queries = torch::arange(query, options).unsqueeze(1);
  const auto after = torch::arange(memory + query, options) - queries; // -> [query, key]
  auto hidden = after > memory;
  if (same_length) {
    const auto seen_by_none = (memory + query - mem_len).max(0);
    hidden = hidden.logical_or(after <= seen_by_none - query);
  }
  return hidden.unsqueeze(-1); // -> [query, key, 1]
}

Tensor distance_embeddings(PositionalEmbedding& embedding, const c10::SymInt& length,
                           int64_t clamp_len, const torch::TensorOptions& options) {
  auto distances = torch::arange(length - 1, -1, -1, options); // -> [length]
  if (clamp_len > 0)
    distances = distances.clamp_max(clamp_len);
  return embedding(distances, std::nullopt);
}

Tensor last_rows(const Tensor& x, const c10::SymInt& length) {
  const auto missing = length - x.sym_size(0);
  if (missing <= 0)
    return x.slice_symint(0, x.sym_size(0) - length);
  auto sizes = x.sym_sizes().vec();
  sizes.front() = missing;
  return torch::cat({x.slice(0, 0, 1).expand_symint(sizes), x});
}

Tensor LengthTables::hidden_keys(const c10::SymInt& query, const c10::SymInt& memory,
                                 int64_t mem_len, bool same_length, const Tensor& embedded) {
  if (!has_readable_values(embedded))
    return ptbert::hidden_keys(query, memory, mem_len, same_length, embedded.device());
  const std::tuple wanted(query.expect_int(), memory.expect_int(), mem_len, same_length);
  const std::lock_guard lock(mutex_);
  if (keys_of_ != wanted) {
    const c10::InferenceMode training_may_use_it(false);
    keys_ = ptbert::hidden_keys(query, memory, mem_len, same_length, embedded.device());
    keys_of_ = wanted;
  }
  return keys_;
}

Tensor LengthTables::distance_embeddings(PositionalEmbedding& embedding, const c10::SymInt& length,
                                         int64_t clamp_len, const Tensor& embedded) {
  const auto options = embedded.options().requires_grad(false);
  const auto& frequencies = embedding->inv_freq;
  // An inference tensor does not count its changes.
  if (embedding->overridden() || !frequencies.defined() || frequencies.requires_grad() ||
      frequencies.is_inference() || !has_readable_values(embedded) ||
      !has_readable_values(frequencies))
    return ptbert::distance_embeddings(embedding, length, clamp_len, options);
  const std::tuple wanted(frequencies._version(), length.expect_int(), clamp_len,
                          embedded.scalar_type());
  const std::lock_guard lock(mutex_);
  if (distances_of_ != wanted ||
      frequencies_->_unsafe_get_target() != frequencies.unsafeGetTensorImpl()) {
    const c10::InferenceMode training_may_use_it(false);
    distances_ = ptbert::distance_embeddings(embedding, length, clamp_len, options);
    frequencies_.emplace(frequencies.getIntrusivePtr());
    distances_of_ = wanted;
  }
  return distances_;
}

} // namespace ptbert
