#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

namespace ptbert {

/// Inputs of a model for a batch of texts or pairs of texts: row-major arrays [batch, length].
struct EncodedBatch {
  struct Free {
    void operator()(std::int64_t* memory) const { std::free(memory); }
  };
  using Array = std::unique_ptr<std::int64_t[], Free>;
  /// Writes the ids and token types of row i; `token_type_ids` is null if the batch has none.
  using WriteRow =
      std::function<void(std::size_t i, std::int64_t* ids, std::int64_t* token_type_ids)>;

  std::size_t batch = 0, length = 0; ///< `length`: tokens in the longest row
  Array input_ids;
  Array token_type_ids; ///< null if the model has none
  Array attention_mask; ///< 1 for tokens, 0 for padding

  /// Makes a batch of rows with these lengths, filled by `write` on up to `num_threads` threads.
  /// Padding has the id `padding` and the token type 0. Throws std::bad_alloc.
  static EncodedBatch pad(const std::vector<std::size_t>& lengths, std::int64_t padding,
                          bool has_token_types, std::size_t num_threads, const WriteRow& write);
};

} // namespace ptbert
