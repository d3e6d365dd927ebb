#include "beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "token_choice.h"

namespace ptbert {

std::vector<std::vector<GeneratedRow>> BeamSearch::run(DecoderState& state,
                                                       const TokenRows& pending) {
  std::vector<Prompt> prompts(pending.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto length = static_cast<int64_t>(state.tokens()[i].size() + pending[i].size());
    prompts[i].limit = options_.max_new_tokens.value_or(decoder_.window() - length);
    prompts[i].running.emplace_back();
    prompts[i].running.back().state_row = static_cast<int64_t>(i);
  }
  for (auto tokens = pending; !tokens.empty();) {
    const auto scores = decoder_.append(state, tokens).to(torch::kFloat).log_softmax(1);
    tokens.clear();
    std::vector<int64_t> rows;
    for (auto& prompt : prompts) {
      if (prompt.done)
        continue;
      advance(prompt, state, scores);
      for (auto& beam : prompt.running) {
        if (prompt.done)
          break;
        rows.push_back(beam.state_row);
        beam.state_row = static_cast<int64_t>(rows.size()) - 1;
        tokens.push_back({beam.row.ids.back()});
      }
    }
    if (!tokens.empty())
      state.select_rows(rows);
  }
  std::vector<std::vector<GeneratedRow>> result;
  for (auto& prompt : prompts) {
    const auto count = std::min<size_t>(options_.num_return_sequences, prompt.ended.size());
    result.emplace_back(prompt.ended.begin(), prompt.ended.begin() + static_cast<int64_t>(count));
  }
  return result;
}

std::vector<BeamSearch::Beam> BeamSearch::candidates(const Prompt& prompt,
                                                     const DecoderState& state,
                                                     const Tensor& scores) const {
  const auto vocabulary = scores.size(1);
  const auto some = std::min<int64_t>(
      vocabulary, std::max<int64_t>(2, 1 + static_cast<int64_t>(options_.stop_ids.size())) *
                      options_.num_beams);
  std::vector<Beam> found;
  for (const auto& beam : prompt.running) {
    const auto original = scores[beam.state_row];
    auto changed = original.clone();
    auto* values = changed.data_ptr<float>();
    const auto& tokens = state.tokens()[beam.state_row];
    if (options_.repetition_penalty != 1)
      penalize_repetition(tokens, options_.repetition_penalty, values);
    if (options_.no_repeat_ngram_size > 0)
      ban_repeated_ngrams(tokens, options_.no_repeat_ngram_size, values);
    if (static_cast<int64_t>(beam.row.ids.size()) < options_.min_new_tokens) {
      for (const auto id : options_.stop_ids)
        values[id] = -std::numeric_limits<float>::infinity();
    }
    const auto [best, ids] = changed.topk(some);
    for (int64_t i = 0; i < some; ++i) {
      const auto id = ids[i].item<int64_t>();
      auto next = beam;
      next.log_prob += best[i].item<double>();
      next.row.ids.push_back(id);
      next.row.log_probs.push_back(original[id].item<double>());
      found.push_back(std::move(next));
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Beam& a, const Beam& b) { return a.log_prob > b.log_prob; });
  found.resize(std::min<size_t>(found.size(), some));
  return found;
}

void BeamSearch::advance(Prompt& prompt, const DecoderState& state, const Tensor& scores) {
  auto next = candidates(prompt, state, scores);
  const auto length = prompt.running.front().row.ids.size() + 1;
  const auto beams = static_cast<size_t>(options_.num_beams);
  const bool at_limit = static_cast<int64_t>(length) == prompt.limit;
  prompt.running.clear();
  for (size_t i = 0; i < next.size(); ++i) {
    const bool stops = is_stop_id(next[i].row.ids.back());
    if ((stops || at_limit) && i < beams) {
      auto row = next[i].row;
      row.stop_reason = stops ? "stop_id" : options_.max_new_tokens ? "length" : "window";
      row.score = score_of(next[i].log_prob, length);
      prompt.ended.push_back(std::move(row));
    } else if (!stops && !at_limit && prompt.running.size() < beams) {
      prompt.running.push_back(std::move(next[i]));
    }
  }
  std::stable_sort(prompt.ended.begin(), prompt.ended.end(),
                   [](const auto& a, const auto& b) { return a.score > b.score; });
  prompt.ended.resize(std::min(prompt.ended.size(), beams));
  // No running beam can become better than the worst that has ended, if it ended now.
  const bool cannot_improve =
      prompt.ended.size() == beams && !prompt.running.empty() &&
      score_of(prompt.running.front().log_prob, length) <= prompt.ended.back().score;
  prompt.done = prompt.running.empty() || cannot_improve;
}

bool BeamSearch::is_stop_id(int64_t id) const {
  return std::count(options_.stop_ids.begin(), options_.stop_ids.end(), id) > 0;
}

double BeamSearch::score_of(double log_prob, size_t length) const {
  return log_prob / std::pow(static_cast<double>(length), options_.length_penalty);
}

} // namespace ptbert
