#include "checks.h"

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

void check_choices(const Tensor& input_ids, int64_t num_choices) {
  check_ids_dtype("input_ids", input_ids);
  TORCH_CHECK_VALUE(input_ids.dim() == 3 && input_ids.sym_size(1) == num_choices,
                    "`input_ids` must be of shape [batch, choices, seq] with ", num_choices,
                    " `num_choices`, but is of shape ", input_ids.sym_sizes(), ".");
  TORCH_CHECK_VALUE(input_ids.sym_numel() > 0,
                    "`input_ids` must hold at least one token, but is of shape ",
                    input_ids.sym_sizes(), ".");
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
