#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/causal_attention.h"
#include "ptbert/generation/decoder.h"
#include "speed/row_kernels.h"
#include "streamed_layers.h"

namespace ptbert {
namespace {

struct StreamedBlock {
  LayerNormWeights ln_1, ln_2;
  StreamedWeight c_attn, c_proj, c_fc, c_proj_of_mlp;
  Activation act;
  int64_t heads, head_size;
  bool scale;
};

/// The weights of GPT or GPT-2 with the language-model head.
struct StreamedModel {
  /// [vocabulary, width], [positions, width]
  Tensor tokens, positions;
  /// Longest row: positions, or fewer if the causal mask is smaller.
  int64_t window;
  std::vector<StreamedBlock> blocks;
  /// Of GPT-2, whose blocks have their LayerNorms first.
  std::optional<LayerNormWeights> ln_f;
  StreamedWeight head;
  int64_t vocabulary;
};

template <typename Block> StreamedBlock take(const Block& block, WeightFormat format) {
  const auto& attention = block->attn;
  const auto& mlp = block->mlp;
  return {.ln_1 = take(block->ln_1),
          .ln_2 = take(block->ln_2),
          .c_attn = take(attention->c_attn, format),
          .c_proj = take(attention->c_proj, format),
          .c_fc = take(mlp->c_fc, format),
          .c_proj_of_mlp = take(mlp->c_proj, format),
          .act = mlp->act,
          .heads = attention->n_head,
          .head_size = attention->split_size / attention->n_head,
          .scale = attention->scale};
}

template <typename Model>
StreamedModel take(const Model& model, const Embedding& tokens, const Embedding& positions,
                   WeightFormat format) {
  StreamedModel result;
  result.tokens = tokens->weight.detach();
  result.positions = positions->weight.detach();
  result.window = result.positions.size(0);
  for (const auto& block : model->transformer->h->items) {
    result.window = std::min(result.window, block->attn->bias.size(-1));
    result.blocks.push_back(take(block, format));
  }
  const auto& head = model->lm_head;
  result.head = make_streamed_weight(head->decoder->weight, /*inputs_first=*/false,
                                     head->decoder->bias, format);
  result.vocabulary = head->predict_special_tokens ? result.head.outputs : head->vocab_size;
  return result;
}

/// Keys and values of every block: [2, rows, heads, capacity, head_size].
class KeyValueState : public DecoderState {
public:
  KeyValueState(const StreamedModel& model, int64_t rows, int64_t capacity)
      : capacity_(std::max<int64_t>(capacity, 1)) {
    tokens_.resize(rows);
    for (const auto& block : model.blocks)
      blocks_.push_back(torch::empty({2, rows, block.heads, capacity_, block.head_size}));
  }

  void select_rows(const std::vector<int64_t>& rows) override {
    std::vector<int64_t> same(tokens_.size());
    std::iota(same.begin(), same.end(), 0);
    if (rows == same)
      return;
    DecoderState::select_rows(rows);
    const auto index = torch::tensor(rows, torch::kLong);
    for (auto& block : blocks_)
      block = moved(block, capacity_, [&](const Tensor& x) { return x.index_select(1, index); });
  }

  std::unique_ptr<DecoderState> copy() const override {
    auto result = std::make_unique<KeyValueState>(*this);
    for (auto& block : result->blocks_)
      block = block.clone();
    return result;
  }

  /// Makes room for `length` tokens per row.
  void reserve(int64_t length, int64_t window) {
    if (length <= capacity_)
      return;
    capacity_ = std::min(window, std::max(length, 2 * capacity_));
    for (auto& block : blocks_)
      block = moved(block, capacity_, [](const Tensor& x) { return x; });
  }

  Tensor& operator[](size_t block) { return blocks_[block]; }
  /// Whether it is for a model of these blocks.
  bool fits(const StreamedModel& model) const {
    return std::equal(blocks_.begin(), blocks_.end(), model.blocks.begin(), model.blocks.end(),
                      [](const Tensor& mine, const StreamedBlock& block) {
                        return mine.size(2) == block.heads && mine.size(4) == block.head_size;
                      });
  }

private:
  /// A block of another capacity that holds `change` of the tokens in use.
  template <typename Change>
  Tensor moved(const Tensor& block, int64_t capacity, const Change& change) const {
    size_t longest = 0;
    for (const auto& row : tokens_)
      longest = std::max(longest, row.size());
    const auto used = change(block.narrow(3, 0, static_cast<int64_t>(longest)));
    auto sizes = used.sizes().vec();
    sizes[3] = capacity;
    auto result = torch::empty(sizes);
    result.narrow(3, 0, used.size(3)).copy_(used);
    return result;
  }

  std::vector<Tensor> blocks_;
  int64_t capacity_;
};

/// softmax(Q K^T) V for rows with one appended token each; writes into `context` [tokens, width].
void attend_one_each(const Tensor& projected, const std::vector<AppendedRow>& rows,
                     const Tensor& cache, bool scale, Tensor& context) {
  const auto heads = cache.size(2), capacity = cache.size(3), size = cache.size(4);
  const auto width = heads * size, count = static_cast<int64_t>(rows.size());
  const auto factor = scale ? 1 / std::sqrt(static_cast<float>(size)) : 1.F;
  const auto* queries = projected.const_data_ptr<float>();
  const auto* keys = cache.const_data_ptr<float>();
  const auto* values = keys + count * heads * capacity * size;
  auto* outputs = context.data_ptr<float>();
  at::parallel_for(0, count * heads, 4, [&](int64_t begin, int64_t end) {
    std::vector<float> weights(capacity);
    for (int64_t i = begin; i < end; ++i) {
      const auto& row = rows[i / heads];
      const auto head = i % heads;
      attend_one_query(queries + row.first * 3 * width + head * size, keys + i * capacity * size,
                       values + i * capacity * size, row.past + 1, size, factor, /*bias=*/nullptr,
                       weights.data(), outputs + row.first * width + head * size);
    }
  });
}

/// The same for rows with any number of appended tokens.
void attend_many(const Tensor& projected, const std::vector<AppendedRow>& rows, const Tensor& cache,
                 bool scale, Tensor& context) {
  const auto heads = cache.size(2), size = cache.size(4);
  for (size_t begin = 0; begin < rows.size();) {
    const auto end = end_of_alike(rows, begin);
    const auto [row, first, count, past] = rows[begin];
    const auto some = static_cast<int64_t>(end - begin);
    const auto queries = projected.narrow(0, first, some * count)
                             .narrow(1, 0, heads * size)
                             .view({some, count, heads, size})
                             .transpose(1, 2); // -> [some, heads, count, size]
    // [2, rows, heads, capacity, size] -> twice [some, heads, past + count, size]
    const auto used = cache.narrow(1, row, some).narrow(3, 0, past + count);
    const auto output = causal_attention(queries, used.select(0, 0), used.select(0, 1), scale);
    context.narrow(0, first, some * count)
        .view({some, count, heads, size})
        .copy_(output.transpose(1, 2)); // -> [some, count, heads, size]
    begin = end;
  }
}

class StreamingDecoder : public Decoder {
public:
  explicit StreamingDecoder(StreamedModel model) : model_(std::move(model)) {}

  int64_t window() const override { return model_.window; }
  int64_t vocabulary() const override { return model_.vocabulary; }

  std::unique_ptr<DecoderState> new_state(int64_t rows, int64_t capacity) const override {
    return std::make_unique<KeyValueState>(model_, rows, std::min(capacity, window()));
  }

  bool can_use(const DecoderState& state) const override {
    const auto* mine = dynamic_cast<const KeyValueState*>(&state);
    return mine != nullptr && mine->fits(model_);
  }

  Tensor scores(const Tensor& states) const override {
    return multiply(states, model_.head).narrow(1, 0, model_.vocabulary);
  }

protected:
  Tensor compute_states(DecoderState& state, const TokenRows& tokens, bool all) const override {
    auto& cache = dynamic_cast<KeyValueState&>(state);
    std::vector<AppendedRow> rows;
    std::vector<int64_t> ids, positions, last; // [tokens], [tokens], [rows]
    int64_t longest = 0;
    for (size_t row = 0; row < tokens.size(); ++row) {
      const auto past = static_cast<int64_t>(state.tokens()[row].size());
      const auto count = static_cast<int64_t>(tokens[row].size());
      rows.push_back({static_cast<int64_t>(row), static_cast<int64_t>(ids.size()), count, past});
      ids.insert(ids.end(), tokens[row].begin(), tokens[row].end());
      for (int64_t i = 0; i < count; ++i)
        positions.push_back(past + i);
      last.push_back(static_cast<int64_t>(ids.size()) - 1);
      longest = std::max(longest, past + count);
    }
    cache.reserve(longest, window());
    auto x = plain(model_.tokens.index_select(0, torch::tensor(ids, torch::kLong))) +
             plain(model_.positions.index_select(0, torch::tensor(positions, torch::kLong)));
    const bool one_each = ids.size() == tokens.size();
    const auto wanted =
        all || one_each ? Tensor() : torch::tensor(last, torch::kLong); // undefined: all
    for (size_t i = 0; i < model_.blocks.size(); ++i) {
      const bool is_last = i + 1 == model_.blocks.size();
      x = block(model_.blocks[i], x, rows, one_each, cache[i], is_last ? wanted : Tensor());
    }
    return model_.ln_f ? (*model_.ln_f)(x) : x;
  }

private:
  /// [tokens, width] -> [wanted or tokens, width]
  Tensor block(const StreamedBlock& part, Tensor x, const std::vector<AppendedRow>& rows,
               bool one_each, Tensor& cache, const Tensor& wanted) const {
    const bool norm_first = model_.ln_f.has_value();
    const auto projected = multiply(norm_first ? part.ln_1(x) : x, part.c_attn);
    auto context = torch::empty({x.size(0), part.heads * part.head_size});
    store(projected, rows, cache);
    if (one_each) {
      attend_one_each(projected, rows, cache, part.scale, context);
    } else {
      attend_many(projected, rows, cache, part.scale, context);
    }
    if (wanted.defined()) {
      x = x.index_select(0, wanted);
      context = context.index_select(0, wanted);
    }
    x = x + multiply(context, part.c_proj);
    const auto feed_forward = [&part](const Tensor& input) {
      return multiply(part.act(multiply(input, part.c_fc)), part.c_proj_of_mlp);
    };
    if (norm_first)
      return x + feed_forward(part.ln_2(x));
    x = part.ln_1(x);
    return part.ln_2(x + feed_forward(x));
  }

  StreamedModel model_;
};

template <typename Model> const char* why_not(const Model& model, const Tensor& tokens) {
  if (model->exposes_internals())
    return "user code can see intermediate tensors (hook, replaced part, kept output)";
  for (const auto& block : model->transformer->h->items) {
    if (!block->attn->has_causal_mask())
      return "the mask of an attention is not the causal one";
  }
  return why_not_read(*model, tokens);
}

template <typename Model> void check_decoded(const Model& model) {
  const auto* reason = why_not_decoded(model);
  TORCH_CHECK_VALUE(reason == nullptr, "`model` must be one that a Decoder can serve, but ", reason,
                    ".");
}

} // namespace

const char* why_not_decoded(const GPT2LMHeadModel& model) {
  return why_not(model, model->transformer->wte->weight);
}

const char* why_not_decoded(const OpenAIGPTLMHeadModel& model) {
  return why_not(model, model->transformer->tokens_embed->weight);
}

std::shared_ptr<Decoder> make_decoder(const GPT2LMHeadModel& model, WeightFormat format) {
  check_decoded(model);
  const auto& trunk = model->transformer;
  auto parts = take(model, trunk->wte, trunk->wpe, stored_format(trunk->wte->weight, format));
  parts.ln_f = take(trunk->ln_f);
  return std::make_shared<StreamingDecoder>(std::move(parts));
}

std::shared_ptr<Decoder> make_decoder(const OpenAIGPTLMHeadModel& model, WeightFormat format) {
  check_decoded(model);
  const auto& trunk = model->transformer;
  return std::make_shared<StreamingDecoder>(
      take(model, trunk->tokens_embed, trunk->positions_embed,
           stored_format(trunk->tokens_embed->weight, format)));
}

} // namespace ptbert
