#pragma once

#include "ptbert/models/module.h"

namespace ptbert {

/// Scores of the relative positions of queries [batch, heads, query, d_head] and keys: `positions`
/// [key, heads, d_head], of distances key - 1 to 0, and `bias` [key, heads], if it is defined. ->
/// [batch, heads, query, key], a view
///
/// Position p is at distance key - 1 - p from the last query, so the row of the i-th of `query`
/// queries has to move to the left by query - 1 - i. Rows of length key + 1, a zero in front, that
/// are read as rows of length key from element `query` on are moved so (Dai et al., appendix B);
/// what then follows the last score of a row belongs to later keys. A position of zeros makes the
/// zeros.
Tensor relative_scores(const Tensor& queries, const Tensor& positions, const Tensor& bias = {});

} // namespace ptbert
