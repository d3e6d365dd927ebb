#include "ptbert/models/bert.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/csrc/jit/frontend/tracer.h>

#include "checks.h"
#include "copies.h"
#include "fused_attention.h"
#include "head_mask.h"
#include "ptbert/speed/fast_paths.h"
#include "sequences.h"
#include "speed/readable_values.h"

namespace ptbert {
namespace {

/// Whether the fused kernel gives the same result as adding the mask to the scores. Not in half
/// precision, where score + -10000 rounds the score away but the kernel keeps it; nor with
/// infinities: a row of -infinity is NaN when added, but not in the kernel.
bool kernel_adds_mask_alike(const Tensor& mask, const Tensor& queries) {
  return mask.scalar_type() == queries.scalar_type() &&
         !at::isReducedFloatingType(queries.scalar_type()) && mask.dim() == 4 &&
         mask.size(0) == queries.size(0) && mask.size(1) == 1 && mask.size(2) == 1 &&
         mask.size(3) == queries.size(1) && mask.isfinite().all().item<bool>();
}

/// The position of each token in its row, [batch, seq].
Tensor positions_of(const Tensor& input_ids) {
  // A traced graph computes positions from the ids it is given: arange() would keep the length of
  // the traced example.
  if (torch::jit::tracer::isTracing())
    return torch::ones_like(input_ids, torch::kLong).cumsum(1) - 1;
  return torch::arange(input_ids.sym_size(1), input_ids.options().dtype(torch::kLong))
      .unsqueeze(0)
      .expand_as(input_ids); // [seq] -> [batch, seq]
}

std::nullopt_t note_padding_is_computed(const char* reason) {
  PathRecorder::note("padding", "computed", reason);
  return std::nullopt;
}

} // namespace

BertEmbeddingsImpl::BertEmbeddingsImpl(const BertConfig& config) : config(config) {
  word_embeddings = register_module(
      "word_embeddings", Embedding(config.vocab_size, config.hidden_size, /*padding_idx=*/0));
  position_embeddings = register_module(
      "position_embeddings", Embedding(config.max_position_embeddings, config.hidden_size));
  token_type_embeddings = register_module("token_type_embeddings",
                                          Embedding(config.type_vocab_size, config.hidden_size));
  layer_norm =
      register_module("LayerNorm", BertLayerNorm(config.hidden_size, config.layer_norm_eps));
  dropout = register_module("dropout", Dropout(config.hidden_dropout_prob));
}

Tensor BertEmbeddingsImpl::forward(const Tensor& input_ids, const Tensor& token_type_ids) {
  check_inputs(input_ids, token_type_ids);
  return embed(input_ids, positions_of(input_ids),
               token_type_ids.defined() ? token_type_ids : torch::zeros_like(input_ids));
}

Tensor BertEmbeddingsImpl::forward_packed(const Tensor& input_ids, const Tensor& token_type_ids,
                                          const Packing& packing) {
  check_inputs(input_ids, token_type_ids);
  const auto ids = packing.pack(input_ids);
  return embed(ids, packing.tokens.remainder(input_ids.size(1)),
               token_type_ids.defined() ? packing.pack(token_type_ids) : torch::zeros_like(ids));
}

void BertEmbeddingsImpl::check_inputs(const Tensor& input_ids, const Tensor& token_type_ids) {
  check_ids("input_ids", input_ids);
  check_length(input_ids, position_embeddings);
  check_range("input_ids", input_ids, word_embeddings);
  if (token_type_ids.defined()) {
    check_ids_dtype("token_type_ids", token_type_ids);
    check_shape_of_input_ids("token_type_ids", token_type_ids, input_ids);
    check_range("token_type_ids", token_type_ids, token_type_embeddings);
  }
}

Tensor BertEmbeddingsImpl::embed(const Tensor& input_ids, const Tensor& position_ids,
                                 const Tensor& token_type_ids) {
  return locate_errors([&] {
    // Separate statements fix the order in which hooks fire.
    const auto words = word_embeddings(input_ids); // [*] -> [*, hidden]
    const auto positions = position_embeddings(position_ids);
    const auto segments = token_type_embeddings(token_type_ids);
    return dropout(layer_norm(words + positions + segments));
  });
}

BertSelfAttentionImpl::BertSelfAttentionImpl(const BertConfig& config, AttentionOptions options)
    : config(config), output_attentions(options.output_attentions),
      keep_multihead_output(options.keep_multihead_output) {
  check_heads("hidden_size", config.hidden_size, "num_attention_heads", config.num_attention_heads);
  num_attention_heads = config.num_attention_heads;
  attention_head_size = config.hidden_size / config.num_attention_heads;
  all_head_size = num_attention_heads * attention_head_size;
  own_attribute("num_attention_heads", num_attention_heads);
  own_attribute("attention_head_size", attention_head_size);
  own_attribute("all_head_size", all_head_size);
  own_attribute("output_attentions", output_attentions);
  own_attribute("keep_multihead_output", keep_multihead_output);
  query = register_module("query", Linear(config.hidden_size, all_head_size));
  key = register_module("key", Linear(config.hidden_size, all_head_size));
  value = register_module("value", Linear(config.hidden_size, all_head_size));
  dropout = register_module("dropout", Dropout(config.attention_probs_dropout_prob));
}

Tensor BertSelfAttentionImpl::split_heads(const Tensor& x) const {
  return split_into_heads(x, num_attention_heads, attention_head_size);
}

Tensor BertSelfAttentionImpl::merge_heads(const Tensor& x) const {
  return x.permute({0, 2, 1, 3}).flatten(2); // [batch, heads, seq, head_size] -> [batch, seq, *]
}

Tensor BertSelfAttentionImpl::attention_weights(const Tensor& queries, const Tensor& keys,
                                                const Tensor& attention_mask) {
  // [batch, heads, query, size] x [batch, heads, size, key] -> [batch, heads, query, key]
  auto scores = torch::matmul(split_heads(queries), split_heads(keys).transpose(-1, -2)) /
                std::sqrt(static_cast<double>(attention_head_size));
  if (attention_mask.defined())
    scores = scores + attention_mask;
  return dropout(torch::softmax(scores, -1));
}

const char* BertSelfAttentionImpl::why_not_fused(const Tensor& queries, const Tensor& keys,
                                                 const Tensor& values,
                                                 const Tensor& attention_mask) {
  if (const auto* why_not = why_not_one_kernel(dropout, {queries, keys, values, attention_mask}))
    return why_not;
  if (attention_mask.defined() && !kernel_adds_mask_alike(attention_mask, queries))
    return "the kernel would read this mask differently (its dtype, shape or infinities)";
  return nullptr;
}

Tensor BertSelfAttentionImpl::attend(const Tensor& queries, const Tensor& keys,
                                     const Tensor& values, const Tensor& attention_mask) {
  const auto* why_not = why_not_fused(queries, keys, values, attention_mask);
  note_attention(why_not);
  if (why_not)
    return torch::matmul(attention_weights(queries, keys, attention_mask),
                         split_heads(values)); // -> [batch, heads, query, head_size]
  const auto mask = attention_mask.defined() ? std::optional(attention_mask) : std::nullopt;
  return torch::scaled_dot_product_attention(split_heads(queries), split_heads(keys),
                                             split_heads(values), mask);
}

std::pair<BertAttentionOutput, Tensor>
BertSelfAttentionImpl::forward_with_heads(const Tensor& hidden_states, const Tensor& attention_mask,
                                          const Tensor& head_mask) {
  check_layer_head_mask(head_mask, num_attention_heads);
  // Separate statements fix the order in which hooks fire.
  const auto queries = query(hidden_states);
  const auto keys = key(hidden_states);
  const auto values = value(hidden_states);
  if (!output_attentions && !head_mask.defined()) {
    const auto heads = attend(queries, keys, values, attention_mask);
    return {{merge_heads(heads), {}}, heads};
  }
  note_attention(output_attentions ? "its weights are asked for" : "there is a head mask");
  auto weights = attention_weights(queries, keys, attention_mask);
  if (head_mask.defined())
    weights = weights * head_mask;
  const auto heads = torch::matmul(weights, split_heads(values));
  return {{merge_heads(heads), output_attentions ? weights : Tensor()}, heads};
}

BertAttentionOutput BertSelfAttentionImpl::forward(const Tensor& hidden_states,
                                                   const Tensor& attention_mask,
                                                   const Tensor& head_mask) {
  auto [output, heads] = forward_with_heads(hidden_states, attention_mask, head_mask);
  if (keep_multihead_output) {
    if (heads.requires_grad())
      heads.retain_grad();
    multihead_output = heads;
  }
  return output;
}

Tensor BertSelfAttentionImpl::forward_packed(const Tensor& hidden_states, const Packing& packing,
                                             const Tensor& rows) {
  return locate_errors([&] {
    // One query per sequence still splits into blocks, so only those queries are computed; any
    // other `rows` are selected at the end.
    const bool first_tokens_only = rows.is_same(packing.first_tokens);
    const auto query_input =
        first_tokens_only ? hidden_states.index_select(0, rows) : hidden_states;
    // [tokens, hidden] -> for each block [sequences, length, hidden]
    const auto queries = packing.split(query(query_input));
    const auto keys = packing.split(key(hidden_states));
    const auto values = packing.split(value(hidden_states));
    std::vector<Tensor> contexts;
    for (size_t i = 0; i < packing.blocks.size(); ++i) {
      const auto heads = attend(queries[i], keys[i], values[i], /*attention_mask=*/{});
      contexts.push_back(merge_heads(heads).flatten(0, 1)); // -> [sequences * length, hidden]
    }
    const auto context = torch::cat(contexts); // -> [tokens or sequences, hidden]
    return rows.defined() && !first_tokens_only ? context.index_select(0, rows) : context;
  });
}

BertSelfOutputImpl::BertSelfOutputImpl(const BertConfig& config) : config(config) {
  dense = register_module("dense", Linear(config.hidden_size, config.hidden_size));
  layer_norm =
      register_module("LayerNorm", BertLayerNorm(config.hidden_size, config.layer_norm_eps));
  dropout = register_module("dropout", Dropout(config.hidden_dropout_prob));
}

Tensor BertSelfOutputImpl::forward(const Tensor& hidden_states, const Tensor& input_tensor) {
  return layer_norm(dropout(dense(hidden_states)) + input_tensor);
}

BertAttentionImpl::BertAttentionImpl(const BertConfig& config, AttentionOptions options)
    : config(config) {
  self_attention = register_module("self", BertSelfAttention(config, options));
  output = register_module("output", BertSelfOutput(config));
}

BertAttentionOutput BertAttentionImpl::forward(const Tensor& input_tensor,
                                               const Tensor& attention_mask,
                                               const Tensor& head_mask) {
  const auto [context, attentions] = self_attention(input_tensor, attention_mask, head_mask);
  return {output(context, input_tensor), attentions};
}

Tensor BertAttentionImpl::forward_packed(const Tensor& input_tensor, const Packing& packing,
                                         const Tensor& rows) {
  const auto context = self_attention->forward_packed(input_tensor, packing, rows);
  return output(context, rows.defined() ? input_tensor.index_select(0, rows) : input_tensor);
}

void BertAttentionImpl::keep_heads(const std::vector<int64_t>& kept) {
  auto& inner = *self_attention;
  const auto rows = rows_of_heads(kept, inner.attention_head_size);
  prune_linear_layer(inner.query, rows);
  prune_linear_layer(inner.key, rows);
  prune_linear_layer(inner.value, rows);
  prune_linear_layer(output->dense, rows, /*dim=*/1);
  inner.num_attention_heads = static_cast<int64_t>(kept.size());
  inner.all_head_size = rows.size(0);
}

BertIntermediateImpl::BertIntermediateImpl(const BertConfig& config) : config(config) {
  dense = register_module("dense", Linear(config.hidden_size, config.intermediate_size));
  intermediate_act_fn = activation(config.hidden_act, "hidden_act", gelu);
  own_attribute("intermediate_act_fn", intermediate_act_fn);
}

Tensor BertIntermediateImpl::forward(const Tensor& hidden_states) {
  return intermediate_act_fn(dense(hidden_states));
}

BertOutputImpl::BertOutputImpl(const BertConfig& config) : config(config) {
  dense = register_module("dense", Linear(config.intermediate_size, config.hidden_size));
  layer_norm =
      register_module("LayerNorm", BertLayerNorm(config.hidden_size, config.layer_norm_eps));
  dropout = register_module("dropout", Dropout(config.hidden_dropout_prob));
}

Tensor BertOutputImpl::forward(const Tensor& hidden_states, const Tensor& input_tensor) {
  return layer_norm(dropout(dense(hidden_states)) + input_tensor);
}

BertLayerImpl::BertLayerImpl(const BertConfig& config, AttentionOptions options) : config(config) {
  attention = register_module("attention", BertAttention(config, options));
  intermediate = register_module("intermediate", BertIntermediate(config));
  output = register_module("output", BertOutput(config));
}

BertAttentionOutput BertLayerImpl::forward(const Tensor& hidden_states,
                                           const Tensor& attention_mask, const Tensor& head_mask) {
  const auto [attention_output, attentions] = attention(hidden_states, attention_mask, head_mask);
  return {output(intermediate(attention_output), attention_output), attentions};
}

Tensor BertLayerImpl::forward_packed(const Tensor& hidden_states, const Packing& packing,
                                     const Tensor& rows) {
  const auto attention_output = attention->forward_packed(hidden_states, packing, rows);
  return output(intermediate(attention_output), attention_output);
}

BertEncoderImpl::BertEncoderImpl(const BertConfig& config, AttentionOptions options)
    : config(config) {
  const auto make_layer = [=] { return BertLayer(config, options); };
  layer = register_module(
      "layer", ModuleList<BertLayer>(config.num_hidden_layers, [=](const auto& before) {
        return before.empty() ? make_layer() : copy_without_drawing(before.front(), make_layer);
      }));
}

BertEncoderOutput BertEncoderImpl::forward(Tensor hidden_states, const Tensor& attention_mask,
                                           bool output_all_encoded_layers,
                                           const Tensor& head_mask) {
  auto& layers = layer->items;
  check_stack_head_mask(head_mask, static_cast<int64_t>(layers.size()));
  BertEncoderOutput output;
  for (size_t i = 0; i < layers.size(); ++i) {
    auto [layer_output, attentions] =
        layers[i](hidden_states, attention_mask, head_mask_of_layer(head_mask, i));
    hidden_states = layer_output;
    if (output_all_encoded_layers)
      output.encoded_layers.push_back(hidden_states);
    output.attentions.push_back(attentions);
  }
  if (!output_all_encoded_layers)
    output.encoded_layers.push_back(hidden_states);
  clear_if_undefined(output.attentions);
  return output;
}

std::vector<Tensor> BertEncoderImpl::forward_packed(Tensor hidden_states, const Packing& packing,
                                                    const Tensor& rows,
                                                    bool output_all_encoded_layers) {
  note_packing(packing, rows);
  std::vector<Tensor> encoded_layers;
  auto& layers = layer->items;
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool is_last = i + 1 == layers.size();
    hidden_states = layers[i]->forward_packed(hidden_states, packing,
                                              is_last ? rows : Tensor()); // undefined: all rows
    if (is_last || output_all_encoded_layers)
      encoded_layers.push_back(hidden_states);
  }
  return encoded_layers;
}

BertPoolerImpl::BertPoolerImpl(const BertConfig& config) : config(config) {
  dense = register_module("dense", Linear(config.hidden_size, config.hidden_size));
  activation = register_module("activation", Tanh());
}

Tensor BertPoolerImpl::forward(const Tensor& hidden_states) {
  return activation(dense(hidden_states.select(1, 0))); // [batch, seq, hidden] -> [batch, hidden]
}

BertModelImpl::BertModelImpl(const BertConfig& config, AttentionOptions options) : config(config) {
  config.check();
  embeddings = register_module("embeddings", BertEmbeddings(config));
  encoder = register_module("encoder", BertEncoder(config, options));
  pooler = register_module("pooler", BertPooler(config));
  own_attribute("skip_padding", skip_padding);
  init_bert_weights(*this, config.initializer_range);
  prune(std::exchange(this->config.pruned_heads, {}), "pruned_heads");
}

BertModelOutput BertModelImpl::forward(const Tensor& input_ids, const Tensor& token_type_ids,
                                       const Tensor& attention_mask, bool output_all_encoded_layers,
                                       const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  if (attention_mask.defined())
    check_mask(attention_mask, input_ids);
  check_model_head_mask(head_mask);
  if (skip_padding && attention_mask.defined()) {
    if (const auto packing = try_packing(input_ids, attention_mask, head_mask))
      return forward_unpadded(input_ids, token_type_ids, *packing, output_all_encoded_layers);
  } else if (attention_mask.defined() && !PathRecorder::knows("padding")) { // no head noted it yet
    note_padding_is_computed("BertModel returns the states of padding, as `skip_padding` is False");
  }
  const auto embedded = embeddings(input_ids, token_type_ids);
  Tensor additive_mask;
  if (attention_mask.defined()) {
    // -10000 rather than -infinity, as in the 2019 library: a row without any token then attends to
    // all positions equally.
    additive_mask = (1 - attention_mask.to(embedded.scalar_type())) * -10000.0;
    additive_mask = additive_mask.unsqueeze(1).unsqueeze(2); // [batch, seq] -> [batch, 1, 1, seq]
  }
  auto [encoded_layers, attentions] = encoder(embedded, additive_mask, output_all_encoded_layers,
                                              expand_head_mask(head_mask, embedded.scalar_type()));
  const auto pooled_output = pooler(encoded_layers.back());
  return {encoded_layers, pooled_output, attentions};
}

BertPooledOutput BertModelImpl::forward_pooled(const Tensor& input_ids,
                                               const Tensor& token_type_ids,
                                               const Tensor& attention_mask,
                                               const Tensor& head_mask) {
  const auto packing = try_packing(input_ids, attention_mask, head_mask);
  if (!packing) {
    auto output = call(input_ids, token_type_ids, attention_mask, false, head_mask);
    return {output.pooled_output, output.attentions};
  }
  const auto embedded = embeddings->forward_packed(input_ids, token_type_ids, *packing);
  const auto first_tokens =
      encoder->forward_packed(embedded, *packing, packing->first_tokens).back();
  return {pool_packed(first_tokens, *packing), {}};
}

std::optional<BertOutputAtPositions>
BertModelImpl::forward_at_positions(const Tensor& input_ids, const Tensor& token_type_ids,
                                    const Tensor& attention_mask, const Tensor& head_mask,
                                    const Tensor& positions, bool with_pooled_output) {
  const auto packing = try_packing(input_ids, attention_mask, head_mask);
  const auto wanted = packing ? packing->rows_of(positions) : std::nullopt;
  if (packing && !wanted)
    note_padding_is_computed("a label stands at padding");
  if (!wanted)
    return std::nullopt;
  const auto rows =
      with_pooled_output ? torch::cat({packing->first_tokens, *wanted}) : *wanted; // [rows]
  const auto embedded = embeddings->forward_packed(input_ids, token_type_ids, *packing);
  const auto hidden_states = encoder->forward_packed(embedded, *packing, rows).back();
  if (!with_pooled_output)
    return BertOutputAtPositions{hidden_states, {}};
  // [batch + count, hidden] -> [batch, hidden], [count, hidden]
  const auto parts = hidden_states.split_with_sizes({input_ids.size(0), positions.size(0)});
  return BertOutputAtPositions{parts[1], pool_packed(parts[0], *packing)};
}

void BertModelImpl::prune_heads(const HeadsOfLayers& heads_to_prune) {
  prune(heads_to_prune, "heads_to_prune");
}

void BertModelImpl::prune(const HeadsOfLayers& heads, const char* name) {
  std::vector<int64_t> counts;
  for (const auto& layer : encoder->layer->items)
    counts.push_back(layer->attention->self_attention->num_attention_heads);
  for (const auto& [layer, kept] : kept_heads_of_layers(heads, counts, name)) {
    encoder->layer->items[layer]->attention->keep_heads(kept);
    auto& pruned = config.pruned_heads[layer];
    pruned = pruned_heads(config.num_attention_heads, pruned, kept);
  }
}

std::vector<Tensor> BertModelImpl::get_multihead_outputs() const {
  std::vector<Tensor> outputs;
  for (const auto& layer : encoder->layer->items)
    outputs.push_back(layer->attention->self_attention->multihead_output);
  return outputs;
}

std::optional<Packing> BertModelImpl::try_packing(const Tensor& input_ids,
                                                  const Tensor& attention_mask,
                                                  const Tensor& head_mask) {
  if (!fast_paths_enabled())
    return note_padding_is_computed(kSwitchedOff);
  if (head_mask.defined())
    return note_padding_is_computed("there is a head mask");
  if (exposes_internals())
    return note_padding_is_computed(
        "user code can see intermediate tensors (hook, replaced part, kept output)");
  check_ids("input_ids", input_ids);
  if (attention_mask.defined())
    check_mask(attention_mask, input_ids);
  if (const auto* why_not = why_not_packed(input_ids, attention_mask))
    return note_padding_is_computed(why_not);
  return make_packing(input_ids, attention_mask);
}

BertModelOutput BertModelImpl::forward_unpadded(const Tensor& input_ids,
                                                const Tensor& token_type_ids,
                                                const Packing& packing,
                                                bool output_all_encoded_layers) {
  const auto embedded = embeddings->forward_packed(input_ids, token_type_ids, packing);
  auto encoded_layers =
      encoder->forward_packed(embedded, packing, /*rows=*/{}, output_all_encoded_layers);
  for (auto& states : encoded_layers) // [tokens, hidden] -> [batch, seq, hidden]
    states = packing.unpack(states).view({input_ids.size(0), input_ids.size(1), -1});
  return {encoded_layers, pooler(encoded_layers.back()), {}};
}

Tensor BertModelImpl::pool_packed(const Tensor& first_tokens, const Packing& packing) {
  const auto in_order = first_tokens.index_select(0, packing.ranks);
  return pooler(in_order.unsqueeze(1)); // [batch, hidden] -> [batch, 1, hidden] -> [batch, hidden]
}

} // namespace ptbert
