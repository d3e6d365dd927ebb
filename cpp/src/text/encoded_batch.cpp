#include "ptbert/text/encoded_batch.h"

#include <algorithm>

#include "parallel_for.h"

namespace ptbert {

EncodedBatch EncodedBatch::pad(const Rows& ids, std::int64_t padding, std::size_t num_threads,
                               const Rows* token_types) {
  EncodedBatch batch;
  batch.batch = ids.size();
  for (const std::vector<std::int64_t>& row : ids) {
    batch.length = std::max(batch.length, row.size());
  }
  // Not filled here: the first to touch a page pays for it, which the threads share.
  const auto allocate = [&] { return Array(new std::int64_t[batch.batch * batch.length]); };
  batch.input_ids = allocate();
  batch.attention_mask = allocate();
  if (token_types != nullptr) {
    batch.token_type_ids = allocate();
  }
  detail::parallel_for(ids.size(), num_threads, [&](std::size_t i) {
    const std::size_t begin = i * batch.length, padded = batch.length - ids[i].size();
    std::fill_n(std::copy(ids[i].begin(), ids[i].end(), &batch.input_ids[begin]), padded, padding);
    std::fill_n(std::fill_n(&batch.attention_mask[begin], ids[i].size(), 1), padded, 0);
    if (token_types != nullptr) {
      const std::vector<std::int64_t>& types = (*token_types)[i];
      std::fill_n(std::copy(types.begin(), types.end(), &batch.token_type_ids[begin]), padded, 0);
    }
  });
  return batch;
}

} // namespace ptbert
