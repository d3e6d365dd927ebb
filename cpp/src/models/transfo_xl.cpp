#include "ptbert/models/transfo_xl.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <utility>

#include "checks.h"
#include "length_tables.h"
#include "memory_keys.h"
#include "ptbert/speed/fast_paths.h"
#include "speed/readable_values.h"

namespace ptbert {

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
      // [n_layer, max_klen, ...] -> [positions, ...], the nearest
      const auto kept = [&](const Tensor& x) {
        const auto of_layer = x.select(0, static_cast<int64_t>(i));
        return clamp_len > 0 ? of_layer.slice(0, -clamp_len) : of_layer;
      };
      // [n_head, d_head] -> [d_head]
      const auto bias = r_w_bias.defined() ? r_w_bias.select(0, static_cast<int64_t>(i)) : Tensor();
      hidden =
          learned_layers->items[i](hidden, kept(r_emb), bias, kept(r_bias), mask, memory_of(i));
    }
    return hidden;
  }
  if (config.attn_type == 2) {
    const auto distances = tables_->distance_embeddings(pos_emb, key, clamp_len, embedded);
    auto hidden = drop(embedded + distances.slice_symint(0, memory)); // + [seq, 1, d_model]
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
    // + [seq, 1, d_model]
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

} // namespace ptbert
