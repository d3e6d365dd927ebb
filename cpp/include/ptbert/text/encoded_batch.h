#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ptbert {

/// Texts or pairs of texts as a model takes them: arrays of `[batch, length]`, row by row.
struct EncodedBatch {
  using Array = std::unique_ptr<std::int64_t[]>;
  using Rows = std::vector<std::vector<std::int64_t>>;

  std::size_t batch = 0, length = 0; ///< `length` is that of the longest row
  Array input_ids;
  Array token_type_ids; ///< null where the model has none
  Array attention_mask; ///< 1 for tokens, 0 for padding

  /// Pads rows of ids with `padding` at their ends, and those of token types with 0, by
  /// `num_threads` threads.
  static EncodedBatch pad(const Rows& ids, std::int64_t padding, std::size_t num_threads = 1,
                          const Rows* token_types = nullptr);
};

} // namespace ptbert
