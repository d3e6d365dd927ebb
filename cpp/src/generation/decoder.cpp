#include "ptbert/generation/decoder.h"

namespace ptbert {

void DecoderState::select_rows(const std::vector<int64_t>& rows) {
  TokenRows selected;
  for (const auto row : rows)
    selected.push_back(tokens_.at(row));
  tokens_ = std::move(selected);
}

Tensor Decoder::append(DecoderState& state, const TokenRows& tokens) const {
  const torch::InferenceMode no_gradients;
  return scores(append_states(state, tokens, /*all=*/false));
}

Tensor Decoder::log_probs(const Tensor& states, const Tensor& ids) const {
  const auto scores = this->scores(states);
  const auto own = scores.gather(1, ids.unsqueeze(1)).squeeze(1); // -> [count]
  return own.to(torch::kDouble) - scores.logsumexp(1).to(torch::kDouble);
}

Tensor Decoder::append_states(DecoderState& state, const TokenRows& tokens, bool all) const {
  const torch::InferenceMode no_gradients;
  TORCH_INTERNAL_ASSERT(tokens.size() == state.tokens_.size());
  for (size_t row = 0; row < tokens.size(); ++row) {
    TORCH_CHECK_VALUE(!tokens[row].empty(),
                      "`input_ids` must hold at least one token a row, but "
                      "row ",
                      row, " is empty.");
    const auto length = static_cast<int64_t>(state.tokens_[row].size() + tokens[row].size());
    TORCH_CHECK_INDEX(has_memory() || length <= window(), "A row must hold at most ", window(),
                      " tokens (`n_positions`), but row ", row, " holds ", length, ".");
    for (const auto id : tokens[row]) {
      TORCH_CHECK_INDEX(id >= 0 && id < vocabulary(), "`input_ids` must be in [0, ", vocabulary(),
                        "), but row ", row, " holds ", id, ".");
    }
  }
  auto states = compute_states(state, tokens, all);
  for (size_t row = 0; row < tokens.size(); ++row)
    state.tokens_[row].insert(state.tokens_[row].end(), tokens[row].begin(), tokens[row].end());
  return states;
}

} // namespace ptbert
