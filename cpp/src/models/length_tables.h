#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <tuple>

#include "ptbert/models/transfo_xl.h"

/// What Transformer-XL computes from lengths alone. It is kept from one call to the next, since
/// segments mostly have the same length.

namespace ptbert {

/// Which keys a query does not see, bool [query, key, 1]: those after it; with `same_length` also
/// those so long before it that it would see more than others. `memory` keys come before those of
/// the queries; `mem_len` is the length that memory may have.
Tensor hidden_keys(const c10::SymInt& query, const c10::SymInt& memory, int64_t mem_len,
                   bool same_length, torch::Device device);

/// Embeddings of the distances length - 1 to 0, of which none counts as more than `clamp_len` if
/// that is above 0; [length, 1, d_model]. `options`: dtype and device of the distances.
Tensor distance_embeddings(PositionalEmbedding& embedding, const c10::SymInt& length,
                           int64_t clamp_len, const torch::TensorOptions& options);

/// The last `length` rows of `x`; its first row stands for those that are missing.
Tensor last_rows(const Tensor& x, const c10::SymInt& length);

/// The results of the first two functions for the last lengths that were asked for.
class LengthTables {
public:
  Tensor hidden_keys(const c10::SymInt& query, const c10::SymInt& memory, int64_t mem_len,
                     bool same_length, const Tensor& embedded);
  Tensor distance_embeddings(PositionalEmbedding& embedding, const c10::SymInt& length,
                             int64_t clamp_len, const Tensor& embedded);

private:
  std::mutex mutex_;
  std::optional<std::tuple<int64_t, int64_t, int64_t, bool>> keys_of_;
  Tensor keys_;
  // Of the frequencies the tensor and the number of its changes.
  using Frequencies = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  std::optional<Frequencies> frequencies_;
  std::optional<std::tuple<uint32_t, int64_t, int64_t, torch::ScalarType>> distances_of_;
  Tensor distances_;
};

} // namespace ptbert
