#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ptbert/models/gpt2_heads.h"
#include "ptbert/models/openai_gpt_heads.h"
#include "ptbert/models/transfo_xl_heads.h"
#include "ptbert/speed/weight_format.h"

namespace ptbert {

/// Ids of several rows of text, of any lengths.
using TokenRows = std::vector<std::vector<int64_t>>;

/// What a Decoder has computed of rows of tokens, so that it need not compute it again.
class DecoderState {
public:
  virtual ~DecoderState() = default;
  /// The tokens of each row.
  const TokenRows& tokens() const { return tokens_; }
  /// Makes row i a copy of what was row `rows`[i]; rows may be left out or taken several times.
  virtual void select_rows(const std::vector<int64_t>& rows);
  virtual std::unique_ptr<DecoderState> copy() const = 0;

protected:
  friend class Decoder;
  TokenRows tokens_;
};

/// Computes the next-token scores of a language model, token after token. Not changed by use, so
/// that threads may share it, each with states of its own.
class Decoder {
public:
  virtual ~Decoder() = default;

  /// Longest row, in tokens. With has_memory() rows have no limit, and longer ones are computed in
  /// segments of so many tokens.
  virtual int64_t window() const = 0;
  /// Whether a token sees what the model remembers of the tokens before it, however many these are.
  virtual bool has_memory() const { return false; }
  /// Number of scores per token; ids must be below it.
  virtual int64_t vocabulary() const = 0;
  /// `rows` rows without tokens. With `capacity` tokens per row expected, memory is taken once.
  virtual std::unique_ptr<DecoderState> new_state(int64_t rows, int64_t capacity) const = 0;

  /// Whether a state is of this kind and these sizes: states of another model are not.
  virtual bool can_use(const DecoderState& state) const = 0;

  /// Appends at least one token to each row; returns the scores after the last token of each,
  /// [rows, vocabulary]. Throws IndexError for an id out of range or a row that exceeds the window.
  Tensor append(DecoderState& state, const TokenRows& tokens) const;

  /// As append(), but returns what scores() makes scores of, after the last token of each row, or
  /// with `all` after every appended token, one row after the other; [rows or tokens, width].
  Tensor append_states(DecoderState& state, const TokenRows& tokens, bool all) const;
  /// [count, width] -> [count, vocabulary]
  virtual Tensor scores(const Tensor& states) const = 0;
  /// The log-probabilities of `ids` [count], one after each of `states` [count, width]; [count],
  /// float64.
  virtual Tensor log_probs(const Tensor& states, const Tensor& ids) const;

protected:
  /// append_states() of checked tokens; the caller adds them to `state.tokens()`.
  virtual Tensor compute_states(DecoderState& state, const TokenRows& tokens, bool all) const = 0;
};

/// A decoder of its own for a model on the CPU in float32 or bfloat16: keys and values in memory
/// taken once, rows of any lengths without padding, weights read once per token. The weights of the
/// linear layers are stored as `format`; the decoder shares the others, and for kFloat32 all, with
/// the model, and does not follow later changes of its parameters. Dropout is not applied.
///
/// Throws ValueError if why_not_decoded() gives a reason.
std::shared_ptr<Decoder> make_decoder(const GPT2LMHeadModel& model,
                                      WeightFormat format = WeightFormat::kFloat32);
std::shared_ptr<Decoder> make_decoder(const OpenAIGPTLMHeadModel& model,
                                      WeightFormat format = WeightFormat::kFloat32);
/// Keys and values of the memory are kept instead of the hidden states that they follow from. The
/// softmax and the embeddings stay as they are in the model.
std::shared_ptr<Decoder> make_decoder(const TransfoXLLMHeadModel& model,
                                      WeightFormat format = WeightFormat::kFloat32);

/// The reason why make_decoder() cannot serve a model, or nullptr if it can.
const char* why_not_decoded(const GPT2LMHeadModel& model);
const char* why_not_decoded(const OpenAIGPTLMHeadModel& model);
const char* why_not_decoded(const TransfoXLLMHeadModel& model);

/// A decoder that calls a model as a whole: for any device and dtype, and where user code must see
/// intermediate tensors, row after row. GPT-2 is given `past` and Transformer-XL `mems`; GPT
/// computes all tokens again.
std::shared_ptr<Decoder>
make_plain_decoder(const GPT2Config& config,
                   std::function<GPT2LMOutput(const Tensor&, const std::vector<Tensor>&)> forward);
std::shared_ptr<Decoder> make_plain_decoder(const OpenAIGPTConfig& config,
                                            std::function<Tensor(const Tensor&)> forward);
/// Throws ValueError for a model that cannot go on token by token with its memory: `attn_type` 2
/// and 3 add positions to it anew in every call, `ext_len` leaves out the last tokens, and without
/// `mem_len` there is none.
std::shared_ptr<Decoder> make_plain_decoder(
    const TransfoXLConfig& config,
    std::function<TransfoXLLMOutput(const Tensor&, const std::vector<Tensor>&)> forward);

/// make_decoder() if it can serve the model, otherwise a plain decoder that calls it. Throws
/// ValueError if dropout is on.
std::shared_ptr<Decoder> decoder_of(GPT2LMHeadModel model);
std::shared_ptr<Decoder> decoder_of(OpenAIGPTLMHeadModel model);
std::shared_ptr<Decoder> decoder_of(TransfoXLLMHeadModel model);

} // namespace ptbert
