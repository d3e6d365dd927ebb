#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ptbert/generation/decoder.h"

namespace ptbert {

/// How texts are scored. With a model with memory `stride` and `window` stay 0: it reads texts of
/// any length from beginning to end.
struct ScoreOptions {
  /// Tokens of a text that is longer than the window are scored with at least window - stride
  /// tokens before them; 0 means half a window. A smaller stride is slower and more exact.
  int64_t stride = 0;
  /// Length of a window; 0 means that of the model.
  int64_t window = 0;
  /// About how many tokens are computed at once.
  int64_t batch_tokens = 2048;
};

/// What a model thinks of a text.
struct ScoredText {
  /// The log-probability of each token but the first, given those before it.
  std::vector<double> log_probs;
  /// exp(-mean of log_probs); NaN for a text of one token.
  double perplexity() const;
};

/// Called with the number of tokens scored so far and of all.
using OnProgress = std::function<void(int64_t, int64_t)>;

/// The log-probability of every token of every text. Texts are computed in order of length. Throws
/// ValueError or IndexError whose message names the argument.
std::vector<ScoredText> score(const Decoder& decoder, const TokenRows& texts,
                              const ScoreOptions& options = {},
                              const OnProgress& on_progress = nullptr);

} // namespace ptbert
