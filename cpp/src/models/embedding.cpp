#include "ptbert/models/embedding.h"

#include <c10/util/ScopeExit.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace ptbert {

Tensor pool_tokens(const Tensor& hidden_states, const Tensor& attention_mask, Pooling pooling) {
  TORCH_CHECK_VALUE(hidden_states.dim() == 3,
                    "`hidden_states` must be [batch, seq, hidden], but is ", hidden_states.sizes(),
                    ".");
  TORCH_CHECK_VALUE(attention_mask.sizes() == hidden_states.sizes().slice(0, 2),
                    "`attention_mask` must be ", hidden_states.sizes().slice(0, 2), ", but is ",
                    attention_mask.sizes(), ".");
  TORCH_CHECK_VALUE(hidden_states.size(1) > 0 &&
                        attention_mask.select(1, 0).ne(0).all().item<bool>(),
                    "`attention_mask` must be 1 at the first token of each text, but is 0.");
  if (pooling == Pooling::kFirst)
    return hidden_states.select(1, 0); // [batch, seq, hidden] -> [batch, hidden]
  const auto mask =
      attention_mask.unsqueeze(-1).to(hidden_states.scalar_type()); // -> [batch, seq, 1]
  if (pooling == Pooling::kMean) // [batch, seq, hidden] -> [batch, hidden]
    return (hidden_states * mask).sum(1) / mask.sum(1);
  // [batch, seq, hidden] -> [batch, hidden]
  return hidden_states.masked_fill(mask == 0, -std::numeric_limits<float>::infinity()).amax(1);
}

Tensor to_unit_length(const Tensor& vectors) {
  namespace F = torch::nn::functional;
  return F::normalize(vectors, F::NormalizeFuncOptions().dim(-1));
}

Tensor embed(BertModel& model, const std::vector<std::vector<int64_t>>& input_ids,
             const EmbedOptions& options) {
  TORCH_CHECK_VALUE(options.batch_size >= 1, "`batch_size` must be at least 1, but is ",
                    options.batch_size, ".");
  std::vector<int64_t> order(input_ids.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return input_ids[a].size() > input_ids[b].size(); });
  const torch::NoGradGuard no_grad;
  const auto texts = static_cast<int64_t>(input_ids.size());
  auto embeddings = torch::empty({texts, model->config.hidden_size});
  const auto restore = c10::make_scope_exit(
      [&model, before = model->skip_padding] { model->skip_padding = before; });
  model->skip_padding = true; // padding is left out by the pooling
  for (int64_t start = 0; start < texts; start += options.batch_size) {
    const auto rows = std::min(options.batch_size, texts - start);
    const auto longest = static_cast<int64_t>(input_ids[order[start]].size());
    auto ids = torch::zeros({rows, longest}, torch::kLong);
    auto mask = torch::zeros_like(ids);
    for (int64_t row = 0; row < rows; ++row) {
      const auto& text = input_ids[order[start + row]];
      const auto length = static_cast<int64_t>(text.size());
      std::copy(text.begin(), text.end(), ids.data_ptr<int64_t>() + row * longest);
      mask[row].narrow(0, 0, length).fill_(1);
    }
    const auto states = model->forward(ids, {}, mask, /*output_all_encoded_layers=*/false);
    const auto pooled = pool_tokens(states.encoded_layers.back(), mask, options.pooling);
    const auto places = torch::tensor(torch::ArrayRef<int64_t>(order).slice(start, rows));
    embeddings.index_copy_(0, places, options.normalize ? to_unit_length(pooled) : pooled);
  }
  return embeddings;
}

} // namespace ptbert
