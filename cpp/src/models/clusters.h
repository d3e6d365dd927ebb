#pragma once

#include <cstdint>
#include <vector>

#include "ptbert/models/module.h"

/// The clusters of a vocabulary, ordered by frequency, that adaptive embeddings and the adaptive
/// softmax share.

namespace ptbert {

struct Clusters {
  /// 0, the first id of every other cluster, and the size of the vocabulary.
  std::vector<int64_t> ends;
  /// Rows and width of each table: one of each cluster, or one for all.
  struct Table {
    int64_t rows, width;
  };
  std::vector<Table> tables;

  /// Throws ValueError if a size is below 1, `cutoffs` do not grow within the vocabulary, or the
  /// last width would be 0.
  Clusters(int64_t n_token, int64_t d_embed, const std::vector<int64_t>& cutoffs, int64_t div_val);

  size_t count() const { return ends.size() - 1; }
};

/// A projection [d_proj, width], 0 until the model draws it.
Tensor new_projection(int64_t d_proj, int64_t width);

} // namespace ptbert
