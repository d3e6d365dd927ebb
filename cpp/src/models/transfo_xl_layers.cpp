#include <cmath>

#include "checks.h"
#include "clusters.h"
#include "ptbert/models/transfo_xl.h"
#include "speed/readable_values.h"

namespace ptbert {
namespace {

PositionwiseFF feed_forward(const TransfoXLAttentionOptions& options, int64_t d_inner) {
  return PositionwiseFF(options.d_model, d_inner, options.dropout, options.pre_lnorm,
                        options.layer_norm_epsilon);
}

} // namespace

PositionalEmbeddingImpl::PositionalEmbeddingImpl(int64_t demb) : demb(demb) {
  TORCH_CHECK_VALUE(demb >= 2 && demb % 2 == 0, "`demb` must be even and at least 2, but is ", demb,
                    ".");
  const auto options = torch::dtype(torch::kFloat).device(DefaultDevice::current());
  const auto exponents = torch::arange(0, demb, 2, options) / static_cast<double>(demb);
  own_buffer("inv_freq", inv_freq, 1 / torch::pow(10000.0, exponents));
}

Tensor PositionalEmbeddingImpl::forward(const Tensor& pos_seq, const std::optional<int64_t>& bsz) {
  const auto angles = torch::outer(pos_seq, inv_freq);                // -> [len, demb / 2]
  const auto waves = torch::cat({angles.sin(), angles.cos()}, -1);    // -> [len, demb]
  const auto embeddings = waves.unsqueeze(1);                         // -> [len, 1, demb]
  return bsz ? embeddings.expand_symint({-1, *bsz, -1}) : embeddings; // -> [len, 1 or bsz, demb]
}

AdaptiveEmbeddingImpl::AdaptiveEmbeddingImpl(int64_t n_token, int64_t d_embed, int64_t d_proj,
                                             const std::vector<int64_t>& cutoffs, int64_t div_val)
    : n_token(n_token), d_embed(d_embed), d_proj(d_proj), div_val(div_val) {
  check_count("d_proj", d_proj);
  const Clusters clusters(n_token, d_embed, cutoffs, div_val);
  cutoff_ends = clusters.ends;
  const auto tables = clusters.tables;
  emb_layers = register_module(
      "emb_layers", ModuleList<Embedding>(tables.size(), [tables](const auto& before) {
        const auto [rows, width] = tables[std::min(before.size(), tables.size() - 1)];
        return Embedding(rows, width);
      }));
  std::vector<Tensor> projections;
  for (size_t i = 0; (div_val != 1 || d_proj != d_embed) && i < tables.size(); ++i)
    projections.push_back(new_projection(d_proj, tables[i].width));
  emb_projs = register_module("emb_projs", ParameterList(projections));
}

Tensor AdaptiveEmbeddingImpl::forward(const Tensor& inp) {
  check_ids_dtype("inp", inp);
  check_range("inp", inp, cutoff_ends.back());
  const auto scale = std::sqrt(static_cast<double>(d_proj));
  auto& tables = emb_layers->items;
  TORCH_CHECK_VALUE(tables.size() == (div_val == 1 ? 1 : cutoff_ends.size() - 1),
                    "`emb_layers` must have a table for each of ", cutoff_ends.size() - 1,
                    " clusters, or one for all where `div_val` is 1, but has ", tables.size(), ".");
  const auto is_projected = [this](size_t i) {
    return i < emb_projs->size() && (*emb_projs)[i].defined();
  };
  const auto look_up = [&](size_t i, const Tensor& ids) { // [*] -> [*, d_proj]
    const auto vectors = tables[i](ids);
    return is_projected(i) ? torch::linear(vectors, (*emb_projs)[i]) : vectors;
  };
  if (div_val == 1)
    return look_up(0, inp) * scale;
  // Autocast must not make them narrower than the weights.
  const auto in_dtype_of_weights = [&](const Tensor& vectors) {
    return is_projected(0) ? vectors.to((*emb_projs)[0].scalar_type()) : vectors;
  };

  const auto ids = inp.reshape({-1}); // [*] -> [tokens]
  Tensor embedded;                    // [tokens, d_proj]
  for (size_t i = 0; i < tables.size(); ++i) {
    const auto first = cutoff_ends[i], end = cutoff_ends[i + 1];
    const auto in_cluster = ids.ge(first).logical_and(ids.lt(end));
    if (!has_values(ids)) { // of tokens outside the cluster some vector, times 0
      const auto vectors = in_dtype_of_weights(look_up(i, ids.clamp(first, end - 1) - first)) *
                           in_cluster.unsqueeze(1);
      embedded = embedded.defined() ? embedded + vectors : vectors;
      continue;
    }
    const auto positions = in_cluster.nonzero().squeeze(1); // [tokens of the cluster]
    if (positions.numel() == 0 && (embedded.defined() || i + 1 < tables.size()))
      continue;
    const auto vectors = in_dtype_of_weights(look_up(i, ids.index_select(0, positions) - first));
    if (!embedded.defined())
      embedded =
          torch::zeros({ids.size(0), vectors.size(1)}, vectors.options().requires_grad(false));
    embedded = embedded.index_copy(0, positions, vectors);
  }
  auto shape = inp.sym_sizes().vec();
  shape.push_back(embedded.sym_size(1));
  return embedded.view_symint(shape) * scale; // [tokens, d_proj] -> [*, d_proj]
}

CoreNetImpl::CoreNetImpl(int64_t d_model, int64_t d_inner, double dropout) {
  inner = register_module("0", Linear(d_model, d_inner));
  relu = register_module("1", ReLU());
  inner_dropout = register_module("2", Dropout(dropout));
  outer = register_module("3", Linear(d_inner, d_model));
  outer_dropout = register_module("4", Dropout(dropout));
}

Tensor CoreNetImpl::forward(const Tensor& x) {
  auto hidden = inner(x);
  hidden = inner->overridden() || relu->overridden() ? relu(hidden) : hidden.relu_();
  return outer_dropout(outer(inner_dropout(hidden)));
}

PositionwiseFFImpl::PositionwiseFFImpl(int64_t d_model, int64_t d_inner, double dropout,
                                       bool pre_lnorm, double layer_norm_epsilon)
    : d_model(d_model), d_inner(d_inner), pre_lnorm(pre_lnorm) {
  check_count("d_model", d_model);
  check_count("d_inner", d_inner);
  own_attribute("pre_lnorm", this->pre_lnorm);
  core = register_module("CoreNet", CoreNet(d_model, d_inner, dropout));
  layer_norm = register_module("layer_norm", BertLayerNorm(d_model, layer_norm_epsilon));
}

Tensor PositionwiseFFImpl::forward(const Tensor& inp) {
  return pre_lnorm ? core(layer_norm(inp)) + inp : layer_norm(inp + core(inp));
}

DecoderLayerImpl::DecoderLayerImpl(const TransfoXLAttentionOptions& options, int64_t d_inner) {
  dec_attn = register_module("dec_attn", MultiHeadAttn(options));
  pos_ff = register_module("pos_ff", feed_forward(options, d_inner));
}

Tensor DecoderLayerImpl::forward(const Tensor& dec_inp, const Tensor& dec_attn_mask,
                                 const Tensor& mems) {
  return pos_ff(dec_attn(dec_inp, dec_attn_mask, mems));
}

RelLearnableDecoderLayerImpl::RelLearnableDecoderLayerImpl(const TransfoXLAttentionOptions& options,
                                                           int64_t d_inner) {
  dec_attn = register_module("dec_attn", RelLearnableMultiHeadAttn(options));
  pos_ff = register_module("pos_ff", feed_forward(options, d_inner));
}

Tensor RelLearnableDecoderLayerImpl::forward(const Tensor& dec_inp, const Tensor& r_emb,
                                             const Tensor& r_w_bias, const Tensor& r_bias,
                                             const Tensor& dec_attn_mask, const Tensor& mems) {
  return pos_ff(dec_attn(dec_inp, r_emb, r_w_bias, r_bias, dec_attn_mask, mems));
}

RelPartialLearnableDecoderLayerImpl::RelPartialLearnableDecoderLayerImpl(
    const TransfoXLAttentionOptions& options, int64_t d_inner) {
  dec_attn = register_module("dec_attn", RelPartialLearnableMultiHeadAttn(options));
  pos_ff = register_module("pos_ff", feed_forward(options, d_inner));
}

Tensor RelPartialLearnableDecoderLayerImpl::forward(const Tensor& dec_inp, const Tensor& r,
                                                    const Tensor& dec_attn_mask,
                                                    const Tensor& mems) {
  return pos_ff(dec_attn(dec_inp, r, dec_attn_mask, mems));
}

Tensor RelPartialLearnableDecoderLayerImpl::forward_keeping(const Tensor& dec_inp, const Tensor& r,
                                                            const Tensor& dec_attn_mask,
                                                            const Tensor& mems, Tensor* kept) {
  return pos_ff(dec_attn->forward_keeping(dec_inp, r, dec_attn_mask, mems, kept));
}

} // namespace ptbert
