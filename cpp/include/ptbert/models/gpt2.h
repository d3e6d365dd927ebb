#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ptbert/models/attention.h"
#include "ptbert/models/gpt2_config.h"
#include "ptbert/models/layers.h"
#include "ptbert/models/pruning.h"
#include "ptbert/speed/packing.h"

/// GPT-2's trunk, smallest block first. Radford et al., 2019, "Language Models are Unsupervised
/// Multitask Learners".
///
/// Shapes: batch = sequences, seq = tokens in the longest of them, width = config.n_embd, heads =
/// config.n_head, head_size = width / heads, past = tokens whose keys and values were computed
/// before, key = past + seq.
///
/// A `present` is [2, batch, heads, key, head_size]: the keys and the values of one block. Given
/// back as `past` or `layer_past`, they are not computed again.
///
/// `head_mask` multiplies the attention weights: 1 keeps a head, 0 removes it; undefined keeps all.
/// For a block and its parts it broadcasts to [batch, heads, query, key]; GPT2Model computes it
/// from the user's mask, [heads] or [layers, heads].
///
/// forward_packed() of a sub-module computes tokens without padding: hidden states are [tokens,
/// width], laid out by a Packing. Outputs are [rows, width]: the tokens that `rows` [rows] selects,
/// or all if it is undefined. It bypasses overrides; call it only when exposes_internals() is
/// false.

namespace ptbert {

class CausalMaskCheck;

struct GPT2AttentionOutput {
  /// [batch, seq, width]
  Tensor hidden_states;
  /// [2, batch, heads, key, head_size]
  Tensor present;
  /// The weights [batch, heads, query, key] after softmax, dropout and head mask; undefined unless
  /// GPT2Attention has `output_attentions`.
  Tensor attentions;
};

/// Base of modules that take hidden states, `layer_past` and head mask.
template <typename Derived>
using GPT2AttentionModule =
    Module<Derived, GPT2AttentionOutput(const Tensor&, const Tensor&, const Tensor&)>;

/// Masked self-attention: each token attends to itself and to those before it.
class GPT2AttentionImpl : public GPT2AttentionModule<GPT2AttentionImpl> {
public:
  /// `nx` is the width. With `scale` the scores are divided by sqrt(head_size), as GPT2Model asks.
  GPT2AttentionImpl(int64_t nx, int64_t n_ctx, const GPT2Config& config, bool scale = false,
                    AttentionOptions options = {});
  ~GPT2AttentionImpl() override;
  /// [batch, seq, width], [2, batch, heads, past, head_size], head mask -> [batch, seq, width]
  GPT2AttentionOutput forward(const Tensor& x, const Tensor& layer_past = {},
                              const Tensor& head_mask = {});
  /// The result of forward(), and the outputs of the heads before they are merged, [batch, heads,
  /// seq, head_size].
  std::pair<GPT2AttentionOutput, Tensor>
  forward_with_heads(const Tensor& x, const Tensor& layer_past, const Tensor& head_mask);
  /// [tokens, width] -> [rows, width]
  Tensor forward_packed(const Tensor& x, const Packing& packing, const Tensor& rows);
  /// Removes all heads but `kept`, which are renumbered. Parameters are replaced.
  void keep_heads(const std::vector<int64_t>& kept);
  /// Whether `bias` is the causal mask that it is made as.
  bool has_causal_mask() const;

  bool exposes_internals() const override {
    return output_attentions || keep_multihead_output || Module::exposes_internals();
  }

  GPT2Config config;
  int64_t n_head, split_size;
  bool scale, output_attentions, keep_multihead_output;
  /// The causal mask [1, 1, n_ctx, n_ctx].
  Tensor bias;
  Conv1D c_attn{nullptr}, c_proj{nullptr};
  Dropout attn_dropout{nullptr}, resid_dropout{nullptr};
  /// With `keep_multihead_output`: the outputs of the heads in the last forward() before they were
  /// merged, [batch, heads, seq, head_size], with retain_grad(). Not thread-safe.
  Tensor multihead_output;

private:
  Tensor split_heads(const Tensor& x) const;
  Tensor merge_heads(const Tensor& x) const;
  Tensor attention_weights(const Tensor& queries, const Tensor& keys);
  /// The reason why attention cannot run as one fused kernel, or nullptr if it can.
  const char* why_not_fused(const Tensor& queries, const Tensor& keys, const Tensor& values);
  /// [batch, heads, query or key, head_size] -> [batch, heads, query, head_size]
  Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values);

  std::unique_ptr<CausalMaskCheck> is_causal_;
};
PTBERT_MODULE(GPT2Attention);

/// The feed-forward layer.
class GPT2MLPImpl : public Module<GPT2MLPImpl, Tensor(const Tensor&)> {
public:
  /// `n_state` is the inner width.
  GPT2MLPImpl(int64_t n_state, const GPT2Config& config);
  /// [*, width] -> [*, width]
  Tensor forward(const Tensor& x);

  GPT2Config config;
  Conv1D c_fc{nullptr}, c_proj{nullptr};
  Activation act;
  Dropout dropout{nullptr};
};
PTBERT_MODULE(GPT2MLP);

/// One block of the Transformer, with LayerNorms before attention and feed-forward layer.
class GPT2BlockImpl : public GPT2AttentionModule<GPT2BlockImpl> {
public:
  GPT2BlockImpl(int64_t n_ctx, const GPT2Config& config, bool scale = false,
                AttentionOptions options = {});
  /// [batch, seq, width], [2, batch, heads, past, head_size], head mask -> [batch, seq, width]
  GPT2AttentionOutput forward(const Tensor& x, const Tensor& layer_past = {},
                              const Tensor& head_mask = {});
  /// [tokens, width] -> [rows, width]
  Tensor forward_packed(const Tensor& x, const Packing& packing, const Tensor& rows);

  GPT2Config config;
  BertLayerNorm ln_1{nullptr};
  GPT2Attention attn{nullptr};
  BertLayerNorm ln_2{nullptr};
  GPT2MLP mlp{nullptr};
};
PTBERT_MODULE(GPT2Block);

struct GPT2ModelOutput {
  /// The embeddings and the output of every block, the last one after the final LayerNorm: n_layer
  /// + 1 tensors [*, seq, width].
  std::vector<Tensor> hidden_states;
  /// Of every block, [2, batch, heads, key, head_size].
  std::vector<Tensor> presents;
  /// The attention weights of every block, [batch, heads, query, key]. A block that returned none
  /// has an undefined tensor here; empty if no block returned any.
  std::vector<Tensor> attentions;
};

/// GPT-2 without a head.
class GPT2ModelImpl
    : public Module<GPT2ModelImpl, GPT2ModelOutput(const Tensor&, const Tensor&, const Tensor&,
                                                   const std::vector<Tensor>&, const Tensor&)> {
public:
  /// Without the heads that `config.pruned_heads` names.
  explicit GPT2ModelImpl(const GPT2Config& config, AttentionOptions options = {});
  /// `input_ids` [*, seq], int64 or int32, with any number of leading dimensions, whose product is
  /// the batch. `position_ids` and `token_type_ids` the same shape, or [seq], or undefined: the
  /// positions after `past`, and no third embedding. `past`: the presents of an earlier call, or
  /// empty. `head_mask` [heads] or [layers, heads], or undefined (ones). Throws ValueError,
  /// TypeError or IndexError whose message names the invalid argument.
  GPT2ModelOutput forward(const Tensor& input_ids, const Tensor& position_ids = {},
                          const Tensor& token_type_ids = {}, const std::vector<Tensor>& past = {},
                          const Tensor& head_mask = {});
  /// The last hidden states at `positions` [count] of the flattened batch, [count, width]. Tokens
  /// after the last of these positions in each row are not computed, and neither are tokens after
  /// the attention of the last block that are not asked for. Returns std::nullopt where that is not
  /// possible; call forward() then.
  std::optional<Tensor> forward_at_positions(const Tensor& input_ids, const Tensor& position_ids,
                                             const Tensor& token_type_ids,
                                             const std::vector<Tensor>& past,
                                             const Tensor& head_mask, const Tensor& positions);
  /// Changes the number of special tokens: their embeddings, after the first `vocab_size`, are
  /// drawn anew. Does nothing if the number is the same. Heads that are tied to `wte` must be tied
  /// again.
  void set_num_special_tokens(int64_t num_special_tokens);

  /// Removes attention heads permanently, for each block (-1 is the last) by the numbers of its
  /// present heads, and notes them in `config.pruned_heads` of this trunk; outputs are the same as
  /// with the heads masked. Parameters are replaced: create the optimizer afterwards. Throws
  /// ValueError, and removes none, if a block or head does not exist or a block would have no head
  /// left.
  void prune_heads(const HeadsOfLayers& heads_to_prune);
  /// `multihead_output` of every block.
  std::vector<Tensor> get_multihead_outputs() const;

  std::string family() const override { return "gpt2"; }

  GPT2Config config;
  Embedding wte{nullptr}, wpe{nullptr};
  Dropout drop{nullptr};
  /// All blocks start with the weights of the first.
  ModuleList<GPT2Block> h{nullptr};
  BertLayerNorm ln_f{nullptr};

private:
  void check_inputs(const Tensor& input_ids, const Tensor& position_ids,
                    const Tensor& token_type_ids, const std::vector<Tensor>& past);
  Tensor embed(const Tensor& input_ids, const Tensor& position_ids, const Tensor& token_type_ids);
  void prune(const HeadsOfLayers& heads, const char* name);
};
PTBERT_MODULE(GPT2Model);

} // namespace ptbert
