#include <cmath>

#include "checks.h"
#include "ptbert/bert.h"
#include "ptbert/fast_paths.h"

namespace ptbert {
namespace {

/// Whether the attention kernel does with a mask what adding it to the scores does. In half
/// precision, scores drown in -10000 where they are added; the kernel would keep them. A row of
/// -infinity is NaN there, not here.
bool means_the_same_to_kernel(const Tensor& mask, const Tensor& queries) {
  return mask.scalar_type() == queries.scalar_type() &&
         !at::isReducedFloatingType(queries.scalar_type()) && mask.dim() == 4 &&
         mask.size(0) == queries.size(0) && mask.size(1) == 1 && mask.size(2) == 1 &&
         mask.size(3) == queries.size(1) && mask.isfinite().all().item<bool>();
}

} // namespace

BertSelfAttentionImpl::BertSelfAttentionImpl(const BertConfig& config, AttentionOptions options)
    : config(config), output_attentions(options.output_attentions),
      keep_multihead_output(options.keep_multihead_output) {
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
  own_attribute("output_attentions", output_attentions);
  own_attribute("keep_multihead_output", keep_multihead_output);
  query = register_module("query", Linear(config.hidden_size, all_head_size));
  key = register_module("key", Linear(config.hidden_size, all_head_size));
  value = register_module("value", Linear(config.hidden_size, all_head_size));
  dropout = register_module("dropout", Dropout(config.attention_probs_dropout_prob));
}

bool BertSelfAttentionImpl::observed() const {
  return Module::observed() || output_attentions || keep_multihead_output ||
         any_observed(query, key, value, dropout);
}

Tensor BertSelfAttentionImpl::split_heads(const Tensor& x) const {
  return x.view_symint({x.sym_size(0), x.sym_size(1), num_attention_heads, attention_head_size})
      .permute({0, 2, 1, 3}); // [batch, seq, hidden] -> [batch, heads, seq, head_size]
}

Tensor BertSelfAttentionImpl::merge_heads(const Tensor& x) const {
  return x
      .permute({0, 2, 1, 3}) // [batch, heads, seq, head_size] -> [batch, seq, heads, head_size]
      .contiguous()
      .view_symint({x.sym_size(0), x.sym_size(2), all_head_size});
}

Tensor BertSelfAttentionImpl::attention_weights(const Tensor& queries, const Tensor& keys,
                                                const Tensor& attention_mask) {
  auto scores = torch::matmul(split_heads(queries), split_heads(keys).transpose(-1, -2)) /
                std::sqrt(static_cast<double>(attention_head_size)); // [batch, heads, query, key]
  if (attention_mask.defined())
    scores = scores + attention_mask;
  return dropout(torch::softmax(scores, -1));
}

const char* BertSelfAttentionImpl::why_not_fused(const Tensor& queries, const Tensor& keys,
                                                 const Tensor& values,
                                                 const Tensor& attention_mask) {
  if (!fast_paths_enabled())
    return kSwitchedOff;
  if (dropout->observed())
    return "dropout is called in Python";
  if (dropout->is_dropping())
    return "weights are dropped";
  for (const auto* x : {&queries, &keys, &values, &attention_mask}) {
    if (!x->defined())
      continue;
    if (!has_readable_values(*x))
      return kUnreadable;
    if (x->requires_grad() || x->_fw_grad(/*level=*/0).defined())
      return "a gradient may be wanted, and the kernel has no second one";
  }
  if (attention_mask.defined() && !means_the_same_to_kernel(attention_mask, queries))
    return "the kernel would read this mask differently (its dtype, shape or infinities)";
  return nullptr;
}

Tensor BertSelfAttentionImpl::attend(const Tensor& queries, const Tensor& keys,
                                     const Tensor& values, const Tensor& attention_mask) {
  const auto* why_not = why_not_fused(queries, keys, values, attention_mask);
  PathRecorder::note("attention", why_not ? "one operation after the other" : "one kernel",
                     why_not ? why_not : "no gradient is wanted and no weight is dropped");
  if (why_not)
    return torch::matmul(attention_weights(queries, keys, attention_mask), split_heads(values));
  const auto mask = attention_mask.defined() ? std::optional(attention_mask) : std::nullopt;
  return torch::scaled_dot_product_attention(split_heads(queries), split_heads(keys),
                                             split_heads(values), mask);
}

std::pair<AttentionOutput, Tensor>
BertSelfAttentionImpl::forward_with_heads(const Tensor& hidden_states, const Tensor& attention_mask,
                                          const Tensor& head_mask) {
  if (head_mask.defined())
    check_head_mask(head_mask, num_attention_heads);
  // One statement each: hooks fire in this order.
  const auto queries = query(hidden_states);
  const auto keys = key(hidden_states);
  const auto values = value(hidden_states);
  if (!output_attentions && !head_mask.defined()) {
    const auto heads = attend(queries, keys, values, attention_mask);
    return {{merge_heads(heads), {}}, heads};
  }
  PathRecorder::note("attention", "one operation after the other",
                     output_attentions ? "its weights are asked for" : "there is a head mask");
  auto weights = attention_weights(queries, keys, attention_mask);
  if (head_mask.defined())
    weights = weights * head_mask;
  const auto heads = torch::matmul(weights, split_heads(values));
  return {{merge_heads(heads), output_attentions ? weights : Tensor()}, heads};
}

AttentionOutput BertSelfAttentionImpl::forward(const Tensor& hidden_states,
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
    // One query for each sequence keeps its blocks; other choices of rows are made at the end.
    const bool first_tokens_only = rows.is_same(packing.first_tokens);
    const auto asking = first_tokens_only ? hidden_states.index_select(0, rows) : hidden_states;
    // [tokens, hidden] -> for each block [sequences, length, hidden]
    const auto queries = packing.split(query(asking));
    const auto keys = packing.split(key(hidden_states));
    const auto values = packing.split(value(hidden_states));
    std::vector<Tensor> contexts;
    for (size_t i = 0; i < packing.blocks.size(); ++i) {
      const auto heads = attend(queries[i], keys[i], values[i], /*attention_mask=*/{});
      contexts.push_back(merge_heads(heads).flatten(0, 1)); // -> [sequences * length, hidden]
    }
    const auto context = torch::cat(contexts);
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

AttentionOutput BertAttentionImpl::forward(const Tensor& input_tensor, const Tensor& attention_mask,
                                           const Tensor& head_mask) {
  const auto [context, attentions] = self_attention(input_tensor, attention_mask, head_mask);
  return {output(context, input_tensor), attentions};
}

Tensor BertAttentionImpl::forward_packed(const Tensor& input_tensor, const Packing& packing,
                                         const Tensor& rows) {
  const auto context = self_attention->forward_packed(input_tensor, packing, rows);
  return output(context, rows.defined() ? input_tensor.index_select(0, rows) : input_tensor);
}

} // namespace ptbert
