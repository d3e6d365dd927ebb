#include "checks.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <tuple>

#include "speed/readable_values.h"

namespace ptbert {
namespace {

std::string dtype_name(const Tensor& tensor) {
  return std::string(c10::getDtypeNames(tensor.scalar_type()).first);
}

/// The value to name in the message: the smallest if it is negative, else the largest.
int64_t offending(int64_t smallest, int64_t largest) { return smallest < 0 ? smallest : largest; }

std::pair<int64_t, int64_t> value_range(const Tensor& tensor) {
  const auto [smallest, largest] = torch::aminmax(tensor);
  return {smallest.item<int64_t>(), largest.item<int64_t>()};
}

void check_labels_dtype(const char* name, const Tensor& labels) {
  TORCH_CHECK_TYPE(labels.scalar_type() == torch::kLong, "`", name,
                   "` must be of dtype int64, but is ", dtype_name(labels), ".");
}

} // namespace

void check_count(const char* name, int64_t value) {
  TORCH_CHECK_VALUE(value >= 1, "`", name, "` must be at least 1, but is ", value, ".");
}

void check_probability(const char* name, double value) {
  TORCH_CHECK_VALUE(value >= 0 && value <= 1, "`", name, "` must be in [0, 1], but is ", value,
                    ".");
}

void check_initialisation(double initializer_range, const char* epsilon_name, double epsilon) {
  TORCH_CHECK_VALUE(initializer_range >= 0, "`initializer_range` must be at least 0, but is ",
                    initializer_range, ".");
  TORCH_CHECK_VALUE(epsilon > 0, "`", epsilon_name, "` must be above 0, but is ", epsilon, ".");
}

void check_heads(const char* width_name, int64_t width, const char* heads_name, int64_t heads) {
  TORCH_CHECK_VALUE(heads > 0 && width % heads == 0, "`", width_name, "` (", width,
                    ") must be a multiple of `", heads_name, "` (", heads, ").");
}

void check_cutoffs(const std::vector<int64_t>& cutoffs, int64_t n_token) {
  int64_t last = 0;
  for (const auto cutoff : cutoffs) {
    TORCH_CHECK_VALUE(cutoff > last && cutoff < n_token,
                      "`cutoffs` must grow and lie between 0 and `n_token` (", n_token,
                      "), but hold ", cutoff, ".");
    last = cutoff;
  }
}

void check_lengths(int64_t tgt_len, int64_t ext_len, int64_t mem_len) {
  check_count("tgt_len", tgt_len);
  TORCH_CHECK_VALUE(ext_len >= 0, "`ext_len` must be at least 0, but is ", ext_len, ".");
  TORCH_CHECK_VALUE(mem_len >= 0, "`mem_len` must be at least 0, but is ", mem_len, ".");
}

void check_mems(const std::vector<Tensor>& mems, size_t layers, const Tensor& embedded) {
  TORCH_CHECK_VALUE(mems.empty() || mems.size() == layers, "`mems` must have an entry for each of ",
                    layers, " layers, but has ", mems.size(), ".");
  for (const auto& memory : mems) {
    TORCH_CHECK_VALUE(memory.defined() && memory.dim() == 3 &&
                          memory.sym_size(1) == embedded.sym_size(1) &&
                          memory.sym_size(2) == embedded.sym_size(2),
                      "`mems` must hold tensors of shape [mem_len, ", embedded.sym_size(1), ", ",
                      embedded.sym_size(2), "], but hold one of shape ", memory.sym_sizes(), ".");
    TORCH_CHECK_VALUE(memory.sym_size(0) == mems.front().sym_size(0),
                      "`mems` must hold tensors of one length, but hold one of ",
                      memory.sym_size(0), " after one of ", mems.front().sym_size(0), ".");
    TORCH_CHECK_TYPE(memory.scalar_type() == embedded.scalar_type() ||
                         at::autocast::is_autocast_enabled(embedded.device().type()),
                     "`mems` must hold tensors of dtype ", dtype_name(embedded),
                     ", but hold one of ", dtype_name(memory), ".");
  }
}

void check_options(const std::map<std::string, std::string>& unknown_keys,
                   const std::map<std::string, std::vector<std::string>>& options) {
  for (const auto& [name, values] : options) {
    const auto found = unknown_keys.find(name);
    TORCH_CHECK_VALUE(found == unknown_keys.end() || found->second == "null" ||
                          std::count(values.begin(), values.end(), found->second) > 0,
                      "`", name, "` must be ", c10::Join(" or ", values),
                      ", which is what this library computes, but is ", found->second, ".");
  }
}

void check_ids_dtype(const char* name, const Tensor& ids) {
  TORCH_CHECK_TYPE(ids.scalar_type() == torch::kLong || ids.scalar_type() == torch::kInt, "`", name,
                   "` must be of dtype int64 or int32, but is ", dtype_name(ids), ".");
}

void check_ids(const char* name, const Tensor& ids) {
  check_ids_dtype(name, ids);
  TORCH_CHECK_VALUE(ids.dim() == 2, "`", name, "` must be of shape [batch, seq], but is of shape ",
                    ids.sym_sizes(), ".");
  TORCH_CHECK_VALUE(ids.sym_numel() > 0, "`", name,
                    "` must hold at least one token, but is of shape ", ids.sym_sizes(), ".");
}

void check_ids_of_rows(const char* name, const Tensor& ids) {
  check_ids_dtype(name, ids);
  TORCH_CHECK_VALUE(ids.dim() >= 1 && ids.sym_numel() > 0, "`", name,
                    "` must be of shape [*, seq] and hold at least one token, but is of shape ",
                    ids.sym_sizes(), ".");
}

void check_choices(const Tensor& input_ids, int64_t num_choices) {
  check_ids_dtype("input_ids", input_ids);
  TORCH_CHECK_VALUE(input_ids.dim() == 3 && input_ids.sym_size(1) == num_choices,
                    "`input_ids` must be of shape [batch, choices, seq] with ", num_choices,
                    " `num_choices`, but is of shape ", input_ids.sym_sizes(), ".");
  TORCH_CHECK_VALUE(input_ids.sym_numel() > 0,
                    "`input_ids` must hold at least one token, but is of shape ",
                    input_ids.sym_sizes(), ".");
}

void check_choices(const Tensor& input_ids) {
  check_ids_dtype("input_ids", input_ids);
  TORCH_CHECK_VALUE(input_ids.dim() == 3 && input_ids.sym_numel() > 0,
                    "`input_ids` must be of shape [batch, choices, seq] and hold at least one "
                    "token, but is of shape ",
                    input_ids.sym_sizes(), ".");
}

void check_choice_positions(const Tensor& mc_token_ids, const Tensor& input_ids) {
  check_ids_dtype("mc_token_ids", mc_token_ids);
  TORCH_CHECK_VALUE(mc_token_ids.dim() == 2 && mc_token_ids.sym_size(0) == input_ids.sym_size(0) &&
                        mc_token_ids.sym_size(1) == input_ids.sym_size(1),
                    "`mc_token_ids` must be of shape [batch, choices], here [",
                    input_ids.sym_size(0), ", ", input_ids.sym_size(1), "], but is of shape ",
                    mc_token_ids.sym_sizes(), ".");
  if (has_readable_values(mc_token_ids)) // else the length may be symbolic
    check_range("mc_token_ids", mc_token_ids, input_ids.size(2));
}

void check_choice_states(const Tensor& hidden_states, const Tensor& mc_token_ids) {
  TORCH_CHECK_VALUE(hidden_states.dim() == 4,
                    "`hidden_states` must be of shape [batch, choices, seq, width], but is of "
                    "shape ",
                    hidden_states.sym_sizes(), ".");
  check_choice_positions(mc_token_ids, hidden_states.select(-1, 0)); // -> [batch, choices, seq]
}

void check_range(const char* name, const Tensor& ids, int64_t count) {
  if (!has_readable_values(ids))
    return;
  const auto [smallest, largest] = value_range(ids);
  TORCH_CHECK_INDEX(smallest >= 0 && largest < count, "`", name, "` must be in [0, ", count,
                    "), but holds ", offending(smallest, largest), ".");
}

void check_range(const char* name, const Tensor& ids, Embedding& table) {
  if (!table->overridden())
    check_range(name, ids, table->weight.size(0));
}

void check_length(const Tensor& input_ids, Embedding& positions) {
  if (positions->overridden())
    return;
  TORCH_CHECK_INDEX(input_ids.sym_size(1) <= positions->weight.size(0),
                    "`input_ids` must hold at most ", positions->weight.size(0),
                    " tokens a row (`max_position_embeddings`), but holds ", input_ids.sym_size(1),
                    ".");
}

void check_like_input_ids(const char* name, const Tensor& ids, const Tensor& input_ids) {
  check_ids_dtype(name, ids);
  const bool one_row = ids.dim() >= 1 && ids.sym_numel() == input_ids.sym_size(-1);
  TORCH_CHECK_VALUE(ids.sym_sizes() == input_ids.sym_sizes() ||
                        (one_row && ids.sym_size(-1) == input_ids.sym_size(-1)),
                    "`", name, "` must be of the shape of `input_ids`, ", input_ids.sym_sizes(),
                    ", or hold one row, but is of shape ", ids.sym_sizes(), ".");
}

void check_past(const std::vector<Tensor>& past, size_t blocks) {
  TORCH_CHECK_VALUE(past.empty() || past.size() == blocks, "`past` must have an entry for each of ",
                    blocks, " blocks, but has ", past.size(), ".");
  for (const auto& entry : past) {
    TORCH_CHECK_VALUE(entry.defined() && entry.dim() == 5 && entry.sym_size(0) == 2,
                      "`past` must hold tensors of shape [2, batch, heads, past, head_size], but "
                      "holds one of shape ",
                      entry.sym_sizes(), ".");
  }
}

void check_positions(const Tensor& input_ids, const std::vector<Tensor>& past,
                     Embedding& positions) {
  if (positions->overridden())
    return;
  const auto before = past.empty() ? c10::SymInt(0) : past.front().sym_size(-2);
  const auto count = before + input_ids.sym_size(-1);
  TORCH_CHECK_INDEX(count <= positions->weight.size(0), "`input_ids` must hold at most ",
                    positions->weight.size(0), " tokens a row (`n_positions`), those of `past` ",
                    "included, but holds ", count, ".");
}

void check_layer_past(const Tensor& layer_past, const Tensor& keys) {
  const auto fits = [&](int64_t past_dimension, int64_t dimension) {
    return layer_past.sym_size(past_dimension) == keys.sym_size(dimension);
  };
  TORCH_CHECK_VALUE(layer_past.dim() == 5 && layer_past.sym_size(0) == 2 && fits(1, 0) &&
                        fits(2, 1) && fits(4, 3),
                    "`layer_past` must be of shape [2, ", keys.sym_size(0), ", ", keys.sym_size(1),
                    ", past, ", keys.sym_size(3), "], but is of shape ", layer_past.sym_sizes(),
                    ".");
  TORCH_CHECK_TYPE(layer_past.scalar_type() == keys.scalar_type(), "`layer_past` must be of dtype ",
                   dtype_name(keys), ", but is ", dtype_name(layer_past), ".");
}

void check_context(const c10::SymInt& positions, const Tensor& bias) {
  TORCH_CHECK_TYPE(bias.defined(), "`bias` must be the causal mask, but is None.");
  const auto n_ctx = bias.sym_size(-1);
  TORCH_CHECK_INDEX(positions <= n_ctx, "A row must hold at most ", n_ctx,
                    " tokens (`n_ctx`), those of `past` included, but holds ", positions, ".");
}

void check_shape_of_input_ids(const char* name, const Tensor& tensor, const Tensor& input_ids) {
  TORCH_CHECK_VALUE(tensor.sym_sizes() == input_ids.sym_sizes(), "`", name,
                    "` must be of the shape of `input_ids`, ", input_ids.sym_sizes(),
                    ", but is of shape ", tensor.sym_sizes(), ".");
}

void check_mask(const Tensor& attention_mask, const Tensor& input_ids) {
  TORCH_CHECK_TYPE(!attention_mask.is_complex(),
                   "`attention_mask` must be of a real dtype, but is ", dtype_name(attention_mask),
                   ".");
  check_shape_of_input_ids("attention_mask", attention_mask, input_ids);
}

void check_scores(const char* name, const Tensor& scores, int64_t classes) {
  TORCH_CHECK_VALUE(scores.sym_size(-1) == classes, "`", name, "` must give ", classes,
                    classes == 1 ? " score" : " scores", ", but gives ", scores.sym_size(-1), ".");
}

void check_sequence_labels(const char* name, const Tensor& labels, const c10::SymInt& batch) {
  check_labels_dtype(name, labels);
  const bool column = labels.dim() == 2 && labels.sym_size(1) == 1;
  TORCH_CHECK_VALUE((labels.dim() == 1 || column) && labels.sym_size(0) == batch, "`", name,
                    "` must be of shape [", batch, "], but is of shape ", labels.sym_sizes(), ".");
}

void check_token_labels(const char* name, const Tensor& labels, const Tensor& input_ids) {
  check_labels_dtype(name, labels);
  check_shape_of_input_ids(name, labels, input_ids);
}

void check_classes(const char* name, const Tensor& labels, const c10::SymInt& classes,
                   int64_t ignored) {
  if (!has_readable_values(labels))
    return;
  const auto counted = labels.masked_select(labels != ignored);
  if (counted.numel() == 0)
    return;
  const auto [smallest, largest] = value_range(counted);
  TORCH_CHECK_INDEX(smallest >= 0 && largest < classes, "`", name, "` must be in [0, ", classes,
                    ") or ", ignored, " (ignored), but holds ", offending(smallest, largest), ".");
}

} // namespace ptbert
