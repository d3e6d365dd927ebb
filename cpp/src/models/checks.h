#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ptbert/models/layers.h"

/// Checks of user input: ValueError for values and shapes, TypeError for dtypes, IndexError for ids
/// out of range. Values are checked on the CPU only: reading them on a GPU would force a sync, and
/// under export or vmap tensors have none. Shapes may be symbolic (export with dynamic shapes).

namespace ptbert {

/// `value` >= 1; for sizes and counts.
void check_count(const char* name, int64_t value);
/// `value` in [0, 1].
void check_probability(const char* name, double value);

/// `initializer_range` >= 0, and `epsilon`, the field `epsilon_name` of a configuration, > 0.
void check_initialisation(double initializer_range, const char* epsilon_name, double epsilon);
/// Each of `options` that is among the `unknown_keys` of a configuration has one of its values, or
/// null; both are JSON texts.
void check_options(const std::map<std::string, std::string>& unknown_keys,
                   const std::map<std::string, std::vector<std::string>>& options);

/// `width` is a multiple of the number of heads; both are named in the configuration.
void check_heads(const char* width_name, int64_t width, const char* heads_name, int64_t heads);

/// `cutoffs` grow and lie between 0 and `n_token`.
void check_cutoffs(const std::vector<int64_t>& cutoffs, int64_t n_token);
/// Lengths of Transformer-XL: `tgt_len` >= 1, `ext_len` and `mem_len` >= 0.
void check_lengths(int64_t tgt_len, int64_t ext_len, int64_t mem_len);
/// `mems` is empty, or has for each of `layers` layers hidden states [length, batch, d_model] of
/// one length, of the batch, width and dtype of `embedded` [seq, batch, d_model]. Under autocast
/// dtypes may differ.
void check_mems(const std::vector<Tensor>& mems, size_t layers, const Tensor& embedded);

/// Token ids [batch, seq], integers, not empty.
void check_ids(const char* name, const Tensor& ids);
/// Token ids [*, seq], integers, not empty.
void check_ids_of_rows(const char* name, const Tensor& ids);
/// Token ids of choices [batch, num_choices, seq], integers, not empty.
void check_choices(const Tensor& input_ids, int64_t num_choices);
/// Token ids of choices [batch, choices, seq], integers, not empty.
void check_choices(const Tensor& input_ids);
/// For each choice of `input_ids` [batch, choices, seq] the position of a token, [batch, choices].
void check_choice_positions(const Tensor& mc_token_ids, const Tensor& input_ids);
/// Hidden states [batch, choices, seq, width] and positions [batch, choices] in [0, seq).
void check_choice_states(const Tensor& hidden_states, const Tensor& mc_token_ids);
void check_ids_dtype(const char* name, const Tensor& ids);

/// `ids` in [0, count).
void check_range(const char* name, const Tensor& ids, int64_t count);
/// `ids` in [0, rows of `table`); skipped if the table has an override, whose rows are unknown.
void check_range(const char* name, const Tensor& ids, Embedding& table);
/// seq of `input_ids` <= rows of `positions`; skipped if the table has an override.
void check_length(const Tensor& input_ids, Embedding& positions);

/// Integers of the shape of `input_ids` [*, seq], or [seq] for all rows alike.
void check_like_input_ids(const char* name, const Tensor& ids, const Tensor& input_ids);
/// `past` is empty, or has an entry [2, batch, heads, past, head_size] for each of `blocks` blocks.
void check_past(const std::vector<Tensor>& past, size_t blocks);
/// Past and seq of `input_ids` together <= rows of `positions`; skipped if the table has an
/// override.
void check_positions(const Tensor& input_ids, const std::vector<Tensor>& past,
                     Embedding& positions);
/// `layer_past` [2, batch, heads, past, head_size] fits `keys` [batch, heads, seq, head_size].
void check_layer_past(const Tensor& layer_past, const Tensor& keys);
/// `positions`, past and present ones, are at most the size of the causal mask `bias`.
void check_context(const c10::SymInt& positions, const Tensor& bias);

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
