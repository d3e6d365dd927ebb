#include "ptbert/bert.h"

#include <algorithm>

#include "checks.h"
#include "ptbert/fast_paths.h"

namespace ptbert {
namespace {

/// In 2019 the layers of an encoder started as copies of the first and drew no random numbers of
/// their own; done alike here, so that equal seeds give equal models.
BertLayer copy_without_drawing(BertLayer& layer, AttentionOptions options) {
  const DefaultDevice meta(torch::kMeta);
  BertLayer copy(layer->config, options);
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

std::nullopt_t note_padding_is_computed(const char* reason) {
  PathRecorder::note("padding", "computed", reason);
  return std::nullopt;
}

/// Notes how much a batch leaves out; `rows` are those that the last layer is computed for.
void note_packing(const Packing& packing, const Tensor& rows) {
  if (!PathRecorder::is_listening())
    return;
  const auto tokens = packing.tokens.size(0);
  const auto share = [](int64_t part, int64_t all) {
    return std::to_string(part) + " of " + std::to_string(all);
  };
  PathRecorder::note("padding", "left out",
                     share(tokens, packing.num_positions) + " positions are tokens, of " +
                         std::to_string(packing.blocks.size()) + " different lengths");
  if (rows.defined())
    PathRecorder::note("last layer", "where it is used", share(rows.size(0), tokens) + " tokens");
}

/// The head mask of the encoder from that of the user.
Tensor encoder_head_mask(const Tensor& head_mask, torch::ScalarType dtype) {
  const auto rows =
      head_mask.dim() == 1 ? head_mask.unsqueeze(0) : head_mask;  // [1 or layers, heads]
  return rows.to(dtype).unsqueeze(1).unsqueeze(-1).unsqueeze(-1); // -> [*, 1, heads, 1, 1]
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
      torch::arange(input_ids.sym_size(1), input_ids.options().dtype(torch::kLong));
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

bool BertEmbeddingsImpl::observed() const {
  return Module::observed() || any_observed(word_embeddings, position_embeddings,
                                            token_type_embeddings, layer_norm, dropout);
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
    // One statement each: hooks fire in this order.
    const auto words = word_embeddings(input_ids); // [*] -> [*, hidden]
    const auto positions = position_embeddings(position_ids);
    const auto segments = token_type_embeddings(token_type_ids);
    return dropout(layer_norm(words + positions + segments));
  });
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

BertLayerImpl::BertLayerImpl(const BertConfig& config, AttentionOptions options) : config(config) {
  attention = register_module("attention", BertAttention(config, options));
  intermediate = register_module("intermediate", BertIntermediate(config));
  output = register_module("output", BertOutput(config));
}

AttentionOutput BertLayerImpl::forward(const Tensor& hidden_states, const Tensor& attention_mask,
                                       const Tensor& head_mask) {
  const auto [attention_output, attentions] = attention(hidden_states, attention_mask, head_mask);
  return {output(intermediate(attention_output), attention_output), attentions};
}

Tensor BertLayerImpl::forward_packed(const Tensor& hidden_states, const Packing& packing,
                                     const Tensor& rows) {
  const auto attention_output = attention->forward_packed(hidden_states, packing, rows);
  return output(intermediate(attention_output), attention_output);
}

BertLayerListImpl::BertLayerListImpl(const BertConfig& config, AttentionOptions options)
    : config(config), options(options) {
  resize(config.num_hidden_layers);
}

void BertLayerListImpl::resize(size_t length) {
  for (; layers.size() > length; layers.pop_back()) {
    unregister_module(std::to_string(layers.size() - 1));
  }
  while (layers.size() < length) {
    auto layer =
        layers.empty() ? BertLayer(config, options) : copy_without_drawing(layers.front(), options);
    layers.push_back(register_module(std::to_string(layers.size()), layer));
  }
}

BertEncoderImpl::BertEncoderImpl(const BertConfig& config, AttentionOptions options)
    : config(config) {
  layer = register_module("layer", BertLayerList(config, options));
}

BertEncoderOutput BertEncoderImpl::forward(Tensor hidden_states, const Tensor& attention_mask,
                                           bool output_all_encoded_layers,
                                           const Tensor& head_mask) {
  BertEncoderOutput output;
  const auto layers = static_cast<int64_t>(layer->layers.size());
  if (head_mask.defined())
    check_head_masks(head_mask, layers);
  for (int64_t i = 0; i < layers; ++i) {
    Tensor layer_head_mask; // [1, heads, 1, 1]
    if (head_mask.defined())
      layer_head_mask = head_mask.size(0) == 1 ? head_mask[0] : head_mask[i];
    auto [layer_output, attentions] =
        layer->layers[i](hidden_states, attention_mask, layer_head_mask);
    hidden_states = layer_output;
    if (output_all_encoded_layers)
      output.encoded_layers.push_back(hidden_states);
    output.attentions.push_back(attentions);
  }
  if (!output_all_encoded_layers)
    output.encoded_layers.push_back(hidden_states);
  if (std::none_of(output.attentions.begin(), output.attentions.end(),
                   [](const Tensor& attentions) { return attentions.defined(); }))
    output.attentions.clear();
  return output;
}

bool BertEncoderImpl::observed() const {
  return Module::observed() || std::any_of(layer->layers.begin(), layer->layers.end(),
                                           [](const auto& one) { return one->observed(); });
}

std::vector<Tensor> BertEncoderImpl::forward_packed(Tensor hidden_states, const Packing& packing,
                                                    const Tensor& rows,
                                                    bool output_all_encoded_layers) {
  note_packing(packing, rows);
  std::vector<Tensor> encoded_layers;
  const auto layers = layer->layers.size();
  for (size_t i = 0; i < layers; ++i) {
    const bool is_last = i + 1 == layers;
    hidden_states = layer->layers[i]->forward_packed(hidden_states, packing,
                                                     is_last ? rows : Tensor()); // Tensor(): all
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
  check_config(config);
  embeddings = register_module("embeddings", BertEmbeddings(config));
  encoder = register_module("encoder", BertEncoder(config, options));
  pooler = register_module("pooler", BertPooler(config));
  own_attribute("skip_padding", skip_padding);
  init_bert_weights(*this, config.initializer_range);
}

BertModelOutput BertModelImpl::forward(const Tensor& input_ids, const Tensor& token_type_ids,
                                       const Tensor& attention_mask, bool output_all_encoded_layers,
                                       const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  if (attention_mask.defined())
    check_mask(attention_mask, input_ids);
  if (head_mask.defined())
    check_model_head_mask(head_mask);
  if (skip_padding && attention_mask.defined()) {
    if (const auto packing = try_packing(input_ids, attention_mask, head_mask))
      return forward_unpadded(input_ids, token_type_ids, *packing, output_all_encoded_layers);
  } else if (attention_mask.defined() && !PathRecorder::knows("padding")) { // or a head told why
    note_padding_is_computed("BertModel returns the states of padding, as `skip_padding` is False");
  }
  const auto embedded = embeddings(input_ids, token_type_ids);
  Tensor additive_mask;
  if (attention_mask.defined()) {
    // -10000 rather than -infinity, as in the original: a row without any token attends to all
    // positions alike.
    additive_mask = (1 - attention_mask.to(embedded.scalar_type())) * -10000.0;
    additive_mask = additive_mask.unsqueeze(1).unsqueeze(2); // [batch, seq] -> [batch, 1, 1, seq]
  }
  Tensor head_masks;
  if (head_mask.defined())
    head_masks = encoder_head_mask(head_mask, embedded.scalar_type());
  auto [encoded_layers, attentions] =
      encoder(embedded, additive_mask, output_all_encoded_layers, head_masks);
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
  const auto parts = hidden_states.split_with_sizes({input_ids.size(0), positions.size(0)});
  return BertOutputAtPositions{parts[1], pool_packed(parts[0], *packing)};
}

std::optional<Packing> BertModelImpl::try_packing(const Tensor& input_ids,
                                                  const Tensor& attention_mask,
                                                  const Tensor& head_mask) {
  if (!fast_paths_enabled())
    return note_padding_is_computed(kSwitchedOff);
  if (head_mask.defined())
    return note_padding_is_computed("there is a head mask");
  if (observed())
    return note_padding_is_computed("something outside of the core sees into the model");
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
