#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ptbert {

/// Texts or pairs of texts as a model takes them, row by row: `[batch, length]`.
struct EncodedBatch {
  using Ids = std::vector<std::int64_t>;

  std::size_t batch = 0, length = 0; ///< `length` is that of the longest row
  Ids input_ids;
  Ids token_type_ids; ///< empty where the model has none
  Ids attention_mask; ///< 1 for tokens, 0 for padding

  /// Pads rows with `padding` at their ends.
  static EncodedBatch pad(const std::vector<Ids>& rows, std::int64_t padding);
};

} // namespace ptbert
