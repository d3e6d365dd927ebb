#pragma once

#include <optional>

#include "ptbert/models/layers.h"

/// Checks of user input: ValueError for values and shapes, TypeError for dtypes, IndexError for ids
/// out of range. Values are checked on the CPU only: reading them on a GPU would force a sync, and
/// under export or vmap tensors have none. Shapes may be symbolic (export with dynamic shapes).

namespace ptbert {

/// `value` >= 1; for sizes and counts.
void check_count(const char* name, int64_t value);
/// `value` in [0, 1].
void check_probability(const char* name, double value);

/// Token ids [batch, seq], integers, not empty.
void check_ids(const char* name, const Tensor& ids);
/// Token ids of choices [batch, num_choices, seq], integers, not empty.
void check_choices(const Tensor& input_ids, int64_t num_choices);
void check_ids_dtype(const char* name, const Tensor& ids);

/// `ids` in [0, count).
void check_range(const char* name, const Tensor& ids, int64_t count);
/// `ids` in [0, rows of `table`); skipped if the table has an override, whose rows are unknown.
void check_range(const char* name, const Tensor& ids, Embedding& table);
/// seq of `input_ids` <= rows of `positions`; skipped if the table has an override.
void check_length(const Tensor& input_ids, Embedding& positions);

void check_shape_of_input_ids(const char* name, const Tensor& tensor, const Tensor& input_ids);
/// A mask of any real dtype with the shape of `input_ids`.
void check_mask(const Tensor& attention_mask, const Tensor& input_ids);

/// `scores` [*, classes], the output of the head `name`.
void check_scores(const char* name, const Tensor& scores, int64_t classes);

/// int64 labels, one for each of `batch` sequences, [batch] or [batch, 1].
void check_sequence_labels(const char* name, const Tensor& labels, const c10::SymInt& batch);
/// int64 labels, one for each token of `input_ids`.
void check_token_labels(const char* name, const Tensor& labels, const Tensor& input_ids);
/// `labels` in [0, classes) or equal to `ignored`.
void check_classes(const char* name, const Tensor& labels, const c10::SymInt& classes,
                   int64_t ignored);

} // namespace ptbert
