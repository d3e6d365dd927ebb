#include "ptbert/models/transfo_xl.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "checks.h"
#include "clusters.h"
#include "length_tables.h"
#include "memory_keys.h"
#include "ptbert/models/adaptive_softmax.h"
#include "ptbert/speed/fast_paths.h"
#include "speed/readable_values.h"

namespace ptbert {
namespace {

PositionwiseFF feed_forward(const TransfoXLAttentionOptions& options, int64_t d_inner) {
  return PositionwiseFF(options.d_model, d_inner, options.dropout, options.pre_lnorm,
                        options.layer_norm_epsilon);
}

/// Calls `function` for all modules below `module`, and then for it; as nn.Module.apply in Python.
template <typename Function> void inner_first(torch::nn::Module& module, const Function& function) {
  for (const auto& child : module.children())
    inner_first(*child, function);
  function(module);
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

TransfoXLModelImpl::TransfoXLModelImpl(const TransfoXLConfig& config, bool draw_biases)
    : config(config), tgt_len(config.tgt_len), ext_len(config.ext_len), mem_len(config.mem_len),
      clamp_len(config.clamp_len), same_length(config.same_length),
      tables_(std::make_unique<LengthTables>()), memory_keys_(std::make_unique<MemoryKeys>()) {
  config.check();
  own_attribute("tgt_len", tgt_len);
  own_attribute("ext_len", ext_len);
  own_attribute("mem_len", mem_len);
  own_attribute("clamp_len", clamp_len);
  own_attribute("same_length", same_length);
  own_attribute("cache_memory", cache_memory);
  const auto own_zeros = [this](const char* name, Tensor& member, torch::IntArrayRef shape) {
    own_parameter(name, member, torch::zeros(shape, torch::device(DefaultDevice::current())));
  };
  if (!config.untie_r) {
    own_zeros("r_w_bias", r_w_bias, {config.n_head, config.d_head});
    own_zeros("r_r_bias", r_r_bias, {config.n_head, config.d_head});
  }
  if (config.attn_type == 1 || config.attn_type == 3)
    own_zeros("r_emb", r_emb, {config.n_layer, config.max_klen(), config.n_head, config.d_head});
  if (config.attn_type == 1)
    own_zeros("r_bias", r_bias, {config.n_layer, config.max_klen(), config.n_head});

  word_emb =
      register_module("word_emb", AdaptiveEmbedding(config.n_token, config.d_embed, config.d_model,
                                                    config.cutoffs, config.div_val));
  drop = register_module("drop", Dropout(config.dropout));
  const TransfoXLAttentionOptions options{.n_head = config.n_head,
                                          .d_model = config.d_model,
                                          .d_head = config.d_head,
                                          .dropout = config.dropout,
                                          .dropatt = config.dropatt,
                                          .pre_lnorm = config.pre_lnorm,
                                          .r_r_bias = r_r_bias,
                                          .r_w_bias = r_w_bias,
                                          .layer_norm_epsilon = config.layer_norm_epsilon};
  const auto make_layers = [&]<typename Layer>(ModuleList<Layer>& layers) {
    layers = register_module(
        "layers", ModuleList<Layer>(config.n_layer, [=](const auto& before) {
          std::optional<DefaultDevice> no_draws; // of a layer that the bridge adds and binds
          if (static_cast<int64_t>(before.size()) >= config.n_layer)
            no_draws.emplace(torch::kMeta);
          return Layer(options, config.d_inner);
        }));
  };
  if (config.attn_type == 0)
    make_layers(relative_layers);
  else if (config.attn_type == 1)
    make_layers(learned_layers);
  else
    make_layers(absolute_layers);
  if (config.attn_type == 0 || config.attn_type == 2)
    pos_emb = register_module("pos_emb", PositionalEmbedding(config.d_model));

  init_transfo_xl_weights(*this, config);
  if (draw_biases)
    draw_position_biases(*this, config);
}

TransfoXLModelImpl::~TransfoXLModelImpl() = default;

TransfoXLModelOutput TransfoXLModelImpl::forward(const Tensor& input_ids,
                                                 const std::vector<Tensor>& mems) {
  check_ids("input_ids", input_ids);
  check_lengths(tgt_len, ext_len, mem_len);
  if (!word_emb->overridden())
    check_range("input_ids", input_ids, word_emb->cutoff_ends.back());
  const auto embedded =
      word_emb(input_ids.t().contiguous()); // [batch, seq] -> [seq, batch, d_model]
  check_mems(mems, layer_count(), embedded);
  auto memory = mems.empty() ? zero_memory(embedded.sym_size(1), embedded.options()) : mems;
  const auto seq = embedded.sym_size(0);
  const auto memory_length = memory.empty() ? c10::SymInt(0) : memory.front().sym_size(0);
  const auto mask = tables_->hidden_keys(seq, memory_length, mem_len, same_length, embedded);
  std::vector<Tensor> seen, kept;
  const bool is_cached = !memory.empty() && can_cache_memory(embedded);
  const auto weights = is_cached ? key_weights() : seen;
  if (is_cached)
    kept = memory_keys_->find(memory, weights);
  const auto last = drop(run_layers(embedded, memory, mask, seen, kept));
  const auto new_mems = updated(memory, seen);
  if (is_cached) {
    const auto [begin, end] = remembered(memory_length, seq);
    for (auto& projected : kept)
      projected = projected.slice_symint(0, begin, end);
    memory_keys_->keep(new_mems, weights, kept);
  }
  // [seq, batch, d_model] -> [batch, seq, d_model]
  return {last.transpose(0, 1).contiguous(), new_mems};
}

bool TransfoXLModelImpl::can_cache_memory(const Tensor& embedded) const {
  if (!cache_memory || !relative_layers || torch::GradMode::is_enabled() || !fast_paths_enabled() ||
      !has_readable_values(embedded) || at::autocast::is_autocast_enabled(at::kCPU))
    return false;
  const auto& layers = relative_layers->items;
  return std::none_of(layers.begin(), layers.end(), [](const auto& layer) {
    return layer->exposes_internals() || layer->dec_attn->pre_lnorm;
  });
}

std::vector<Tensor> TransfoXLModelImpl::key_weights() const {
  std::vector<Tensor> weights;
  for (const auto& layer : relative_layers->items)
    weights.push_back(layer->dec_attn->qkv_net->weight);
  return weights;
}

Tensor TransfoXLModelImpl::run_layers(const Tensor& embedded, std::vector<Tensor>& mems,
                                      const Tensor& mask, std::vector<Tensor>& seen,
                                      std::vector<Tensor>& kept) {
  const auto seq = embedded.sym_size(0), key = mask.sym_size(1), memory = key - seq;
  const auto memory_of = [&](size_t i) { return mems.empty() ? Tensor() : mems[i]; };
  if (config.attn_type == 0) {
    const auto distances = tables_->distance_embeddings(pos_emb, key, clamp_len, embedded);
    auto hidden = drop(embedded);
    const auto positions = drop(distances);
    for (size_t i = 0; i < layer_count(); ++i) {
      seen.push_back(hidden);
      auto& layer = relative_layers->items[i];
      hidden = kept.empty()
                   ? layer(hidden, positions, mask, memory_of(i))
                   : layer->forward_keeping(hidden, positions, mask, memory_of(i), &kept[i]);
    }
    return hidden;
  }
  if (config.attn_type == 1) {
    auto hidden = drop(embedded);
    for (size_t i = 0; i < layer_count(); ++i) {
      seen.push_back(hidden);
      const auto kept = [&](const Tensor& x) { // those of the nearest positions
        const auto of_layer = x.select(0, static_cast<int64_t>(i));
        return clamp_len > 0 ? of_layer.slice(0, -clamp_len) : of_layer;
      };
      const auto bias = r_w_bias.defined() ? r_w_bias.select(0, static_cast<int64_t>(i)) : Tensor();
      hidden =
          learned_layers->items[i](hidden, kept(r_emb), bias, kept(r_bias), mask, memory_of(i));
    }
    return hidden;
  }
  if (config.attn_type == 2) {
    const auto distances = tables_->distance_embeddings(pos_emb, key, clamp_len, embedded);
    auto hidden = drop(embedded + distances.slice_symint(0, memory));
    if (!mems.empty()) // memory holds them already; as in 2019
      mems.front() = mems.front() + distances.slice_symint(0, 0, memory);
    for (size_t i = 0; i < layer_count(); ++i) {
      seen.push_back(hidden);
      hidden = absolute_layers->items[i](hidden, mask, memory_of(i));
    }
    return hidden;
  }
  auto hidden = drop(embedded);
  for (size_t i = 0; i < layer_count(); ++i) {
    const auto learned = r_emb.select(0, static_cast<int64_t>(i)).flatten(1); // [max_klen, d_model]
    hidden = hidden + learned.slice_symint(0, learned.sym_size(0) - seq).unsqueeze(1);
    seen.push_back(hidden);
    if (memory > 0) // memory holds them already; as in 2019
      mems[i] =
          mems[i] +
          last_rows(learned.slice_symint(0, 0, learned.sym_size(0) - seq), memory).unsqueeze(1);
    hidden = absolute_layers->items[i](hidden, mask, memory_of(i));
  }
  return hidden;
}

std::pair<c10::SymInt, c10::SymInt> TransfoXLModelImpl::remembered(const c10::SymInt& memory,
                                                                   const c10::SymInt& seq) const {
  // As in 2019, where the two lengths are exchanged, `ext_len` is taken off the memory.
  const auto end = seq + (memory - ext_len).max(0);
  return {(end - mem_len).max(0), end};
}

std::vector<Tensor> TransfoXLModelImpl::updated(const std::vector<Tensor>& mems,
                                                const std::vector<Tensor>& seen) {
  std::vector<Tensor> new_mems;
  if (mems.empty())
    return new_mems;
  const torch::NoGradGuard no_grad;
  const auto memory = mems.front().sym_size(0), seq = seen.front().sym_size(0);
  const auto [begin, end] = remembered(memory, seq);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seq.is_heap_allocated() || memory.is_heap_allocated()) { // under export
      new_mems.push_back(torch::cat({mems[i], seen[i]}).slice_symint(0, begin, end).detach());
      continue;
    }
    const auto old = mems[i].slice_symint(0, begin.min(memory), end.min(memory));
    const auto fresh = seen[i].slice_symint(0, (begin - memory).max(0), (end - memory).max(0));
    new_mems.push_back(torch::cat({old, fresh}).detach());
  }
  return new_mems;
}

size_t TransfoXLModelImpl::layer_count() const {
  if (relative_layers)
    return relative_layers->items.size();
  return learned_layers ? learned_layers->items.size() : absolute_layers->items.size();
}

std::vector<Tensor> TransfoXLModelImpl::zero_memory(const c10::SymInt& batch,
                                                    const torch::TensorOptions& options) const {
  if (mem_len == 0)
    return {};
  return std::vector<Tensor>(layer_count(), torch::zeros_symint({mem_len, batch, config.d_model},
                                                                options.requires_grad(false)));
}

void TransfoXLModelImpl::reset_length(int64_t tgt_len, int64_t ext_len, int64_t mem_len) {
  check_lengths(tgt_len, ext_len, mem_len);
  this->tgt_len = tgt_len;
  this->ext_len = ext_len;
  this->mem_len = mem_len;
}

std::vector<Tensor> TransfoXLModelImpl::init_mems(const Tensor& data) {
  TORCH_CHECK_VALUE(data.dim() == 2, "`data` must be of shape [seq, batch], but is of shape ",
                    data.sym_sizes(), ".");
  return zero_memory(data.sym_size(1), parameters().front().options());
}

void init_transfo_xl_weights(torch::nn::Module& module, const TransfoXLConfig& config) {
  if (DefaultDevice::current().is_meta())
    return;
  const torch::NoGradGuard no_grad;
  const auto draw = [&config](Tensor& weight) {
    if (config.init == "uniform")
      weight.uniform_(-config.init_range, config.init_range);
    else
      weight.normal_(0, config.init_std);
  };
  const auto draw_projections = [&config](const ParameterListImpl& projections) {
    for (size_t i = 0; i < projections.size(); ++i) {
      if (projections[i].defined())
        Tensor(projections[i]).normal_(0, config.proj_init_std);
    }
  };
  inner_first(module, [&](torch::nn::Module& child) {
    if (auto* linear = child.as<LinearImpl>()) {
      draw(linear->weight);
      if (linear->bias.defined())
        linear->bias.zero_();
    } else if (auto* embedding = child.as<EmbeddingImpl>()) {
      draw(embedding->weight);
    } else if (auto* adaptive = child.as<AdaptiveEmbeddingImpl>()) {
      draw_projections(*adaptive->emb_projs);
    } else if (auto* softmax = child.as<ProjectedAdaptiveLogSoftmaxImpl>()) {
      if (softmax->cluster_weight.defined()) {
        draw(softmax->cluster_weight);
        softmax->cluster_bias.zero_();
      }
      draw_projections(*softmax->out_projs);
    } else if (auto* layer_norm = child.as<BertLayerNormImpl>()) {
      layer_norm->weight.normal_(1, config.init_std);
      layer_norm->bias.zero_();
    }
  });
}

void draw_position_biases(torch::nn::Module& module, const TransfoXLConfig& config) {
  if (DefaultDevice::current().is_meta())
    return;
  const torch::NoGradGuard no_grad;
  std::vector<std::string> names = {"r_w_bias", "r_r_bias", "r_emb", "r_bias"};
  for (auto& parameter : module.named_parameters()) { // a shared one is drawn once
    const auto name = parameter.key().substr(parameter.key().rfind('.') + 1);
    if (std::count(names.begin(), names.end(), name) > 0)
      parameter.value().normal_(0, config.init_std);
  }
}

} // namespace ptbert
