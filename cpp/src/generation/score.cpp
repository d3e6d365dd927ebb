#include "ptbert/generation/score.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace ptbert {
namespace {

/// Rows of scores that are made at once: few enough to stay in a cache, enough for a fast product.
constexpr int64_t kScoresAtOnce = 128;

/// A part of a text that fits into the window; the tokens from `first_scored` on are scored.
struct Part {
  size_t text;
  int64_t begin, end, first_scored;
  int64_t length() const { return end - begin; }
};

std::vector<Part> parts_of(const TokenRows& texts, int64_t window, int64_t stride) {
  std::vector<Part> parts;
  for (size_t text = 0; text < texts.size(); ++text) {
    const auto length = static_cast<int64_t>(texts[text].size());
    int64_t end = std::min(length, window);
    parts.push_back({text, 0, end, 1});
    while (end < length) {
      const auto next = std::min(length, end + stride);
      parts.push_back({text, next - window, next, end});
      end = next;
    }
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.length() > b.length(); });
  return parts;
}

/// The log-probabilities of `ids`, one after each of `states` [count, width].
std::vector<double> log_probs_of(const Decoder& decoder, const Tensor& states,
                                 const std::vector<int64_t>& ids) {
  std::vector<double> result;
  const auto count = static_cast<int64_t>(ids.size());
  const auto targets = torch::tensor(ids, torch::kLong);
  for (int64_t begin = 0; begin < count; begin += kScoresAtOnce) {
    const auto some = std::min(kScoresAtOnce, count - begin);
    const auto log_probs =
        decoder.log_probs(states.narrow(0, begin, some), targets.narrow(0, begin, some));
    const auto* first = log_probs.contiguous().const_data_ptr<double>();
    result.insert(result.end(), first, first + some);
  }
  return result;
}

/// Called with how many more tokens are scored.
using Report = std::function<void(int64_t)>;

void score_in_windows(const Decoder& decoder, const TokenRows& texts, const ScoreOptions& options,
                      std::vector<ScoredText>& result, const Report& report) {
  const auto window = options.window > 0 ? options.window : decoder.window();
  TORCH_CHECK_VALUE(options.window >= 0 && window <= decoder.window() && window > 1,
                    "`window` must be in [2, ", decoder.window(),
                    "], or 0 for the model's, but is ", options.window, ".");
  const auto stride = options.stride > 0 ? options.stride : std::max<int64_t>(window / 2, 1);
  TORCH_CHECK_VALUE(options.stride >= 0 && stride < window, "`stride` must be in [1, ", window,
                    "), or 0 for half a window, but is ", options.stride, ".");
  const auto parts = parts_of(texts, window, stride);
  for (size_t first = 0; first < parts.size();) {
    TokenRows rows;
    int64_t tokens = 0;
    auto last = first;
    for (; last < parts.size() && (last == first || tokens < options.batch_tokens); ++last) {
      const auto& part = parts[last];
      const auto& text = texts[part.text];
      // The last token is predicted, and predicts nothing.
      const auto end = std::max(part.end - 1, part.begin + 1);
      rows.emplace_back(text.begin() + part.begin, text.begin() + end);
      tokens += end - part.begin;
    }
    const auto longest = static_cast<int64_t>(rows.front().size()); // parts are sorted
    const auto state = decoder.new_state(static_cast<int64_t>(rows.size()), longest);
    const auto states = decoder.append_states(*state, rows, /*all=*/true); // [tokens, width]
    int64_t row_begin = 0, scored = 0;
    for (auto i = first; i < last; ++i) {
      const auto& part = parts[i];
      const auto& text = texts[part.text];
      const std::vector<int64_t> ids(text.begin() + part.first_scored, text.begin() + part.end);
      const auto begin = row_begin + part.first_scored - 1 - part.begin;
      const auto count = static_cast<int64_t>(ids.size());
      const auto log_probs = log_probs_of(decoder, states.narrow(0, begin, count), ids);
      std::copy(log_probs.begin(), log_probs.end(),
                result[part.text].log_probs.begin() + part.first_scored - 1);
      row_begin += static_cast<int64_t>(rows[i - first].size());
      scored += count;
    }
    report(scored);
    first = last;
  }
}

/// Texts from their beginnings to their ends, several at once, a segment of each after the other.
void score_with_memory(const Decoder& decoder, const TokenRows& texts, const ScoreOptions& options,
                       std::vector<ScoredText>& result, const Report& report) {
  for (const auto& [name, value] :
       {std::pair("window", options.window), std::pair("stride", options.stride)}) {
    TORCH_CHECK_VALUE(value == 0, "`", name,
                      "` must not be given for a model with memory, which has no window, but is ",
                      value, ".");
  }
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return texts[a].size() > texts[b].size(); });
  const auto segment = decoder.window();
  const auto rows_at_once =
      static_cast<size_t>(std::max<int64_t>(options.batch_tokens / segment, 1));
  for (size_t first = 0; first < order.size(); first += rows_at_once) {
    const auto last = std::min(first + rows_at_once, order.size());
    const auto state = decoder.new_state(static_cast<int64_t>(last - first), segment);
    const auto longest = static_cast<int64_t>(texts[order[first]].size());
    for (int64_t begin = 0; begin + 1 < longest; begin += segment) {
      TokenRows rows;
      std::vector<int64_t> ids; // that follow
      for (auto i = first; i < last; ++i) {
        const auto& text = texts[order[i]];
        // The last token is predicted, and predicts nothing.
        const auto end = std::min(begin + segment, static_cast<int64_t>(text.size()) - 1);
        if (end <= begin)
          break; // so do all behind it, which are no longer
        rows.emplace_back(text.begin() + begin, text.begin() + end);
        ids.insert(ids.end(), text.begin() + begin + 1, text.begin() + end + 1);
      }
      std::vector<int64_t> kept(rows.size());
      std::iota(kept.begin(), kept.end(), 0);
      state->select_rows(kept);
      const auto log_probs =
          log_probs_of(decoder, decoder.append_states(*state, rows, /*all=*/true), ids);
      auto from = log_probs.begin();
      for (size_t i = 0; i < rows.size(); ++i) {
        const auto count = static_cast<int64_t>(rows[i].size());
        std::copy_n(from, count, result[order[first + i]].log_probs.begin() + begin);
        from += count;
      }
      report(static_cast<int64_t>(ids.size()));
    }
  }
}

} // namespace

double ScoredText::perplexity() const {
  if (log_probs.empty())
    return std::numeric_limits<double>::quiet_NaN();
  const auto total = std::accumulate(log_probs.begin(), log_probs.end(), 0.0);
  return std::exp(-total / static_cast<double>(log_probs.size()));
}

std::vector<ScoredText> score(const Decoder& decoder, const TokenRows& texts,
                              const ScoreOptions& options, const OnProgress& on_progress) {
  const torch::InferenceMode no_gradients;
  TORCH_CHECK_VALUE(options.batch_tokens >= 1, "`batch_tokens` must be at least 1, but is ",
                    options.batch_tokens, ".");
  std::vector<ScoredText> result(texts.size());
  int64_t all = 0, done = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    TORCH_CHECK_VALUE(!texts[i].empty(), "`texts` must hold at least one token each, but text ", i,
                      " is empty.");
    result[i].log_probs.resize(texts[i].size() - 1);
    all += static_cast<int64_t>(texts[i].size()) - 1;
  }
  const auto report = [&](int64_t scored) {
    done += scored;
    if (on_progress)
      on_progress(done, all);
  };
  const auto score_texts = decoder.has_memory() ? score_with_memory : score_in_windows;
  score_texts(decoder, texts, options, result, report);
  return result;
}

} // namespace ptbert
