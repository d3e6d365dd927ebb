#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ptbert/generation/decoder.h"
#include "ptbert/generation/options.h"

namespace ptbert {

/// A continuation of a prompt.
struct GeneratedRow {
  /// Which prompt it continues.
  int64_t prompt = 0;
  /// The new tokens, a stop id included.
  std::vector<int64_t> ids;
  /// The log-probability of each, by the model's own scores: before penalties, temperature and the
  /// choice of candidates.
  std::vector<double> log_probs;
  /// Why it ended: "stop_id", "length" (`max_new_tokens`), "window" (it is full), or what stop()
  /// was given; empty while it has not.
  std::string stop_reason;
  /// With beams: log-probability / length ^ `length_penalty`.
  double score = 0;
};

/// A token that was written.
struct NewToken {
  /// Index among the rows of the generation.
  int64_t row;
  int64_t id;
  double log_prob;
};

/// Text being generated, one token of each row at a time.
class Generation {
public:
  /// `prompts` are continued `options.num_return_sequences` times each: rows are in the order of
  /// prompts. A beginning that all prompts share is computed once. `prefix` holds one row, whose
  /// tokens stand before every prompt; it is not changed. Throws ValueError or IndexError whose
  /// message names the argument.
  Generation(std::shared_ptr<const Decoder> decoder, TokenRows prompts, GenerationOptions options,
             std::shared_ptr<const DecoderState> prefix = nullptr);

  /// Writes one token to each row that has not ended; nothing if all have. With beams it writes
  /// all at once.
  std::vector<NewToken> step();
  /// Ends a row.
  void stop(int64_t row, const std::string& reason);
  bool done() const;

  const std::vector<GeneratedRow>& rows() const { return rows_; }

private:
  void start(const std::shared_ptr<const DecoderState>& prefix);
  /// Gives each continuation of a prompt a row of the state, once their first scores are known.
  void split_prompts(Tensor& scores);
  void leave_out_ended_rows();
  void make_room();
  void search_beams();
  int64_t choose(const GeneratedRow& row, const std::vector<int64_t>& tokens, float* scores) const;

  std::shared_ptr<const Decoder> decoder_;
  TokenRows prompts_;
  GenerationOptions options_;
  uint64_t seed_ = 0;
  std::vector<GeneratedRow> rows_;
  /// The state holds the prompts until the first step, then the rows `active_`. `pending_` are
  /// tokens of each that it has not seen.
  std::unique_ptr<DecoderState> state_;
  std::vector<int64_t> active_;
  TokenRows pending_;
};

/// Called for every token that is written; false ends its row with the reason "callback".
using OnToken = std::function<bool(const NewToken&)>;

/// Generates until all rows have ended.
std::vector<GeneratedRow> generate(std::shared_ptr<const Decoder> decoder, TokenRows prompts,
                                   const GenerationOptions& options,
                                   const OnToken& on_token = nullptr,
                                   std::shared_ptr<const DecoderState> prefix = nullptr);

/// The same for a model, which is decoded as it is.
std::vector<GeneratedRow> generate(const GPT2LMHeadModel& model, TokenRows prompts,
                                   const GenerationOptions& options,
                                   const OnToken& on_token = nullptr);
std::vector<GeneratedRow> generate(const OpenAIGPTLMHeadModel& model, TokenRows prompts,
                                   const GenerationOptions& options,
                                   const OnToken& on_token = nullptr);
std::vector<GeneratedRow> generate(const TransfoXLLMHeadModel& model, TokenRows prompts,
                                   const GenerationOptions& options,
                                   const OnToken& on_token = nullptr);

} // namespace ptbert
