#include "ptbert/generation/generate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "beam_search.h"
#include "token_choice.h"

namespace ptbert {
namespace {

/// A beginning of fewer tokens is not worth computing on its own.
constexpr int64_t kShortestSharedBeginning = 8;

void check_options(const GenerationOptions& options, int64_t vocabulary) {
  const auto at_least = [](const char* name, auto value, auto smallest) {
    TORCH_CHECK_VALUE(value >= smallest, "`", name, "` must be at least ", smallest, ", but is ",
                      value, ".");
  };
  if (options.max_new_tokens)
    at_least("max_new_tokens", *options.max_new_tokens, 1);
  at_least("min_new_tokens", options.min_new_tokens, 0);
  TORCH_CHECK_VALUE(!options.max_new_tokens || options.min_new_tokens <= *options.max_new_tokens,
                    "`min_new_tokens` (", options.min_new_tokens,
                    ") must be at most `max_new_tokens` (", *options.max_new_tokens, ").");
  TORCH_CHECK_VALUE(options.repetition_penalty > 0, "`repetition_penalty` must be above 0, but is ",
                    options.repetition_penalty, ".");
  at_least("no_repeat_ngram_size", options.no_repeat_ngram_size, 0);
  TORCH_CHECK_VALUE(options.temperature >= 0 && std::isfinite(options.temperature),
                    "`temperature` must be at least 0 (0 takes the most probable token), but is ",
                    options.temperature, ".");
  TORCH_CHECK_VALUE(options.top_k >= 0 && options.top_k <= vocabulary, "`top_k` must be in [0, ",
                    vocabulary, "] (0 means all), but is ", options.top_k, ".");
  TORCH_CHECK_VALUE(options.top_p > 0 && options.top_p <= 1, "`top_p` must be in (0, 1], but is ",
                    options.top_p, ".");
  TORCH_CHECK_VALUE(options.min_p >= 0 && options.min_p <= 1, "`min_p` must be in [0, 1], but is ",
                    options.min_p, ".");
  const bool draws = options.temperature > 0;
  TORCH_CHECK_VALUE(draws || (options.top_k == 0 && options.top_p == 1 && options.min_p == 0),
                    "`temperature` must be above 0 for `top_k`, `top_p` and `min_p`, but is 0.");
  at_least("num_beams", options.num_beams, 1);
  at_least("num_return_sequences", options.num_return_sequences, 1);
  TORCH_CHECK_VALUE(options.num_beams == 1 || !draws,
                    "`temperature` must be 0 with `num_beams`, but is ", options.temperature, ".");
  TORCH_CHECK_VALUE(draws || options.num_return_sequences <= options.num_beams,
                    "`num_return_sequences` must be at most `num_beams` (", options.num_beams,
                    ") unless tokens are drawn (`temperature` above 0), but is ",
                    options.num_return_sequences, ".");
  TORCH_CHECK_VALUE(!options.sliding_window || options.num_beams == 1,
                    "`sliding_window` must be false with `num_beams`, but is true.");
  TORCH_CHECK_VALUE(!options.sliding_window || options.max_new_tokens,
                    "`max_new_tokens` must be given with `sliding_window`, but is not.");
  for (const auto id : options.stop_ids) {
    TORCH_CHECK_INDEX(id >= 0 && id < vocabulary, "`stop_ids` must be in [0, ", vocabulary,
                      "), but hold ", id, ".");
  }
}

int64_t shared_beginning(const TokenRows& prompts) {
  auto length = static_cast<int64_t>(prompts.front().size());
  for (const auto& prompt : prompts) {
    const auto end =
        std::mismatch(prompt.begin(), prompt.end(), prompts.front().begin(), prompts.front().end());
    length = std::min<int64_t>(length, end.first - prompt.begin());
  }
  // One token is left to each row: scores follow from it.
  for (const auto& prompt : prompts)
    length = std::min(length, static_cast<int64_t>(prompt.size()) - 1);
  return length;
}

} // namespace

Generation::Generation(std::shared_ptr<const Decoder> decoder, TokenRows prompts,
                       GenerationOptions options, std::shared_ptr<const DecoderState> prefix)
    : decoder_(std::move(decoder)), prompts_(std::move(prompts)), options_(std::move(options)) {
  check_options(options_, decoder_->vocabulary());
  TORCH_CHECK_VALUE(!prompts_.empty(), "`input_ids` must hold at least one prompt, but is empty.");
  TORCH_CHECK_VALUE(prefix == nullptr || decoder_->can_use(*prefix),
                    "`prefix` must have been made with this model, but was made with another.");
  const auto before = prefix ? static_cast<int64_t>(prefix->tokens().front().size()) : 0;
  const auto window = decoder_->window();
  TORCH_CHECK_VALUE(!decoder_->has_memory() || options_.max_new_tokens,
                    "`max_new_tokens` must be given for a model with memory, which has no window "
                    "that could be full, but is not.");
  for (size_t i = 0; i < prompts_.size(); ++i) {
    const auto length = static_cast<int64_t>(prompts_[i].size());
    TORCH_CHECK_VALUE(length > 0, "`input_ids` must hold at least one token a prompt, but prompt ",
                      i, " is empty.");
    if (decoder_->has_memory())
      continue;
    if (options_.sliding_window) {
      TORCH_CHECK_VALUE(before + length <= window, "Prompt ", i, " must fit into the window of ",
                        window, " tokens, but has ", before + length, ".");
      continue;
    }
    const auto wanted = options_.max_new_tokens.value_or(1);
    TORCH_CHECK_VALUE(before + length + wanted <= window, "Prompt ", i, " (", before + length,
                      " tokens) and `max_new_tokens` (", wanted, ") must fit into the window of ",
                      window, " tokens; `sliding_window` lifts this.");
  }
  seed_ = options_.seed.value_or(std::random_device()() |
                                 static_cast<uint64_t>(std::random_device()()) << 32);
  for (size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    for (int64_t i = 0; i < options_.num_return_sequences; ++i) {
      rows_.emplace_back();
      rows_.back().prompt = static_cast<int64_t>(prompt);
    }
  }
  start(prefix);
}

void Generation::start(const std::shared_ptr<const DecoderState>& prefix) {
  const auto count = static_cast<int64_t>(prompts_.size());
  size_t longest = 0;
  for (const auto& prompt : prompts_)
    longest = std::max(longest, prompt.size());
  const auto before = prefix ? static_cast<int64_t>(prefix->tokens().front().size()) : 0;
  const auto capacity =
      before + static_cast<int64_t>(longest) + options_.max_new_tokens.value_or(64);
  auto shared = count > 1 ? shared_beginning(prompts_) : 0;
  if (decoder_->has_memory()) // segments begin where they do for a prompt alone
    shared -= shared % decoder_->window();
  const bool shares = prefix || shared >= kShortestSharedBeginning;
  state_ = prefix ? prefix->copy() : decoder_->new_state(shares ? 1 : count, capacity);
  pending_ = prompts_;
  if (shared >= kShortestSharedBeginning) {
    const auto& first = prompts_.front();
    decoder_->append_states(*state_, {{first.begin(), first.begin() + shared}}, /*all=*/false);
    for (auto& row : pending_)
      row.erase(row.begin(), row.begin() + shared);
  }
  if (shares)
    state_->select_rows(std::vector<int64_t>(count, 0));
}

bool Generation::done() const {
  return std::all_of(rows_.begin(), rows_.end(),
                     [](const auto& row) { return !row.stop_reason.empty(); });
}

void Generation::stop(int64_t row, const std::string& reason) {
  auto& stopped = rows_.at(row);
  if (stopped.stop_reason.empty())
    stopped.stop_reason = reason;
}

std::vector<NewToken> Generation::step() {
  if (done())
    return {};
  if (options_.num_beams > 1) {
    search_beams();
    std::vector<NewToken> written;
    for (size_t row = 0; row < rows_.size(); ++row) {
      for (size_t i = 0; i < rows_[row].ids.size(); ++i)
        written.push_back({static_cast<int64_t>(row), rows_[row].ids[i], rows_[row].log_probs[i]});
    }
    return written;
  }
  leave_out_ended_rows();
  make_room();
  auto scores = decoder_->append(*state_, pending_).to(torch::kFloat).contiguous();
  if (active_.empty())
    split_prompts(scores);
  const auto totals = scores.logsumexp(1); // [rows, vocabulary] -> [rows]
  const bool changes = options_.repetition_penalty != 1 || options_.no_repeat_ngram_size > 0 ||
                       options_.min_new_tokens > 0;
  const auto originals = changes ? scores.clone() : scores;
  std::vector<NewToken> written;
  pending_.clear();
  for (size_t i = 0; i < active_.size(); ++i) {
    auto& row = rows_[active_[i]];
    const auto index = static_cast<int64_t>(i);
    const auto id = choose(row, state_->tokens()[i], scores[index].data_ptr<float>());
    const double log_prob = originals[index][id].item<double>() - totals[index].item<double>();
    row.ids.push_back(id);
    row.log_probs.push_back(log_prob);
    pending_.push_back({id});
    written.push_back({active_[i], id, log_prob});
    const auto count = static_cast<int64_t>(row.ids.size());
    if (std::count(options_.stop_ids.begin(), options_.stop_ids.end(), id) > 0) {
      row.stop_reason = "stop_id";
    } else if (count == options_.max_new_tokens.value_or(-1)) {
      row.stop_reason = "length";
    } else if (!decoder_->has_memory() && !options_.sliding_window &&
               static_cast<int64_t>(state_->tokens()[i].size()) + 1 >= decoder_->window()) {
      row.stop_reason = "window";
    }
  }
  return written;
}

int64_t Generation::choose(const GeneratedRow& row, const std::vector<int64_t>& tokens,
                           float* scores) const {
  const auto count = decoder_->vocabulary();
  if (options_.repetition_penalty != 1)
    penalize_repetition(tokens, options_.repetition_penalty, scores);
  if (options_.no_repeat_ngram_size > 0)
    ban_repeated_ngrams(tokens, options_.no_repeat_ngram_size, scores);
  if (static_cast<int64_t>(row.ids.size()) < options_.min_new_tokens) {
    for (const auto id : options_.stop_ids)
      scores[id] = -std::numeric_limits<float>::infinity();
  }
  if (options_.temperature == 0)
    return most_probable(scores, count);
  const auto number = &row - rows_.data() - row.prompt * options_.num_return_sequences;
  return draw_token(options_, uniform_of(seed_, number, row.ids.size()), scores, count);
}

void Generation::split_prompts(Tensor& scores) {
  std::vector<int64_t> prompts;
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (!rows_[row].stop_reason.empty())
      continue;
    prompts.push_back(rows_[row].prompt);
    active_.push_back(static_cast<int64_t>(row));
  }
  state_->select_rows(prompts);
  scores = scores.index_select(0, torch::tensor(prompts, torch::kLong));
}

void Generation::leave_out_ended_rows() {
  std::vector<int64_t> kept, active;
  TokenRows pending;
  for (size_t i = 0; i < active_.size(); ++i) {
    if (!rows_[active_[i]].stop_reason.empty())
      continue;
    kept.push_back(static_cast<int64_t>(i));
    active.push_back(active_[i]);
    pending.push_back(pending_[i]);
  }
  if (kept.size() == active_.size())
    return;
  state_->select_rows(kept);
  active_ = std::move(active);
  pending_ = std::move(pending);
}

void Generation::make_room() {
  if (decoder_->has_memory())
    return;
  const auto window = decoder_->window();
  const auto& tokens = state_->tokens();
  const bool full = std::any_of(tokens.begin(), tokens.end(), [&](const auto& row) {
    return static_cast<int64_t>(row.size()) == window;
  });
  if (!full)
    return;
  // Positions change, so nothing that was computed can be used again.
  for (size_t i = 0; i < pending_.size(); ++i) {
    const auto& row = tokens[i];
    const bool is_full = static_cast<int64_t>(row.size()) == window;
    const auto begin = is_full ? row.end() - (window - window / 2) : row.begin();
    pending_[i].insert(pending_[i].begin(), begin, row.end());
  }
  state_ = decoder_->new_state(static_cast<int64_t>(pending_.size()), window);
}

void Generation::search_beams() {
  std::vector<GeneratedRow> found;
  BeamSearch search(*decoder_, options_);
  auto ended = search.run(*state_, pending_);
  for (size_t prompt = 0; prompt < ended.size(); ++prompt) {
    for (auto& row : ended[prompt]) {
      row.prompt = static_cast<int64_t>(prompt);
      found.push_back(std::move(row));
    }
  }
  rows_ = std::move(found);
}

std::vector<GeneratedRow> generate(std::shared_ptr<const Decoder> decoder, TokenRows prompts,
                                   const GenerationOptions& options, const OnToken& on_token,
                                   std::shared_ptr<const DecoderState> prefix) {
  Generation generation(std::move(decoder), std::move(prompts), options, std::move(prefix));
  while (!generation.done()) {
    for (const auto& token : generation.step()) {
      if (on_token && !on_token(token))
        generation.stop(token.row, "callback");
    }
  }
  return generation.rows();
}

std::vector<GeneratedRow> generate(const GPT2LMHeadModel& model, TokenRows prompts,
                                   const GenerationOptions& options, const OnToken& on_token) {
  return generate(decoder_of(model), std::move(prompts), options, on_token);
}

std::vector<GeneratedRow> generate(const OpenAIGPTLMHeadModel& model, TokenRows prompts,
                                   const GenerationOptions& options, const OnToken& on_token) {
  return generate(decoder_of(model), std::move(prompts), options, on_token);
}

std::vector<GeneratedRow> generate(const TransfoXLLMHeadModel& model, TokenRows prompts,
                                   const GenerationOptions& options, const OnToken& on_token) {
  return generate(decoder_of(model), std::move(prompts), options, on_token);
}

} // namespace ptbert
