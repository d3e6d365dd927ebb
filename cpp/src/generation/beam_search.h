#pragma once

#include <vector>

#include "ptbert/generation/generate.h"

namespace ptbert {

/// The search for the most probable continuations of several prompts at once. The rules of ending
/// are those of transformers with `early_stopping=False`, so that the results are equal, too.
class BeamSearch {
public:
  BeamSearch(const Decoder& decoder, const GenerationOptions& options)
      : decoder_(decoder), options_(options) {}

  /// `state` has a row for each prompt, and `pending` its tokens that the state has not seen.
  /// Returns the best `options.num_return_sequences` continuations of each prompt.
  std::vector<std::vector<GeneratedRow>> run(DecoderState& state, const TokenRows& pending);

private:
  /// A continuation that may be continued.
  struct Beam {
    GeneratedRow row;
    double log_prob = 0;
    int64_t state_row = 0;
  };
  struct Prompt {
    std::vector<Beam> running;
    std::vector<GeneratedRow> ended; // the best first
    int64_t limit;                   // of new tokens
    bool done = false;
  };

  /// Continues the beams of a prompt by one token; `scores` [state rows, vocabulary].
  void advance(Prompt& prompt, const DecoderState& state, const Tensor& scores);
  std::vector<Beam> candidates(const Prompt& prompt, const DecoderState& state,
                               const Tensor& scores) const;
  bool is_stop_id(int64_t id) const;
  double score_of(double log_prob, size_t length) const;

  const Decoder& decoder_;
  const GenerationOptions& options_;
};

} // namespace ptbert
