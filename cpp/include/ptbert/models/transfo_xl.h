#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ptbert/models/layers.h"
#include "ptbert/models/transfo_xl_attention.h"
#include "ptbert/models/transfo_xl_config.h"

/// Transformer-XL's trunk, smallest block first. Dai et al., 2019 (arXiv 1901.02860).
///
/// Shapes: batch = sequences, seq = tokens of a segment, d_model = width, key = tokens of memory
/// and segment; inside the model time comes first: hidden states are [seq, batch, d_model].

namespace ptbert {

/// Sines and cosines of relative positions.
class PositionalEmbeddingImpl
    : public Module<PositionalEmbeddingImpl, Tensor(const Tensor&, const std::optional<int64_t>&)> {
public:
  /// `demb`: width of an embedding, even. Throws ValueError if it is odd or below 2.
  explicit PositionalEmbeddingImpl(int64_t demb);
  /// `pos_seq` [len] -> [len, 1, demb], or with `bsz` [len, bsz, demb], a view.
  Tensor forward(const Tensor& pos_seq, const std::optional<int64_t>& bsz = std::nullopt);

  int64_t demb;
  /// [demb / 2]
  Tensor inv_freq;
};
PTBERT_MODULE(PositionalEmbedding);

/// Embeddings of a large vocabulary, in clusters of ever rarer tokens with ever shorter vectors,
/// each projected to the same width. Baevski and Auli, 2018 (arXiv 1809.10853).
class AdaptiveEmbeddingImpl : public Module<AdaptiveEmbeddingImpl, Tensor(const Tensor&)> {
public:
  /// `cutoffs`: the first id of every cluster but the first. `div_val`: each cluster's vectors are
  /// shorter than those of the one before by this factor; 1 means one table for all ids. Throws
  /// ValueError if `cutoffs` do not increase within the vocabulary or a width would be 0.
  AdaptiveEmbeddingImpl(int64_t n_token, int64_t d_embed, int64_t d_proj,
                        const std::vector<int64_t>& cutoffs, int64_t div_val = 1);
  /// [*] -> [*, d_proj]. On the CPU an id out of range is an IndexError.
  Tensor forward(const Tensor& inp);

  int64_t n_token, d_embed, d_proj, div_val;
  /// 0, the cutoffs and `n_token`.
  std::vector<int64_t> cutoff_ends;
  ModuleList<Embedding> emb_layers{nullptr};
  /// [d_proj, width of the cluster] for each cluster; empty where no projection is needed.
  ParameterList emb_projs{nullptr};
};
PTBERT_MODULE(AdaptiveEmbedding);

/// The inside of the feed-forward layer, nn.Sequential in Python.
class CoreNetImpl : public Module<CoreNetImpl, Tensor(const Tensor&)> {
public:
  CoreNetImpl(int64_t d_model, int64_t d_inner, double dropout);
  /// [*, d_model] -> [*, d_model]
  Tensor forward(const Tensor& x);

  /// Registered as "0" to "4", in the order in which they are called.
  Linear inner{nullptr};
  ReLU relu{nullptr};
  Dropout inner_dropout{nullptr};
  Linear outer{nullptr};
  Dropout outer_dropout{nullptr};
};
PTBERT_MODULE(CoreNet);

/// The feed-forward layer, with residual connection and LayerNorm.
class PositionwiseFFImpl : public Module<PositionwiseFFImpl, Tensor(const Tensor&)> {
public:
  PositionwiseFFImpl(int64_t d_model, int64_t d_inner, double dropout, bool pre_lnorm = false,
                     double layer_norm_epsilon = 1e-12);
  /// [*, d_model] -> [*, d_model]
  Tensor forward(const Tensor& inp);

  int64_t d_model, d_inner;
  /// Whether the LayerNorm comes before the layer instead of after it.
  bool pre_lnorm;
  CoreNet core{nullptr};
  BertLayerNorm layer_norm{nullptr};
};
PTBERT_MODULE(PositionwiseFF);

/// A layer with absolute positions: attn_type 2 and 3. Arguments as of MultiHeadAttn.
class DecoderLayerImpl
    : public Module<DecoderLayerImpl, Tensor(const Tensor&, const Tensor&, const Tensor&)> {
public:
  DecoderLayerImpl(const TransfoXLAttentionOptions& options, int64_t d_inner);
  Tensor forward(const Tensor& dec_inp, const Tensor& dec_attn_mask = {}, const Tensor& mems = {});

  MultiHeadAttn dec_attn{nullptr};
  PositionwiseFF pos_ff{nullptr};
};
PTBERT_MODULE(DecoderLayer);

/// A layer with learned relative positions: attn_type 1. Arguments as of RelLearnableMultiHeadAttn.
class RelLearnableDecoderLayerImpl
    : public Module<RelLearnableDecoderLayerImpl,
                    Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                           const Tensor&, const Tensor&)> {
public:
  RelLearnableDecoderLayerImpl(const TransfoXLAttentionOptions& options, int64_t d_inner);
  Tensor forward(const Tensor& dec_inp, const Tensor& r_emb, const Tensor& r_w_bias,
                 const Tensor& r_bias, const Tensor& dec_attn_mask = {}, const Tensor& mems = {});

  RelLearnableMultiHeadAttn dec_attn{nullptr};
  PositionwiseFF pos_ff{nullptr};
};
PTBERT_MODULE(RelLearnableDecoderLayer);

/// A layer of the paper: attn_type 0. Arguments as of RelPartialLearnableMultiHeadAttn.
class RelPartialLearnableDecoderLayerImpl
    : public Module<RelPartialLearnableDecoderLayerImpl,
                    Tensor(const Tensor&, const Tensor&, const Tensor&, const Tensor&)> {
public:
  RelPartialLearnableDecoderLayerImpl(const TransfoXLAttentionOptions& options, int64_t d_inner);
  Tensor forward(const Tensor& dec_inp, const Tensor& r, const Tensor& dec_attn_mask = {},
                 const Tensor& mems = {});
  /// The same without overrides; `kept` as of RelPartialLearnableMultiHeadAttn.
  Tensor forward_keeping(const Tensor& dec_inp, const Tensor& r, const Tensor& dec_attn_mask,
                         const Tensor& mems, Tensor* kept);

  RelPartialLearnableMultiHeadAttn dec_attn{nullptr};
  PositionwiseFF pos_ff{nullptr};
};
PTBERT_MODULE(RelPartialLearnableDecoderLayer);

struct TransfoXLModelOutput {
  /// [batch, seq, d_model]
  Tensor last_hidden;
  /// For each layer the hidden states that it saw, the newest last, [mem_len, batch, d_model],
  /// without gradient; empty without memory.
  std::vector<Tensor> new_mems;
};

class LengthTables;
class MemoryKeys;

/// Transformer-XL without a head.
class TransfoXLModelImpl
    : public Module<TransfoXLModelImpl,
                    TransfoXLModelOutput(const Tensor&, const std::vector<Tensor>&)> {
public:
  /// With `draw_biases` false r_w_bias, r_r_bias, r_emb and r_bias stay 0: a head draws them last,
  /// since 2019 left them uninitialised, so that equal seeds give the weights of 2019.
  explicit TransfoXLModelImpl(const TransfoXLConfig& config, bool draw_biases = true);
  ~TransfoXLModelImpl() override;
  /// `input_ids` [batch, seq], int64 or int32. `mems`: new_mems of the segment before, of any
  /// length; empty for zeros. Throws ValueError, TypeError or IndexError whose message names the
  /// invalid argument.
  TransfoXLModelOutput forward(const Tensor& input_ids, const std::vector<Tensor>& mems = {});
  /// Sets `tgt_len`, `ext_len` and `mem_len`. Throws ValueError for lengths that cannot be.
  void reset_length(int64_t tgt_len, int64_t ext_len, int64_t mem_len);
  /// Memory of zeros for `data` [seq, batch]; empty if `mem_len` is 0.
  std::vector<Tensor> init_mems(const Tensor& data);

  std::string family() const override { return "transfo-xl"; }

  TransfoXLConfig config;
  /// As in the configuration; may be changed between two calls.
  int64_t tgt_len, ext_len, mem_len, clamp_len;
  bool same_length;
  /// Whether keys and values of the memory are kept for the next segment, which needs twice as much
  /// space as memory itself. Without gradients, with attn_type 0 and without `pre_lnorm`; they are
  /// used if the next call is given the `new_mems` of the last.
  bool cache_memory = false;
  AdaptiveEmbedding word_emb{nullptr};
  Dropout drop{nullptr};
  /// The layers of `attn_type`; the others are null.
  ModuleList<RelPartialLearnableDecoderLayer> relative_layers{nullptr};
  ModuleList<RelLearnableDecoderLayer> learned_layers{nullptr};
  ModuleList<DecoderLayer> absolute_layers{nullptr};
  /// With attn_type 0 and 2.
  PositionalEmbedding pos_emb{nullptr};
  /// Without `untie_r`: the biases of all layers, [n_head, d_head].
  Tensor r_w_bias, r_r_bias;
  /// With attn_type 1 and 3, [n_layer, max_klen, n_head, d_head].
  Tensor r_emb;
  /// With attn_type 1, [n_layer, max_klen, n_head].
  Tensor r_bias;

private:
  size_t layer_count() const;
  Tensor positions(const c10::SymInt& length, const Tensor& embedded);
  /// The hidden states behind all layers; appends those before each layer to `seen`, and changes
  /// `mems` where positions are added to them. `kept` is empty, or has an entry for each layer (see
  /// RelPartialLearnableMultiHeadAttn::forward_keeping()).
  Tensor run_layers(const Tensor& embedded, std::vector<Tensor>& mems, const Tensor& mask,
                    std::vector<Tensor>& seen, std::vector<Tensor>& kept);
  bool can_cache_memory(const Tensor& embedded) const;
  std::vector<Tensor> zero_memory(const c10::SymInt& batch,
                                  const torch::TensorOptions& options) const;
  /// Begin and end of what is remembered of `memory` and `seq` rows.
  std::pair<c10::SymInt, c10::SymInt> remembered(const c10::SymInt& memory,
                                                 const c10::SymInt& seq) const;
  /// The memory of the next segment.
  std::vector<Tensor> updated(const std::vector<Tensor>& mems, const std::vector<Tensor>& seen);
  /// The weights of the layers' keys and values.
  std::vector<Tensor> key_weights() const;

  std::unique_ptr<LengthTables> tables_;
  std::unique_ptr<MemoryKeys> memory_keys_;
};
PTBERT_MODULE(TransfoXLModel);

/// Initialises the weights of `module` and of those below it as `config` says, in the order of
/// registration, inner modules first. r_w_bias, r_r_bias, r_emb and r_bias are left as they are.
void init_transfo_xl_weights(torch::nn::Module& module, const TransfoXLConfig& config);
/// Draws r_w_bias, r_r_bias, r_emb and r_bias from normal(0, init_std).
void draw_position_biases(torch::nn::Module& module, const TransfoXLConfig& config);

} // namespace ptbert
