#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/length_tables.h"
#include "models/relative_scores.h"
#include "ptbert/generation/decoder.h"
#include "speed/row_kernels.h"
#include "streamed_layers.h"

namespace ptbert {
namespace {

struct StreamedLayer {
  LayerNormWeights norm_of_attention, norm_of_feed_forward;
  StreamedWeight qkv_net, o_net, inner, outer;
  /// Added to the queries, [heads, 1, size] each: for content and for positions.
  Tensor r_w_bias, r_r_bias;
  /// Of the distances to keys, the largest first, [heads, memory + segment, size].
  Tensor positions;
  /// Key and value of a hidden state of zeros, which memory starts with, [2, heads, size].
  Tensor start;
};

/// The weights of a Transformer-XL with the language-model head.
struct StreamedTransfoXL {
  AdaptiveEmbedding embedding{nullptr};
  /// One of these two.
  ProjectedAdaptiveLogSoftmax crit{nullptr};
  Linear out_layer{nullptr};
  torch::ScalarType dtype;
  std::vector<StreamedLayer> layers;
  int64_t heads, size, memory, segment, vocabulary;
  bool pre_lnorm, same_length;
};

StreamedLayer take(const RelPartialLearnableDecoderLayer& layer, const Tensor& distances,
                   WeightFormat format) {
  const auto& attention = layer->dec_attn;
  const auto& core = layer->pos_ff->core;
  const auto heads = attention->n_head, size = attention->d_head;
  StreamedLayer result{.norm_of_attention = take(attention->layer_norm),
                       .norm_of_feed_forward = take(layer->pos_ff->layer_norm),
                       .qkv_net = take(attention->qkv_net, format),
                       .o_net = take(attention->o_net, format),
                       .inner = take(core->inner, format),
                       .outer = take(core->outer, format),
                       .r_w_bias = plain(attention->r_w_bias).unsqueeze(1),
                       .r_r_bias = plain(attention->r_r_bias).unsqueeze(1),
                       .positions = {},
                       .start = torch::zeros({2, heads, size})};
  result.positions = torch::linear(distances, plain(attention->r_net->weight))
                         .view({-1, heads, size})
                         .transpose(0, 1) // [key, heads, size] -> [heads, key, size]
                         .contiguous();
  if (attention->pre_lnorm) { // which makes its bias of zeros
    const auto normed = result.norm_of_attention.bias.unsqueeze(0);
    result.start = multiply(normed, result.qkv_net).view({3, heads, size}).narrow(0, 1, 2);
  }
  return result;
}

/// Keys and values of every layer: [2, rows, heads, capacity, size]. Those in use of a row end at
/// its end(); as many as memory has are before it.
class MemoryState : public DecoderState {
public:
  MemoryState(const StreamedTransfoXL& model, int64_t rows, int64_t capacity)
      : memory_(model.memory), ends_(rows, model.memory) {
    tokens_.resize(rows);
    // New tokens are stored behind the memory, until there is no more room and it moves back.
    const auto room = std::clamp(capacity, model.segment, std::max(model.segment, memory_));
    for (const auto& layer : model.layers) {
      layers_.push_back(torch::empty({2, rows, model.heads, memory_ + room, model.size}));
      layers_.back().narrow(3, 0, memory_).copy_(layer.start.unsqueeze(1).unsqueeze(3));
    }
  }

  void select_rows(const std::vector<int64_t>& rows) override {
    std::vector<int64_t> same(tokens_.size());
    std::iota(same.begin(), same.end(), 0);
    if (rows == same)
      return;
    DecoderState::select_rows(rows);
    std::vector<int64_t> ends;
    for (const auto row : rows)
      ends.push_back(ends_[row]);
    ends_ = std::move(ends);
    const auto index = torch::tensor(rows, torch::kLong);
    for (auto& layer : layers_)
      layer = layer.index_select(1, index);
  }

  std::unique_ptr<DecoderState> copy() const override {
    auto result = std::make_unique<MemoryState>(*this);
    for (auto& layer : result->layers_)
      layer = layer.clone();
    return result;
  }

  int64_t end(int64_t row) const { return ends_[row]; }
  /// Makes room for `count` tokens of a row.
  void reserve(int64_t row, int64_t count) {
    if (ends_[row] + count <= layers_.front().size(3))
      return;
    for (auto& layer : layers_) {
      const auto of_row = layer.select(1, row);
      of_row.narrow(2, 0, memory_).copy_(of_row.narrow(2, ends_[row] - memory_, memory_).clone());
    }
    ends_[row] = memory_;
  }
  void advance(int64_t row, int64_t count) { ends_[row] += count; }

  Tensor& operator[](size_t layer) { return layers_[layer]; }
  bool fits(const StreamedTransfoXL& model) const {
    const auto& sizes = layers_.front().sizes();
    return memory_ == model.memory && layers_.size() == model.layers.size() &&
           sizes[2] == model.heads && sizes[4] == model.size;
  }

private:
  int64_t memory_;
  std::vector<int64_t> ends_;
  std::vector<Tensor> layers_;
};

class MemoryDecoder : public Decoder {
public:
  explicit MemoryDecoder(StreamedTransfoXL model) : model_(std::move(model)) {}

  int64_t window() const override { return model_.segment; }
  bool has_memory() const override { return true; }
  int64_t vocabulary() const override { return model_.vocabulary; }

  std::unique_ptr<DecoderState> new_state(int64_t rows, int64_t capacity) const override {
    return std::make_unique<MemoryState>(model_, rows, capacity);
  }

  bool can_use(const DecoderState& state) const override {
    const auto* mine = dynamic_cast<const MemoryState*>(&state);
    return mine != nullptr && mine->fits(model_);
  }

  Tensor scores(const Tensor& states) const override {
    const auto x = states.to(model_.dtype);
    if (auto out_layer = model_.out_layer)
      return torch::log_softmax(out_layer(x), -1);
    return ProjectedAdaptiveLogSoftmax(model_.crit)->log_prob(x);
  }

  /// Without the clusters that none of `ids` is in.
  Tensor log_probs(const Tensor& states, const Tensor& ids) const override {
    if (model_.out_layer)
      return Decoder::log_probs(states, ids);
    return -ProjectedAdaptiveLogSoftmax(model_.crit)(states.to(model_.dtype), ids)
                .to(torch::kDouble);
  }

protected:
  Tensor compute_states(DecoderState& state, const TokenRows& tokens, bool all) const override {
    auto& memory = dynamic_cast<MemoryState&>(state);
    std::vector<std::vector<Tensor>> found(tokens.size());
    size_t longest = 0;
    for (const auto& row : tokens)
      longest = std::max(longest, row.size());
    const auto segment = static_cast<size_t>(model_.segment);
    for (size_t begin = 0; begin < longest; begin += segment) {
      std::vector<AppendedRow> rows;
      std::vector<int64_t> ids;
      for (size_t row = 0; row < tokens.size(); ++row) {
        if (tokens[row].size() <= begin)
          continue;
        const auto end = std::min(begin + segment, tokens[row].size());
        const auto index = static_cast<int64_t>(row), count = static_cast<int64_t>(end - begin);
        memory.reserve(index, count);
        rows.push_back({index, static_cast<int64_t>(ids.size()), count, memory.end(index)});
        ids.insert(ids.end(), tokens[row].begin() + static_cast<int64_t>(begin),
                   tokens[row].begin() + static_cast<int64_t>(end));
      }
      const auto x = segment_states(memory, rows, torch::tensor(ids, torch::kLong));
      for (const auto& row : rows) {
        memory.advance(row.row, row.count);
        auto& of_row = found[row.row];
        if (all)
          of_row.push_back(x.narrow(0, row.first, row.count));
        else
          of_row = {x.narrow(0, row.first + row.count - 1, 1)};
      }
    }
    std::vector<Tensor> states;
    for (auto& of_row : found)
      states.insert(states.end(), of_row.begin(), of_row.end());
    return torch::cat(states);
  }

private:
  /// The hidden states [tokens, width] behind all layers of at most a segment of each row.
  Tensor segment_states(MemoryState& memory, const std::vector<AppendedRow>& rows,
                        const Tensor& ids) const {
    auto x = plain(AdaptiveEmbedding(model_.embedding)(ids));
    for (size_t i = 0; i < model_.layers.size(); ++i)
      x = layer(model_.layers[i], x, rows, memory[i]);
    return x;
  }

  /// [tokens, width] -> [tokens, width]
  Tensor layer(const StreamedLayer& part, const Tensor& x, const std::vector<AppendedRow>& rows,
               Tensor& cache) const {
    const auto feed_forward = [&part](const Tensor& input) {
      return multiply(multiply(input, part.inner).relu_(), part.outer);
    };
    const auto projected = multiply(model_.pre_lnorm ? part.norm_of_attention(x) : x, part.qkv_net);
    store(projected, rows, cache);
    const auto y = x + multiply(attend(part, projected, rows, cache), part.o_net);
    if (model_.pre_lnorm)
      return y + feed_forward(part.norm_of_feed_forward(y));
    const auto normed = part.norm_of_attention(y);
    return part.norm_of_feed_forward(normed + feed_forward(normed));
  }

  /// `projected` [tokens, 3 * width] -> the outputs of the heads, [tokens, width].
  Tensor attend(const StreamedLayer& part, const Tensor& projected,
                const std::vector<AppendedRow>& rows, const Tensor& cache) const {
    const auto tokens = projected.size(0), width = model_.heads * model_.size;
    auto context = torch::empty({tokens, width});
    const auto queries = projected.narrow(1, 0, width)
                             .view({tokens, model_.heads, model_.size})
                             .transpose(0, 1); // -> [heads, tokens, size]
    const auto scale = 1 / std::sqrt(static_cast<double>(model_.size));
    const auto for_content = ((queries + part.r_w_bias) * scale).contiguous();
    const auto for_positions = (queries + part.r_r_bias) * scale;
    if (tokens == static_cast<int64_t>(rows.size()))
      attend_one_each(part, for_content, for_positions, rows, cache, context);
    else
      attend_many(part, for_content, for_positions, rows, cache, context);
    return context;
  }

  /// For rows with one appended token each; queries are [heads, tokens, size].
  void attend_one_each(const StreamedLayer& part, const Tensor& for_content,
                       const Tensor& for_positions, const std::vector<AppendedRow>& rows,
                       const Tensor& cache, Tensor& context) const {
    const auto tokens = static_cast<int64_t>(rows.size()), capacity = cache.size(3);
    const auto heads = model_.heads, size = model_.size;
    const auto seen = model_.memory + (model_.same_length ? 0 : 1);
    const auto positions = part.positions.narrow(1, part.positions.size(1) - seen, seen);
    const auto bias = torch::bmm(for_positions, positions.transpose(1, 2)); // [heads, tokens, seen]
    const auto* queries = for_content.const_data_ptr<float>();
    const auto* biases = bias.const_data_ptr<float>();
    const auto* keys = cache.const_data_ptr<float>();
    const auto* values = keys + cache.stride(0);
    auto* outputs = context.data_ptr<float>();
    at::parallel_for(0, tokens * heads, 4, [&](int64_t begin, int64_t end) {
      std::vector<float> weights(seen);
      for (int64_t i = begin; i < end; ++i) {
        const auto token = i / heads, head = i % heads;
        const auto& row = rows[token];
        const auto first = ((row.row * heads + head) * capacity + row.past + 1 - seen) * size;
        attend_one_query(queries + (head * tokens + token) * size, keys + first, values + first,
                         seen, size, /*scale=*/1, biases + (head * tokens + token) * seen,
                         weights.data(), outputs + (token * heads + head) * size);
      }
    });
  }

  /// The same for rows with any number of appended tokens.
  void attend_many(const StreamedLayer& part, const Tensor& for_content,
                   const Tensor& for_positions, const std::vector<AppendedRow>& rows,
                   const Tensor& cache, Tensor& context) const {
    const auto heads = model_.heads, size = model_.size;
    for (size_t begin = 0; begin < rows.size();) {
      const auto end = end_of_alike(rows, begin);
      const auto [row, first, count, past] = rows[begin];
      const auto some = static_cast<int64_t>(end - begin), key = model_.memory + count;
      const auto of_rows = [&](const Tensor& queries) { // -> [some, heads, count, size]
        return queries.narrow(1, first, some * count)
            .view({heads, some, count, size})
            .transpose(0, 1);
      };
      const auto positions = part.positions.narrow(1, part.positions.size(1) - key, key);
      auto bias = relative_scores(of_rows(for_positions), positions.transpose(0, 1));
      const auto hidden = hidden_keys(count, model_.memory, model_.memory, model_.same_length,
                                      torch::kCPU); // [count, key, 1]
      bias.masked_fill_(hidden.squeeze(-1), -std::numeric_limits<double>::infinity());
      // [2, rows, heads, capacity, size] -> twice [some, heads, key, size]
      const auto used = cache.narrow(1, row, some).narrow(3, past - model_.memory, key);
      const auto output = torch::scaled_dot_product_attention(
          of_rows(for_content), used.select(0, 0), used.select(0, 1), bias, /*dropout_p=*/0,
          /*is_causal=*/false, /*scale=*/1.0);
      context.narrow(0, first, some * count)
          .view({some, count, heads, size})
          .copy_(output.transpose(1, 2)); // -> [some, count, heads, size]
      begin = end;
    }
  }

  StreamedTransfoXL model_;
};

} // namespace

const char* why_not_decoded(const TransfoXLLMHeadModel& model) {
  const auto& trunk = model->transformer;
  if (model->exposes_internals())
    return "user code can see intermediate tensors (hook, replaced part, kept output)";
  if (!trunk->relative_layers)
    return "its `attn_type` is not 0";
  if (trunk->ext_len != 0 || trunk->mem_len == 0)
    return "its `ext_len` is not 0, or its `mem_len` is 0";
  return why_not_read(*model, trunk->word_emb->emb_layers->items.front()->weight);
}

std::shared_ptr<Decoder> make_decoder(const TransfoXLLMHeadModel& model, WeightFormat format) {
  const auto* reason = why_not_decoded(model);
  TORCH_CHECK_VALUE(reason == nullptr, "`model` must be one that a Decoder can serve, but ", reason,
                    ".");
  const torch::NoGradGuard no_grad;
  const auto& trunk = model->transformer;
  const auto& first = trunk->relative_layers->items.front()->dec_attn;
  StreamedTransfoXL parts{.embedding = trunk->word_emb,
                          .crit = model->crit,
                          .out_layer = model->out_layer,
                          .dtype = trunk->word_emb->emb_layers->items.front()->weight.scalar_type(),
                          .layers = {},
                          .heads = first->n_head,
                          .size = first->d_head,
                          .memory = trunk->mem_len,
                          .segment = trunk->tgt_len,
                          .vocabulary = trunk->word_emb->cutoff_ends.back(),
                          .pre_lnorm = first->pre_lnorm,
                          .same_length = trunk->same_length};
  auto embedding = trunk->pos_emb;
  const auto distances = plain(
      distance_embeddings(embedding, parts.memory + parts.segment, trunk->clamp_len, torch::kFloat)
          .squeeze(1)); // [memory + segment, d_model]
  for (const auto& layer : trunk->relative_layers->items)
    parts.layers.push_back(take(layer, distances, stored_format(first->qkv_net->weight, format)));
  return std::make_shared<MemoryDecoder>(std::move(parts));
}

} // namespace ptbert
