#include "ptbert/bert.h"

#include <cmath>

#include "checks.h"
#include "ptbert/fast_paths.h"

namespace ptbert {
namespace {

/// In 2019 the layers of an encoder started as copies of the first and drew no random numbers of
/// their own; done alike here, so that equal seeds give equal models.
BertLayer copy_without_drawing(BertLayer& layer) {
  const DefaultDevice meta(torch::kMeta);
  BertLayer copy(layer->config);
  const auto sources = layer->modules();
  const auto targets = copy->modules();
  for (size_t i = 0; i < sources.size(); ++i) {
    for (const auto& parameter : sources[i]->named_parameters(/*recurse=*/false)) {
      dynamic_cast<Node&>(*targets[i])
          .bind(parameter.key(), parameter->detach().clone().requires_grad_());
    }
  }
  return copy;
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
  const auto position_ids =
      torch::arange(input_ids.size(1), input_ids.options().dtype(torch::kLong));
  return embed(input_ids, position_ids.unsqueeze(0).expand_as(input_ids),
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
  // One statement each: hooks fire in this order.
  const auto words = word_embeddings(input_ids); // [*] -> [*, hidden]
  const auto positions = position_embeddings(position_ids);
  const auto segments = token_type_embeddings(token_type_ids);
  return dropout(layer_norm(words + positions + segments));
}

BertSelfAttentionImpl::BertSelfAttentionImpl(const BertConfig& config) : config(config) {
  TORCH_CHECK_VALUE(
      config.num_attention_heads > 0 && config.hidden_size % config.num_attention_heads == 0,
      "`hidden_size` (", config.hidden_size, ") must be a multiple of `num_attention_heads` (",
      config.num_attention_heads, ").");
  num_attention_heads = config.num_attention_heads;
  attention_head_size = config.hidden_size / config.num_attention_heads;
  all_head_size = num_attention_heads * attention_head_size;
  own_attribute("num_attention_heads", num_attention_heads);
  own_attribute("attention_head_size", attention_head_size);
  own_attribute("all_head_size", all_head_size);
  query = register_module("query", Linear(config.hidden_size, all_head_size));
  key = register_module("key", Linear(config.hidden_size, all_head_size));
  value = register_module("value", Linear(config.hidden_size, all_head_size));
  dropout = register_module("dropout", Dropout(config.attention_probs_dropout_prob));
}

Tensor BertSelfAttentionImpl::split_heads(const Tensor& x) const {
  return x.view({x.size(0), x.size(1), num_attention_heads, attention_head_size})
      .permute({0, 2, 1, 3}); // [batch, seq, hidden] -> [batch, heads, seq, head_size]
}

Tensor BertSelfAttentionImpl::attend(const Tensor& queries, const Tensor& keys,
                                     const Tensor& values, const Tensor& attention_mask) {
  auto scores = torch::matmul(split_heads(queries), split_heads(keys).transpose(-1, -2)) /
                std::sqrt(static_cast<double>(attention_head_size)); // [batch, heads, query, key]
  if (attention_mask.defined())
    scores = scores + attention_mask;
  const auto probs = dropout(torch::softmax(scores, -1));

  return torch::matmul(probs, split_heads(values))
      .permute({0, 2, 1, 3}) // [batch, heads, seq, head_size] -> [batch, seq, heads, head_size]
      .contiguous()
      .view({queries.size(0), queries.size(1), all_head_size});
}

Tensor BertSelfAttentionImpl::forward(const Tensor& hidden_states, const Tensor& attention_mask) {
  // One statement each: hooks fire in this order.
  const auto queries = query(hidden_states);
  const auto keys = key(hidden_states);
  const auto values = value(hidden_states);
  return attend(queries, keys, values, attention_mask);
}

Tensor BertSelfAttentionImpl::forward_packed(const Tensor& wanted, const Tensor& hidden_states,
                                             const Packing& packing) {
  // [tokens, hidden] -> for each block [sequences, length, hidden]
  const auto queries = packing.split(query(wanted));
  const auto keys = packing.split(key(hidden_states));
  const auto values = packing.split(value(hidden_states));
  std::vector<Tensor> contexts;
  for (size_t i = 0; i < packing.blocks.size(); ++i) {
    contexts.push_back(attend(queries[i], keys[i], values[i], /*attention_mask=*/{})
                           .flatten(0, 1)); // -> [sequences * length, hidden]
  }
  return torch::cat(contexts);
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

BertAttentionImpl::BertAttentionImpl(const BertConfig& config) : config(config) {
  self_attention = register_module("self", BertSelfAttention(config));
  output = register_module("output", BertSelfOutput(config));
}

Tensor BertAttentionImpl::forward(const Tensor& input_tensor, const Tensor& attention_mask) {
  return output(self_attention(input_tensor, attention_mask), input_tensor);
}

Tensor BertAttentionImpl::forward_packed(const Tensor& wanted, const Tensor& input_tensor,
                                         const Packing& packing) {
  return output(self_attention->forward_packed(wanted, input_tensor, packing), wanted);
}

BertIntermediateImpl::BertIntermediateImpl(const BertConfig& config) : config(config) {
  dense = register_module("dense", Linear(config.hidden_size, config.intermediate_size));
  intermediate_act_fn = activation(config.hidden_act);
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

BertLayerImpl::BertLayerImpl(const BertConfig& config) : config(config) {
  attention = register_module("attention", BertAttention(config));
  intermediate = register_module("intermediate", BertIntermediate(config));
  output = register_module("output", BertOutput(config));
}

Tensor BertLayerImpl::forward(const Tensor& hidden_states, const Tensor& attention_mask) {
  const auto attention_output = attention(hidden_states, attention_mask);
  return output(intermediate(attention_output), attention_output);
}

Tensor BertLayerImpl::forward_packed(const Tensor& wanted, const Tensor& hidden_states,
                                     const Packing& packing) {
  const auto attention_output = attention->forward_packed(wanted, hidden_states, packing);
  return output(intermediate(attention_output), attention_output);
}

BertLayerListImpl::BertLayerListImpl(const BertConfig& config) : config(config) {
  resize(config.num_hidden_layers);
}

void BertLayerListImpl::resize(size_t length) {
  for (; layers.size() > length; layers.pop_back()) {
    unregister_module(std::to_string(layers.size() - 1));
  }
  while (layers.size() < length) {
    auto layer = layers.empty() ? BertLayer(config) : copy_without_drawing(layers.front());
    layers.push_back(register_module(std::to_string(layers.size()), layer));
  }
}

BertEncoderImpl::BertEncoderImpl(const BertConfig& config) : config(config) {
  layer = register_module("layer", BertLayerList(config));
}

std::vector<Tensor> BertEncoderImpl::forward(Tensor hidden_states, const Tensor& attention_mask,
                                             bool output_all_encoded_layers) {
  std::vector<Tensor> encoded_layers;
  for (auto& layer_module : layer->layers) {
    hidden_states = layer_module(hidden_states, attention_mask);
    if (output_all_encoded_layers)
      encoded_layers.push_back(hidden_states);
  }
  if (!output_all_encoded_layers)
    encoded_layers.push_back(hidden_states);
  return encoded_layers;
}

Tensor BertEncoderImpl::forward_packed(Tensor hidden_states, const Packing& packing) {
  for (size_t i = 0; i + 1 < layer->layers.size(); ++i)
    hidden_states = layer->layers[i]->forward_packed(hidden_states, hidden_states, packing);
  const auto first_tokens = hidden_states.index_select(0, packing.first_tokens);
  return layer->layers.back()->forward_packed(first_tokens, hidden_states, packing);
}

BertPoolerImpl::BertPoolerImpl(const BertConfig& config) : config(config) {
  dense = register_module("dense", Linear(config.hidden_size, config.hidden_size));
  activation = register_module("activation", Tanh());
}

Tensor BertPoolerImpl::forward(const Tensor& hidden_states) {
  return activation(dense(hidden_states.select(1, 0))); // [batch, seq, hidden] -> [batch, hidden]
}

BertModelImpl::BertModelImpl(const BertConfig& config) : config(config) {
  check_config(config);
  embeddings = register_module("embeddings", BertEmbeddings(config));
  encoder = register_module("encoder", BertEncoder(config));
  pooler = register_module("pooler", BertPooler(config));
  init_bert_weights(*this, config.initializer_range);
}

BertModelOutput BertModelImpl::forward(const Tensor& input_ids, const Tensor& token_type_ids,
                                       const Tensor& attention_mask,
                                       bool output_all_encoded_layers) {
  check_ids("input_ids", input_ids);
  if (attention_mask.defined())
    check_mask(attention_mask, input_ids);
  const auto embedded = embeddings(input_ids, token_type_ids);
  Tensor additive_mask;
  if (attention_mask.defined()) {
    // -10000 rather than -infinity, as in the original: a row without any token attends to all
    // positions alike.
    additive_mask = (1 - attention_mask.to(embedded.scalar_type())) * -10000.0;
    additive_mask = additive_mask.unsqueeze(1).unsqueeze(2); // [batch, seq] -> [batch, 1, 1, seq]
  }
  BertModelOutput output;
  output.encoded_layers = encoder(embedded, additive_mask, output_all_encoded_layers);
  output.pooled_output = pooler(output.encoded_layers.back());
  return output;
}

Tensor BertModelImpl::forward_pooled(const Tensor& input_ids, const Tensor& token_type_ids,
                                     const Tensor& attention_mask) {
  if (!fast_paths_enabled() || any_overridden(*this))
    return call(input_ids, token_type_ids, attention_mask, false).pooled_output;
  check_ids("input_ids", input_ids);
  if (attention_mask.defined())
    check_mask(attention_mask, input_ids);
  const auto packing = make_packing(input_ids, attention_mask);
  if (!packing)
    return forward(input_ids, token_type_ids, attention_mask, false).pooled_output;
  const auto embedded = embeddings->forward_packed(input_ids, token_type_ids, *packing);
  const auto first_tokens = encoder->forward_packed(embedded, *packing);
  return pooler(first_tokens
                    .index_select(0, packing->ranks) // in the order of the batch again
                    .unsqueeze(1));                  // [batch, hidden] -> [batch, 1, hidden]
}

} // namespace ptbert
