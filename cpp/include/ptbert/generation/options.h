#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ptbert {

/// How text is generated. Scores of the next token are changed in the order of these fields before
/// one is chosen.
struct GenerationOptions {
  /// How many tokens to write at most; without a value, until the window is full. A model with
  /// memory needs one.
  std::optional<int64_t> max_new_tokens;
  /// How many tokens to write before a stop id may be chosen.
  int64_t min_new_tokens = 0;
  /// Divides positive scores of tokens that the row holds, and multiplies negative ones; 1 changes
  /// nothing. Keskar et al., 2019 (arXiv 1909.05858).
  double repetition_penalty = 1;
  /// No sequence of so many tokens occurs twice in a row; 0 allows it.
  int64_t no_repeat_ngram_size = 0;
  /// 0 takes the most probable token. Above 0 tokens are drawn, with scores divided by it.
  double temperature = 0;
  /// Draw among the `top_k` most probable tokens; 0 means all. Fan et al., 2018 (arXiv 1805.04833).
  int64_t top_k = 0;
  /// Draw among the fewest tokens whose probabilities sum to at least `top_p`. Holtzman et al.,
  /// 2019 (arXiv 1904.09751).
  double top_p = 1;
  /// Draw among tokens at least `min_p` times as probable as the most probable one. Nguyen et al.,
  /// 2024 (arXiv 2407.01082).
  double min_p = 0;

  /// Ids after which a row ends; they are part of it.
  std::vector<int64_t> stop_ids;
  /// Continuations per prompt. With beams, the best so many of them.
  int64_t num_return_sequences = 1;
  /// Above 1: search for the most probable continuation, keeping so many.
  int64_t num_beams = 1;
  /// Beams that have ended are compared by log-probability / length ^ `length_penalty`.
  double length_penalty = 1;
  /// Start of the random numbers. Those of a row follow from it and from the row's number among
  /// the continuations of its prompt, whatever else is in the batch. Without a value, a new one
  /// each time.
  std::optional<uint64_t> seed;
  /// When the window is full, go on with the last half of it as the prompt; otherwise it is an
  /// error to ask for more than fits. Nothing changes for a model with memory.
  bool sliding_window = false;
};

} // namespace ptbert
