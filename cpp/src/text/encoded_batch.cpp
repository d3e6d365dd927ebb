#include "ptbert/text/encoded_batch.h"

#include <algorithm>

namespace ptbert {

EncodedBatch EncodedBatch::pad(const std::vector<Ids>& rows, std::int64_t padding) {
  EncodedBatch batch;
  batch.batch = rows.size();
  for (const Ids& row : rows) {
    batch.length = std::max(batch.length, row.size());
  }
  batch.input_ids.assign(batch.batch * batch.length, padding);
  batch.attention_mask.assign(batch.batch * batch.length, 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto start = static_cast<std::ptrdiff_t>(i * batch.length);
    std::copy(rows[i].begin(), rows[i].end(), batch.input_ids.begin() + start);
    std::fill_n(batch.attention_mask.begin() + start, rows[i].size(), 1);
  }
  return batch;
}

} // namespace ptbert
