#include "ptbert/models/transfo_xl_attention.h"

#include <cmath>
#include <limits>

#include "checks.h"
#include "fused_attention.h"
#include "length_tables.h"
#include "ptbert/speed/fast_paths.h"
#include "ptbert/speed/linear_products.h"
#include "relative_scores.h"
#include "speed/readable_values.h"

namespace ptbert {
namespace {

// Of the 2019 library: relative positions of the paper, and all others.
constexpr double kMasked = -1e30;
constexpr double kMaskedOfOthers = -std::numeric_limits<double>::infinity();

/// `scores` [batch, heads, query, key] with `masked` where a key is hidden, changed in place if
/// that is possible.
Tensor hide(Tensor scores, const Tensor& attn_mask, double masked) {
  if (!attn_mask.defined())
    return scores;
  TORCH_CHECK_VALUE(attn_mask.dim() == 2 || attn_mask.dim() == 3,
                    "`attn_mask` must be of shape [query, key, batch] or [key, batch], but is of "
                    "shape ",
                    attn_mask.sym_sizes(), ".");
  const auto hidden = attn_mask.to(torch::kBool);
  // [query, key, batch] -> [batch, 1, query, key], or [key, batch] -> [batch, 1, 1, key]
  const auto of_heads = hidden.dim() == 3 ? hidden.permute({2, 0, 1}).unsqueeze(1)
                                          : hidden.t().unsqueeze(1).unsqueeze(1);
  if (scores.scalar_type() == torch::kHalf) // which has no other number
    masked = kMaskedOfOthers;
  return has_readable_values(scores) ? scores.masked_fill_(of_heads, masked)
                                     : scores.masked_fill(of_heads, masked);
}

Tensor plus(Tensor sum, const Tensor& x) {
  return has_readable_values(sum) ? sum.add_(x) : sum + x;
}

} // namespace

Tensor relative_scores(const Tensor& queries, const Tensor& positions, const Tensor& bias) {
  const auto batch = queries.sym_size(0), heads = queries.sym_size(1);
  const auto query = queries.sym_size(2), key = positions.sym_size(0);
  const auto of_heads = torch::constant_pad_nd(positions, {0, 0, 0, 0, 1, 0})
                            .permute({1, 2, 0});           // -> [heads, d_head, key + 1]
  const auto rows = queries.transpose(0, 1).flatten(1, 2); // -> [heads, batch * query, d_head]
  auto scores = torch::bmm(rows, of_heads);                // -> [heads, batch * query, key + 1]
  if (bias.defined())
    scores = scores + torch::constant_pad_nd(bias, {0, 0, 1, 0}).t().unsqueeze(1);
  return scores.view_symint({heads, batch, query * (key + 1)})
      .narrow_symint(2, query, query * key)
      .unflatten_symint(2, {query, key}) // -> [heads, batch, query, key]
      .transpose(0, 1);
}

template <typename Derived, typename Signature>
TransfoXLAttention<Derived, Signature>::TransfoXLAttention(const TransfoXLAttentionOptions& options)
    : n_head(options.n_head), d_model(options.d_model), d_head(options.d_head),
      scale(1 / std::sqrt(static_cast<double>(options.d_head))), pre_lnorm(options.pre_lnorm) {
  check_count("n_head", n_head);
  check_count("d_model", d_model);
  check_count("d_head", d_head);
  this->own_attribute("n_head", n_head);
  this->own_attribute("d_model", d_model);
  this->own_attribute("d_head", d_head);
  this->own_attribute("scale", scale);
  this->own_attribute("pre_lnorm", pre_lnorm);
  const bool shared = options.r_r_bias.defined() && options.r_w_bias.defined();
  const auto new_bias = [&] { // initialised by the model
    return torch::zeros({n_head, d_head}, torch::device(DefaultDevice::current()));
  };
  this->own_parameter("r_r_bias", r_r_bias, shared ? options.r_r_bias : new_bias());
  this->own_parameter("r_w_bias", r_w_bias, shared ? options.r_w_bias : new_bias());
}

template <typename Derived, typename Signature>
void TransfoXLAttention<Derived, Signature>::register_rest(
    const TransfoXLAttentionOptions& options) {
  drop = this->register_module("drop", Dropout(options.dropout));
  dropatt = this->register_module("dropatt", Dropout(options.dropatt));
  o_net = this->register_module("o_net", Linear(n_head * d_head, d_model, /*with_bias=*/false));
  layer_norm =
      this->register_module("layer_norm", BertLayerNorm(d_model, options.layer_norm_epsilon));
}

template <typename Derived, typename Signature>
Tensor TransfoXLAttention<Derived, Signature>::context_of(const Tensor& hidden,
                                                          const Tensor& mems) {
  const auto context = mems.defined() ? torch::cat({mems, hidden}) : hidden;
  return pre_lnorm ? layer_norm(context) : context;
}

template <typename Derived, typename Signature>
Tensor TransfoXLAttention<Derived, Signature>::split_heads(const Tensor& x) const {
  // -> [length, batch, heads, d_head] -> [batch, heads, length, d_head]
  return x.unflatten(-1, {n_head, d_head}).permute({1, 2, 0, 3});
}

template <typename Derived, typename Signature>
Tensor TransfoXLAttention<Derived, Signature>::weights_of(Tensor scores, const Tensor& attn_mask,
                                                          double masked) {
  const auto weights = torch::softmax(hide(std::move(scores), attn_mask, masked), -1);
  if (fast_paths_enabled() && !dropatt->exposes_internals())
    return dropatt(weights);
  // As in 2019 dropout draws, and hooks see, [query, key, batch, heads]; then back.
  return dropatt(weights.permute({2, 3, 0, 1}).contiguous()).permute({2, 3, 0, 1});
}

template <typename Derived, typename Signature>
Tensor TransfoXLAttention<Derived, Signature>::output_of(const Tensor& hidden,
                                                         const Tensor& heads) {
  // [batch, heads, query, d_head] -> [query, batch, heads * d_head]
  const auto merged = heads.permute({2, 0, 1, 3}).flatten(2);
  const auto output = drop(o_net(merged));
  return pre_lnorm ? hidden + output : layer_norm(hidden + output);
}

MultiHeadAttnImpl::MultiHeadAttnImpl(const TransfoXLAttentionOptions& options)
    : TransfoXLAttention(options) {
  q_net = register_module("q_net", Linear(d_model, n_head * d_head, /*with_bias=*/false));
  kv_net = register_module("kv_net", Linear(d_model, 2 * n_head * d_head, /*with_bias=*/false));
  register_rest(options);
}

Tensor MultiHeadAttnImpl::forward(const Tensor& h, const Tensor& attn_mask, const Tensor& mems) {
  const auto context = context_of(h, mems);
  const auto queries = split_heads(q_net(h)) * scale;  // of the input itself, also with pre_lnorm
  const auto projected = kv_net(context).chunk(2, -1); // -> twice [key, batch, heads * d_head]
  const auto keys = split_heads(projected.at(0)), values = split_heads(projected.at(1));
  const auto scores = torch::matmul(queries, keys.transpose(-1, -2));
  return output_of(h, torch::matmul(weights_of(scores, attn_mask, kMaskedOfOthers), values));
}

template <typename Derived, typename Signature>
RelMultiHeadAttn<Derived, Signature>::RelMultiHeadAttn(const TransfoXLAttentionOptions& options)
    : TransfoXLAttention<Derived, Signature>(options) {
  qkv_net = this->register_module(
      "qkv_net", Linear(this->d_model, 3 * this->n_head * this->d_head, /*with_bias=*/false));
  this->register_rest(options);
}

template <typename Derived, typename Signature>
typename RelMultiHeadAttn<Derived, Signature>::Heads
RelMultiHeadAttn<Derived, Signature>::project(const Tensor& w, const Tensor& mems, Tensor* kept) {
  const auto& weight = qkv_net->weight; // [3 * heads * d_head, d_model]
  if (!fast_paths_enabled() || qkv_net->exposes_internals() || weight.size(0) % 3 != 0) {
    const auto context = this->context_of(w, mems);
    const auto projected = qkv_net(context).chunk(3, -1); // -> [key, batch, heads * d_head] each
    const auto first = context.sym_size(0) - w.sym_size(0);
    return {this->split_heads(projected.at(0).slice_symint(0, first)),
            this->split_heads(projected.at(1)), this->split_heads(projected.at(2))};
  }
  const bool is_kept = kept != nullptr && kept->defined();
  const auto context = is_kept ? w : this->context_of(w, mems);
  const auto width = weight.size(0) / 3;
  // Memory asks nothing: of its queries none are computed.
  const auto asking = context.slice_symint(0, context.sym_size(0) - w.sym_size(0));
  const auto queries = linear_product(asking, weight.narrow(0, 0, width), {});
  auto projected = linear_product(context, weight.narrow(0, width, 2 * width), {});
  if (is_kept)
    projected = torch::cat({*kept, projected});
  if (kept != nullptr)
    *kept = projected;
  const auto halves = projected.chunk(2, -1); // -> [key, batch, heads * d_head] each
  return {this->split_heads(queries), this->split_heads(halves.at(0)),
          this->split_heads(halves.at(1))};
}

RelPartialLearnableMultiHeadAttnImpl::RelPartialLearnableMultiHeadAttnImpl(
    const TransfoXLAttentionOptions& options)
    : RelMultiHeadAttn(options) {
  r_net = register_module("r_net", Linear(d_model, n_head * d_head, /*with_bias=*/false));
}

Tensor RelPartialLearnableMultiHeadAttnImpl::forward(const Tensor& w, const Tensor& r,
                                                     const Tensor& attn_mask, const Tensor& mems) {
  return forward_keeping(w, r, attn_mask, mems, nullptr);
}

Tensor RelPartialLearnableMultiHeadAttnImpl::forward_keeping(const Tensor& w, const Tensor& r,
                                                             const Tensor& attn_mask,
                                                             const Tensor& mems, Tensor* kept) {
  const auto [queries, keys, values] = project(w, mems, kept);
  const auto positions =
      r_net(r).squeeze(1).unflatten(-1, {n_head, d_head}); // [key, heads, d_head]
  // [batch, heads, query, d_head] + [heads, 1, d_head]
  const auto for_content = (queries + r_w_bias.unsqueeze(1)) * scale;
  const auto of_positions = relative_scores((queries + r_r_bias.unsqueeze(1)) * scale, positions);
  const auto* why_not = why_not_one_kernel(dropatt, {for_content, of_positions, keys, values});
  note_attention(why_not);
  if (why_not == nullptr) {
    const auto bias = hide(of_positions, attn_mask, kMasked);
    return output_of(w, torch::scaled_dot_product_attention(for_content, keys, values, bias,
                                                            /*dropout_p=*/0, /*is_causal=*/false,
                                                            /*scale=*/1.0));
  }
  const auto scores = plus(torch::matmul(for_content, keys.transpose(-1, -2)), of_positions);
  return output_of(w, torch::matmul(weights_of(scores, attn_mask, kMasked), values));
}

RelLearnableMultiHeadAttnImpl::RelLearnableMultiHeadAttnImpl(
    const TransfoXLAttentionOptions& options)
    : RelMultiHeadAttn(options) {}

Tensor RelLearnableMultiHeadAttnImpl::forward(const Tensor& w, const Tensor& r_emb,
                                              const Tensor& r_w_bias, const Tensor& r_bias,
                                              const Tensor& attn_mask, const Tensor& mems) {
  const auto [queries, keys, values] = project(w, mems);
  const auto length = keys.sym_size(2);
  const auto bias = r_w_bias.defined() ? r_w_bias : this->r_w_bias;
  const auto for_content = (queries + bias.unsqueeze(-2)) * scale; // + [heads or none, 1, d_head]
  const auto of_positions =
      relative_scores(queries * scale, last_rows(r_emb, length), last_rows(r_bias, length) * scale);
  const auto scores = plus(torch::matmul(for_content, keys.transpose(-1, -2)), of_positions);
  return output_of(w, torch::matmul(weights_of(scores, attn_mask, kMaskedOfOthers), values));
}

} // namespace ptbert
