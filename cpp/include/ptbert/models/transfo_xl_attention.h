#pragma once

#include <optional>
#include <utility>

#include "ptbert/models/layers.h"

/// The attention of Transformer-XL, in the kinds that `attn_type` names. Dai et al., 2019 (arXiv
/// 1901.02860).
///
/// Shapes: query = tokens of the segment, key = those of memory and of the segment, batch =
/// sequences, d_model = width, heads = n_head, d_head = width of a head.
///
/// `mems` [length, batch, d_model]: hidden states of earlier tokens, which are attended to;
/// undefined for none. `attn_mask`: of any dtype, not 0 where a key is hidden: [query, key, batch]
/// or [query, key, 1], or [key, batch] for all queries alike; undefined for none.

namespace ptbert {

/// What the constructors of all kinds take.
struct TransfoXLAttentionOptions {
  int64_t n_head, d_model, d_head;
  /// Dropout probability of the output and of the attention weights.
  double dropout = 0, dropatt = 0;
  /// Whether the LayerNorm comes before the attention instead of after it.
  bool pre_lnorm = false;
  /// [heads, d_head], which other layers share; undefined for parameters of its own.
  Tensor r_r_bias = {}, r_w_bias = {};
  double layer_norm_epsilon = 1e-12;
};

/// What all kinds have. Derived constructors register the projections, which come first in
/// checkpoints, and call register_rest().
template <typename Derived, typename Signature>
class TransfoXLAttention : public Module<Derived, Signature> {
public:
  int64_t n_head, d_model, d_head;
  double scale;
  bool pre_lnorm;
  /// [heads, d_head] each, added to the queries: r_w_bias for content, r_r_bias for positions.
  Tensor r_r_bias, r_w_bias;
  Dropout drop{nullptr}, dropatt{nullptr};
  Linear o_net{nullptr};
  BertLayerNorm layer_norm{nullptr};

protected:
  explicit TransfoXLAttention(const TransfoXLAttentionOptions& options);
  void register_rest(const TransfoXLAttentionOptions& options);

  /// Hidden states of memory and segment, [key, batch, d_model].
  Tensor context_of(const Tensor& hidden, const Tensor& mems);
  /// [length, batch, heads * d_head] -> [batch, heads, length, d_head]
  Tensor split_heads(const Tensor& x) const;
  /// softmax(scores) with dropout; scores [batch, heads, query, key], changed in place if that is
  /// possible. Hidden keys get the score `masked`.
  Tensor weights_of(Tensor scores, const Tensor& attn_mask, double masked);
  /// What follows the heads [batch, heads, query, d_head]: projection, dropout, residual connection
  /// and LayerNorm. -> [query, batch, d_model]
  Tensor output_of(const Tensor& hidden, const Tensor& heads);
};

/// Attention without relative positions: attn_type 2 and 3.
class MultiHeadAttnImpl
    : public TransfoXLAttention<MultiHeadAttnImpl,
                                Tensor(const Tensor&, const Tensor&, const Tensor&)> {
public:
  explicit MultiHeadAttnImpl(const TransfoXLAttentionOptions& options);
  /// [query, batch, d_model] -> [query, batch, d_model]
  Tensor forward(const Tensor& h, const Tensor& attn_mask = {}, const Tensor& mems = {});

  Linear q_net{nullptr}, kv_net{nullptr};
};
PTBERT_MODULE(MultiHeadAttn);

/// What both kinds with relative positions have.
template <typename Derived, typename Signature>
class RelMultiHeadAttn : public TransfoXLAttention<Derived, Signature> {
public:
  Linear qkv_net{nullptr};

protected:
  struct Heads {
    Tensor queries;      // [batch, heads, query, d_head]
    Tensor keys, values; // [batch, heads, key, d_head]
  };

  explicit RelMultiHeadAttn(const TransfoXLAttentionOptions& options);
  /// With `kept`, the projected `mems` [length, batch, 2 * heads * d_head] or an undefined tensor,
  /// which becomes those of memory and segment; it may be given if there are no overrides and no
  /// `pre_lnorm`.
  Heads project(const Tensor& w, const Tensor& mems, Tensor* kept = nullptr);
};

/// Attention with relative positions, of which the projection is learned: attn_type 0, that of the
/// paper.
class RelPartialLearnableMultiHeadAttnImpl
    : public RelMultiHeadAttn<RelPartialLearnableMultiHeadAttnImpl,
                              Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&)> {
public:
  explicit RelPartialLearnableMultiHeadAttnImpl(const TransfoXLAttentionOptions& options);
  /// `w` [query, batch, d_model] and `r` [key, 1, d_model], embeddings of the distances key - 1 to
  /// 0, -> [query, batch, d_model]
  Tensor forward(const Tensor& w, const Tensor& r, const Tensor& attn_mask = {},
                 const Tensor& mems = {});
  /// The same; `kept` as of project().
  Tensor forward_keeping(const Tensor& w, const Tensor& r, const Tensor& attn_mask,
                         const Tensor& mems, Tensor* kept);

  Linear r_net{nullptr};
};
PTBERT_MODULE(RelPartialLearnableMultiHeadAttn);

/// Attention with relative positions that are learned: attn_type 1.
class RelLearnableMultiHeadAttnImpl
    : public RelMultiHeadAttn<RelLearnableMultiHeadAttnImpl,
                              Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&, const Tensor&)> {
public:
  explicit RelLearnableMultiHeadAttnImpl(const TransfoXLAttentionOptions& options);
  /// `w` [query, batch, d_model] -> [query, batch, d_model]. `r_emb` [positions, heads, d_head] and
  /// `r_bias` [positions, heads] of the distances positions - 1 to 0; larger ones count as the
  /// largest. `r_w_bias` [heads, d_head], or [d_head] for all heads; undefined for that of this
  /// module.
  Tensor forward(const Tensor& w, const Tensor& r_emb, const Tensor& r_w_bias, const Tensor& r_bias,
                 const Tensor& attn_mask = {}, const Tensor& mems = {});
};
PTBERT_MODULE(RelLearnableMultiHeadAttn);

} // namespace ptbert
