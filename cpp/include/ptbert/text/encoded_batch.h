#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

namespace ptbert {

/// Texts or pairs of texts as a model takes them: arrays of `[batch, length]`, row by row.
struct EncodedBatch {
  struct Free {
    void operator()(std::int64_t* memory) const { std::free(memory); }
  };
  using Array = std::unique_ptr<std::int64_t[], Free>;
  /// Writes the ids of row i and its token types, where the batch has them; they are null if not.
  using WriteRow =
      std::function<void(std::size_t i, std::int64_t* ids, std::int64_t* token_type_ids)>;

  std::size_t batch = 0, length = 0; ///< `length` is that of the longest row
  Array input_ids;
  Array token_type_ids; ///< null where the model has none
  Array attention_mask; ///< 1 for tokens, 0 for padding

  /// Makes a batch of rows of these lengths, which `write` fills on up to `num_threads` threads.
  /// After its end a row has ids of `padding` and token types of 0. std::bad_alloc where there is
  /// no memory for it.
  static EncodedBatch pad(const std::vector<std::size_t>& lengths, std::int64_t padding,
                          bool has_token_types, std::size_t num_threads, const WriteRow& write);
};

} // namespace ptbert
