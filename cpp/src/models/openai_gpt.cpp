#include "ptbert/models/openai_gpt.h"

#include <utility>

#include "causal_attention.h"
#include "checks.h"
#include "copies.h"
#include "fused_attention.h"
#include "head_mask.h"
#include "ptbert/speed/fast_paths.h"
#include "sequences.h"

namespace ptbert {

OpenAIGPTAttentionImpl::OpenAIGPTAttentionImpl(int64_t nx, int64_t n_ctx,
                                               const OpenAIGPTConfig& config, bool scale,
                                               AttentionOptions options)
    : config(config), n_head(config.n_head), split_size(nx), scale(scale),
      output_attentions(options.output_attentions),
      keep_multihead_output(options.keep_multihead_output),
      is_causal_(std::make_unique<CausalMaskCheck>()) {
  check_heads("n_embd", nx, "n_head", config.n_head);
  own_attribute("n_head", n_head);
  own_attribute("split_size", split_size);
  own_attribute("scale", this->scale);
  own_attribute("output_attentions", output_attentions);
  own_attribute("keep_multihead_output", keep_multihead_output);
  own_buffer("bias", bias, make_causal_mask(n_ctx));
  c_attn = register_module("c_attn", Conv1D(3 * nx, nx));
  c_proj = register_module("c_proj", Conv1D(nx, nx));
  attn_dropout = register_module("attn_dropout", Dropout(config.attn_pdrop));
  resid_dropout = register_module("resid_dropout", Dropout(config.resid_pdrop));
}

OpenAIGPTAttentionImpl::~OpenAIGPTAttentionImpl() = default;

bool OpenAIGPTAttentionImpl::has_causal_mask() const { return (*is_causal_)(bias); }

Tensor OpenAIGPTAttentionImpl::split_heads(const Tensor& x) const {
  return split_into_heads(x, n_head, split_size / n_head);
}

Tensor OpenAIGPTAttentionImpl::merge_heads(const Tensor& x) const {
  return x.permute({0, 2, 1, 3}).flatten(2); // [batch, heads, seq, head_size] -> [batch, seq, *]
}

Tensor OpenAIGPTAttentionImpl::attention_weights(const Tensor& queries, const Tensor& keys) {
  // The constant of OpenAI's code.
  return attn_dropout(causal_weights(queries, keys, bias, scale, -1e9));
}

// Same as in gpt2.cpp.
const char* OpenAIGPTAttentionImpl::why_not_fused(const Tensor& queries, const Tensor& keys,
                                                  const Tensor& values) {
  if (const auto* why_not = why_not_one_kernel(attn_dropout, {queries, keys, values}))
    return why_not;
  return has_causal_mask() ? nullptr : "`bias` is not the causal mask";
}

// Same as in gpt2.cpp.
Tensor OpenAIGPTAttentionImpl::attend(const Tensor& queries, const Tensor& keys,
                                      const Tensor& values) {
  const auto* why_not = why_not_fused(queries, keys, values);
  note_attention(why_not);
  return why_not ? torch::matmul(attention_weights(queries, keys), values)
                 : causal_attention(queries, keys, values, scale);
}

std::pair<OpenAIGPTAttentionOutput, Tensor>
OpenAIGPTAttentionImpl::forward_with_heads(const Tensor& x, const Tensor& head_mask) {
  check_layer_head_mask(head_mask, n_head);
  // [batch, seq, 3 * width] -> three times [batch, seq, width]
  const auto projected = c_attn(x).split(split_size, -1);
  const auto queries = split_heads(projected.at(0)), keys = split_heads(projected.at(1)),
             values = split_heads(projected.at(2));
  check_context(keys.sym_size(2), bias);
  OpenAIGPTAttentionOutput output;
  Tensor heads;
  if (!output_attentions && !head_mask.defined()) {
    heads = attend(queries, keys, values);
  } else {
    note_attention(output_attentions ? "its weights are asked for" : "there is a head mask");
    auto weights = attention_weights(queries, keys);
    if (head_mask.defined())
      weights = weights * head_mask;
    heads = torch::matmul(weights, values);
    if (output_attentions)
      output.attentions = weights;
  }
  output.hidden_states = resid_dropout(c_proj(merge_heads(heads)));
  return {output, heads};
}

OpenAIGPTAttentionOutput OpenAIGPTAttentionImpl::forward(const Tensor& x, const Tensor& head_mask) {
  auto [output, heads] = forward_with_heads(x, head_mask);
  if (keep_multihead_output) {
    if (heads.requires_grad())
      heads.retain_grad();
    multihead_output = heads;
  }
  return output;
}

// Same as in gpt2.cpp.
Tensor OpenAIGPTAttentionImpl::forward_packed(const Tensor& x, const Packing& packing,
                                              const Tensor& rows) {
  return locate_errors([&] {
    std::vector<Tensor> contexts;
    // [tokens, 3 * width] -> for each block [sequences, length, 3 * width]
    for (const auto& block : packing.split(c_attn(x))) {
      const auto projected = block.split(split_size, -1);
      const auto heads = attend(split_heads(projected.at(0)), split_heads(projected.at(1)),
                                split_heads(projected.at(2)));
      contexts.push_back(merge_heads(heads).flatten(0, 1)); // -> [sequences * length, width]
    }
    const auto context = torch::cat(contexts); // -> [tokens, width]
    return resid_dropout(c_proj(rows.defined() ? context.index_select(0, rows) : context));
  });
}

// Same as in gpt2.cpp.
void OpenAIGPTAttentionImpl::keep_heads(const std::vector<int64_t>& kept) {
  const auto rows = rows_of_heads(kept, split_size / n_head);
  // c_attn has the outputs of queries, keys and values one after the other.
  prune_conv1d_layer(c_attn, torch::cat({rows, rows + split_size, rows + 2 * split_size}));
  prune_conv1d_layer(c_proj, rows, /*dim=*/0);
  n_head = static_cast<int64_t>(kept.size());
  split_size = rows.size(0);
}

OpenAIGPTMLPImpl::OpenAIGPTMLPImpl(int64_t n_state, const OpenAIGPTConfig& config)
    : config(config) {
  c_fc = register_module("c_fc", Conv1D(n_state, config.n_embd));
  c_proj = register_module("c_proj", Conv1D(config.n_embd, n_state));
  act = activation(config.afn, "afn", gelu_tanh);
  own_attribute("act", act);
  dropout = register_module("dropout", Dropout(config.resid_pdrop));
}

Tensor OpenAIGPTMLPImpl::forward(const Tensor& x) { return dropout(c_proj(act(c_fc(x)))); }

OpenAIGPTBlockImpl::OpenAIGPTBlockImpl(int64_t n_ctx, const OpenAIGPTConfig& config, bool scale,
                                       AttentionOptions options)
    : config(config) {
  const auto width = config.n_embd;
  attn = register_module("attn", OpenAIGPTAttention(width, n_ctx, config, scale, options));
  ln_1 = register_module("ln_1", BertLayerNorm(width, config.layer_norm_epsilon));
  mlp = register_module("mlp", OpenAIGPTMLP(4 * width, config));
  ln_2 = register_module("ln_2", BertLayerNorm(width, config.layer_norm_epsilon));
}

OpenAIGPTAttentionOutput OpenAIGPTBlockImpl::forward(const Tensor& x, const Tensor& head_mask) {
  const auto [attended, attentions] = attn(x, head_mask);
  const auto normed = ln_1(x + attended);
  return {ln_2(normed + mlp(normed)), attentions};
}

Tensor OpenAIGPTBlockImpl::forward_packed(const Tensor& x, const Packing& packing,
                                          const Tensor& rows) {
  const auto attended = attn->forward_packed(x, packing, rows);
  const auto normed = ln_1((rows.defined() ? x.index_select(0, rows) : x) + attended);
  return ln_2(normed + mlp(normed));
}

OpenAIGPTModelImpl::OpenAIGPTModelImpl(const OpenAIGPTConfig& config, AttentionOptions options)
    : config(config) {
  config.check();
  tokens_embed =
      register_module("tokens_embed", Embedding(config.total_tokens_embeddings(), config.n_embd));
  positions_embed =
      register_module("positions_embed", Embedding(config.n_positions, config.n_embd));
  drop = register_module("drop", Dropout(config.embd_pdrop));
  const auto make_block = [=] {
    return OpenAIGPTBlock(config.n_ctx, config, /*scale=*/true, options);
  };
  h = register_module("h", ModuleList<OpenAIGPTBlock>(config.n_layer, [=](const auto& before) {
                        return before.empty() ? make_block()
                                              : copy_without_drawing(before.front(), make_block);
                      }));
  init_bert_weights(*this, config.initializer_range);
  prune(std::exchange(this->config.pruned_heads, {}), "pruned_heads");
}

OpenAIGPTModelOutput OpenAIGPTModelImpl::forward(const Tensor& input_ids,
                                                 const Tensor& position_ids,
                                                 const Tensor& token_type_ids,
                                                 const Tensor& head_mask) {
  check_inputs(input_ids, position_ids, token_type_ids);
  check_model_head_mask(head_mask);
  const auto ids = as_rows(input_ids); // [*, seq] -> [batch, seq]
  auto hidden_states =
      embed(ids, position_ids.defined() ? as_rows(position_ids) : positions_after(0, ids),
            as_rows(token_type_ids));
  const auto masks = expand_head_mask(head_mask, hidden_states.scalar_type());
  check_stack_head_mask(masks, static_cast<int64_t>(h->items.size()));
  OpenAIGPTModelOutput output;
  output.hidden_states.push_back(with_dimensions_of(input_ids, hidden_states));
  for (size_t i = 0; i < h->items.size(); ++i) {
    auto block = h->items[i](hidden_states, head_mask_of_layer(masks, i));
    hidden_states = block.hidden_states;
    output.hidden_states.push_back(with_dimensions_of(input_ids, hidden_states));
    output.attentions.push_back(block.attentions);
  }
  clear_if_undefined(output.attentions);
  return output;
}

std::optional<Tensor> OpenAIGPTModelImpl::forward_at_positions(const Tensor& input_ids,
                                                               const Tensor& position_ids,
                                                               const Tensor& token_type_ids,
                                                               const Tensor& head_mask,
                                                               const Tensor& positions) {
  check_inputs(input_ids, position_ids, token_type_ids);
  if (const auto* why_not = why_not_cut(*this, input_ids, /*past=*/{}, head_mask)) {
    PathRecorder::note("padding", "computed", why_not);
    return std::nullopt;
  }
  const auto ids = as_rows(input_ids); // [*, seq] -> [batch, seq]
  const auto packing = pack_until(positions, ids);
  const auto rows = *packing.rows_of(positions);
  note_packing(packing, rows);
  const auto pack = [&](const Tensor& x) {
    return x.defined() ? packing.pack(as_rows(x).expand_as(ids)) : x; // -> [tokens]
  };
  auto hidden_states =
      embed(packing.pack(ids),
            position_ids.defined() ? pack(position_ids) : packing.tokens.remainder(ids.size(1)),
            pack(token_type_ids));
  for (size_t i = 0; i < h->items.size(); ++i) {
    const bool is_last = i + 1 == h->items.size();
    hidden_states = h->items[i]->forward_packed(hidden_states, packing, is_last ? rows : Tensor());
  }
  return hidden_states;
}

// Same as in gpt2.cpp.
void OpenAIGPTModelImpl::prune_heads(const HeadsOfLayers& heads_to_prune) {
  prune(heads_to_prune, "heads_to_prune");
}

// Same as in gpt2.cpp.
void OpenAIGPTModelImpl::prune(const HeadsOfLayers& heads, const char* name) {
  std::vector<int64_t> counts;
  for (const auto& block : h->items)
    counts.push_back(block->attn->n_head);
  for (const auto& [layer, kept] : kept_heads_of_layers(heads, counts, name)) {
    h->items[layer]->attn->keep_heads(kept);
    auto& pruned = config.pruned_heads[layer];
    pruned = pruned_heads(config.n_head, pruned, kept);
  }
}

// Same as in gpt2.cpp.
std::vector<Tensor> OpenAIGPTModelImpl::get_multihead_outputs() const {
  std::vector<Tensor> outputs;
  for (const auto& block : h->items)
    outputs.push_back(block->attn->multihead_output);
  return outputs;
}

void OpenAIGPTModelImpl::check_inputs(const Tensor& input_ids, const Tensor& position_ids,
                                      const Tensor& token_type_ids) {
  check_ids_of_rows("input_ids", input_ids);
  check_range("input_ids", input_ids, tokens_embed);
  if (position_ids.defined()) {
    check_like_input_ids("position_ids", position_ids, input_ids);
    check_range("position_ids", position_ids, positions_embed);
  } else {
    check_positions(input_ids, /*past=*/{}, positions_embed);
  }
  if (token_type_ids.defined()) {
    check_like_input_ids("token_type_ids", token_type_ids, input_ids);
    check_range("token_type_ids", token_type_ids, tokens_embed);
  }
}

Tensor OpenAIGPTModelImpl::embed(const Tensor& input_ids, const Tensor& position_ids,
                                 const Tensor& token_type_ids) {
  return locate_errors([&] {
    // Separate statements fix the order in which hooks fire.
    const auto words = tokens_embed(input_ids); // [*] -> [*, width]
    auto sum = words + positions_embed(position_ids);
    if (token_type_ids.defined())
      sum = sum + tokens_embed(token_type_ids);
    return drop(sum);
  });
}

// Same as in gpt2.cpp.
void OpenAIGPTModelImpl::set_num_special_tokens(int64_t num_special_tokens) {
  TORCH_CHECK_VALUE(num_special_tokens >= 0, "`num_special_tokens` must be at least 0, but is ",
                    num_special_tokens, ".");
  if (config.n_special == num_special_tokens)
    return;
  config.n_special = num_special_tokens;
  tokens_embed->bind("weight",
                     resized_embedding(tokens_embed->weight, config.vocab_size,
                                       config.total_tokens_embeddings(), config.initializer_range));
}

} // namespace ptbert
