#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "ptbert/models/attention.h"
#include "ptbert/models/bert_config.h"
#include "ptbert/models/layers.h"
#include "ptbert/models/pruning.h"
#include "ptbert/speed/packing.h"

/// BERT's trunk, smallest block first. Devlin et al., 2018 (arXiv 1810.04805).
///
/// Shapes: batch = sequences, seq = tokens in the longest of them, hidden = config.hidden_size,
/// heads = config.num_attention_heads, head_size = hidden / heads.
///
/// `attention_mask` of the sub-modules is additive, [batch, 1, 1, seq]: 0 for a position that may
/// be attended to, -10000 for one that may not; undefined masks nothing. BertModel computes it from
/// the user's 0/1 mask.
///
/// `head_mask` multiplies the attention weights: 1 keeps a head, 0 removes it; undefined keeps all.
/// For a layer and its parts it broadcasts to [batch, heads, query, key]; for the encoder it has a
/// first dimension of size layers, or 1 to use one mask in all layers. BertModel computes it from
/// the user's mask, [heads] or [layers, heads]. Michel et al., 2019 (arXiv 1905.10650).
///
/// forward_packed() of a sub-module computes real tokens only: hidden states are [tokens, hidden],
/// laid out by a Packing, which takes the place of the mask. Outputs are [rows, hidden]: the tokens
/// that `rows` [rows] selects, or all if it is undefined. It bypasses overrides; call it only when
/// exposes_internals() is false.

namespace ptbert {

/// Sum of word, position and segment embeddings, then LayerNorm and dropout.
class BertEmbeddingsImpl : public Module<BertEmbeddingsImpl, Tensor(const Tensor&, const Tensor&)> {
public:
  explicit BertEmbeddingsImpl(const BertConfig& config);
  /// `input_ids` [batch, seq], `token_type_ids` [batch, seq] or undefined (zeros) -> [batch, seq,
  /// hidden]. On the CPU an id out of range is an IndexError; on a GPU it is a device-side assert.
  Tensor forward(const Tensor& input_ids, const Tensor& token_type_ids = {});
  /// [batch, seq] twice -> [tokens, hidden]
  Tensor forward_packed(const Tensor& input_ids, const Tensor& token_type_ids,
                        const Packing& packing);

  BertConfig config;
  Embedding word_embeddings{nullptr}, position_embeddings{nullptr}, token_type_embeddings{nullptr};
  BertLayerNorm layer_norm{nullptr};
  Dropout dropout{nullptr};

private:
  void check_inputs(const Tensor& input_ids, const Tensor& token_type_ids);
  Tensor embed(const Tensor& input_ids, const Tensor& position_ids, const Tensor& token_type_ids);
};
PTBERT_MODULE(BertEmbeddings);

struct BertAttentionOutput {
  /// [batch, seq, hidden]
  Tensor hidden_states;
  /// The weights [batch, heads, query, key] after softmax, dropout and head mask; undefined unless
  /// BertSelfAttention has `output_attentions`.
  Tensor attentions;
};

/// Base of modules that take hidden states, attention mask and head mask.
template <typename Derived>
using BertAttentionModule =
    Module<Derived, BertAttentionOutput(const Tensor&, const Tensor&, const Tensor&)>;

/// softmax(Q K^T / sqrt(head_size) + mask) V for each head.
class BertSelfAttentionImpl : public BertAttentionModule<BertSelfAttentionImpl> {
public:
  explicit BertSelfAttentionImpl(const BertConfig& config, AttentionOptions options = {});
  /// [batch, seq, hidden], mask, head mask -> [batch, seq, heads * head_size]. A fused kernel that
  /// does not store the weights is used on the CPU in inference, unless `output_attentions` or a
  /// head mask needs them.
  BertAttentionOutput forward(const Tensor& hidden_states, const Tensor& attention_mask = {},
                              const Tensor& head_mask = {});
  /// The result of forward(), and the outputs of the heads before they are merged, [batch, heads,
  /// seq, head_size].
  std::pair<BertAttentionOutput, Tensor> forward_with_heads(const Tensor& hidden_states,
                                                            const Tensor& attention_mask,
                                                            const Tensor& head_mask);
  /// [tokens, hidden] -> [rows, heads * head_size]
  Tensor forward_packed(const Tensor& hidden_states, const Packing& packing, const Tensor& rows);

  bool exposes_internals() const override {
    return output_attentions || keep_multihead_output || Module::exposes_internals();
  }

  BertConfig config;
  Linear query{nullptr}, key{nullptr}, value{nullptr};
  Dropout dropout{nullptr};
  int64_t num_attention_heads, attention_head_size, all_head_size;
  bool output_attentions, keep_multihead_output;
  /// With `keep_multihead_output`: the outputs of the heads in the last forward() before they were
  /// merged, [batch, heads, seq, head_size], with retain_grad(). Not thread-safe.
  Tensor multihead_output;

private:
  Tensor split_heads(const Tensor& x) const;
  Tensor merge_heads(const Tensor& x) const;
  Tensor attention_weights(const Tensor& queries, const Tensor& keys, const Tensor& attention_mask);
  /// The reason why attention cannot run as one fused kernel, or nullptr if it can.
  const char* why_not_fused(const Tensor& queries, const Tensor& keys, const Tensor& values,
                            const Tensor& attention_mask);
  /// The outputs of the heads, [batch, heads, query, head_size].
  Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values,
                const Tensor& attention_mask);
};
PTBERT_MODULE(BertSelfAttention);

/// Dense layer, dropout, residual and LayerNorm after self-attention.
class BertSelfOutputImpl : public Module<BertSelfOutputImpl, Tensor(const Tensor&, const Tensor&)> {
public:
  explicit BertSelfOutputImpl(const BertConfig& config);
  /// [batch, seq, hidden] twice -> [batch, seq, hidden]
  Tensor forward(const Tensor& hidden_states, const Tensor& input_tensor);

  BertConfig config;
  Linear dense{nullptr};
  BertLayerNorm layer_norm{nullptr};
  Dropout dropout{nullptr};
};
PTBERT_MODULE(BertSelfOutput);

/// Self-attention, then BertSelfOutput.
class BertAttentionImpl : public BertAttentionModule<BertAttentionImpl> {
public:
  explicit BertAttentionImpl(const BertConfig& config, AttentionOptions options = {});
  /// [batch, seq, hidden], mask, head mask -> [batch, seq, hidden]
  BertAttentionOutput forward(const Tensor& input_tensor, const Tensor& attention_mask = {},
                              const Tensor& head_mask = {});
  /// [tokens, hidden] -> [rows, hidden]
  Tensor forward_packed(const Tensor& input_tensor, const Packing& packing, const Tensor& rows);
  /// Removes all heads but `kept`, which are renumbered. Parameters are replaced.
  void keep_heads(const std::vector<int64_t>& kept);

  BertConfig config;
  BertSelfAttention self_attention{nullptr};
  BertSelfOutput output{nullptr};
};
PTBERT_MODULE(BertAttention);

/// First half of the feed-forward layer: dense layer and activation.
class BertIntermediateImpl : public Module<BertIntermediateImpl, Tensor(const Tensor&)> {
public:
  explicit BertIntermediateImpl(const BertConfig& config);
  /// [batch, seq, hidden] -> [batch, seq, intermediate]
  Tensor forward(const Tensor& hidden_states);

  BertConfig config;
  Linear dense{nullptr};
  Activation intermediate_act_fn;
};
PTBERT_MODULE(BertIntermediate);

/// Second half of the feed-forward layer, dropout, residual and LayerNorm.
class BertOutputImpl : public Module<BertOutputImpl, Tensor(const Tensor&, const Tensor&)> {
public:
  explicit BertOutputImpl(const BertConfig& config);
  /// [batch, seq, intermediate], [batch, seq, hidden] -> [batch, seq, hidden]
  Tensor forward(const Tensor& hidden_states, const Tensor& input_tensor);

  BertConfig config;
  Linear dense{nullptr};
  BertLayerNorm layer_norm{nullptr};
  Dropout dropout{nullptr};
};
PTBERT_MODULE(BertOutput);

/// One block of the Transformer: attention and feed-forward.
class BertLayerImpl : public BertAttentionModule<BertLayerImpl> {
public:
  explicit BertLayerImpl(const BertConfig& config, AttentionOptions options = {});
  /// [batch, seq, hidden], mask, head mask -> [batch, seq, hidden]
  BertAttentionOutput forward(const Tensor& hidden_states, const Tensor& attention_mask = {},
                              const Tensor& head_mask = {});
  /// [tokens, hidden] -> [rows, hidden]
  Tensor forward_packed(const Tensor& hidden_states, const Packing& packing, const Tensor& rows);

  BertConfig config;
  BertAttention attention{nullptr};
  BertIntermediate intermediate{nullptr};
  BertOutput output{nullptr};
};
PTBERT_MODULE(BertLayer);

struct BertEncoderOutput {
  /// Outputs of all layers or of the last only, each [batch, seq, hidden].
  std::vector<Tensor> encoded_layers;
  /// The attention weights of every layer, [batch, heads, query, key]. A layer that returned none
  /// has an undefined tensor here; empty if no layer returned any.
  std::vector<Tensor> attentions;
};

/// The stack of layers.
class BertEncoderImpl
    : public Module<BertEncoderImpl,
                    BertEncoderOutput(const Tensor&, const Tensor&, bool, const Tensor&)> {
public:
  explicit BertEncoderImpl(const BertConfig& config, AttentionOptions options = {});
  /// [batch, seq, hidden], mask, head mask [layers or 1, 1, heads, 1, 1] -> the outputs of all
  /// layers, or only the last one's if `output_all_encoded_layers` is false.
  BertEncoderOutput forward(Tensor hidden_states, const Tensor& attention_mask = {},
                            bool output_all_encoded_layers = true, const Tensor& head_mask = {});
  /// [tokens, hidden] -> the outputs of all layers, [tokens, hidden], or only the last one's if
  /// `output_all_encoded_layers` is false; the last one's is [rows, hidden].
  std::vector<Tensor> forward_packed(Tensor hidden_states, const Packing& packing,
                                     const Tensor& rows, bool output_all_encoded_layers = false);

  BertConfig config;
  /// All layers start with the weights of the first.
  ModuleList<BertLayer> layer{nullptr};
};
PTBERT_MODULE(BertEncoder);

/// Dense layer and tanh on the first token.
class BertPoolerImpl : public Module<BertPoolerImpl, Tensor(const Tensor&)> {
public:
  explicit BertPoolerImpl(const BertConfig& config);
  /// [batch, seq, hidden] -> [batch, hidden]
  Tensor forward(const Tensor& hidden_states);

  BertConfig config;
  Linear dense{nullptr};
  Tanh activation{nullptr};
};
PTBERT_MODULE(BertPooler);

struct BertModelOutput {
  /// Outputs of all layers or of the last only, each [batch, seq, hidden].
  std::vector<Tensor> encoded_layers;
  /// [batch, hidden]
  Tensor pooled_output;
  /// As in BertEncoderOutput.
  std::vector<Tensor> attentions;
};

struct BertPooledOutput {
  /// [batch, hidden]
  Tensor pooled_output;
  /// As in BertEncoderOutput.
  std::vector<Tensor> attentions;
};

struct BertOutputAtPositions {
  /// The last layer's output at the given positions, [count, hidden].
  Tensor hidden_states;
  /// [batch, hidden]; undefined unless `with_pooled_output` was true.
  Tensor pooled_output;
};

/// BERT without a head.
class BertModelImpl
    : public Module<BertModelImpl, BertModelOutput(const Tensor&, const Tensor&, const Tensor&,
                                                   bool, const Tensor&)> {
public:
  /// Without the heads that `config.pruned_heads` names.
  explicit BertModelImpl(const BertConfig& config, AttentionOptions options = {});
  /// `input_ids` [batch, seq], int64 or int32. `token_type_ids` the same shape, or undefined
  /// (zeros). `attention_mask` the same shape, 1 for a token and 0 for padding, or undefined
  /// (ones). `head_mask` [heads] or [layers, heads], or undefined (ones). Throws ValueError,
  /// TypeError or IndexError whose message names the invalid argument.
  /// With `skip_padding` only real tokens are computed, if the batch can be packed: fast paths are
  /// enabled, there is no head mask, exposes_internals() is false and why_not_packed() is nullptr.
  BertModelOutput forward(const Tensor& input_ids, const Tensor& token_type_ids = {},
                          const Tensor& attention_mask = {}, bool output_all_encoded_layers = true,
                          const Tensor& head_mask = {});
  /// `pooled_output` of forward(), for heads that need nothing else. If the batch can be packed,
  /// only real tokens are computed, and in the last layer only the first token of each sequence.
  BertPooledOutput forward_pooled(const Tensor& input_ids, const Tensor& token_type_ids = {},
                                  const Tensor& attention_mask = {}, const Tensor& head_mask = {});
  /// The last layer's output at `positions` [count] of the flattened batch, and the pooled output
  /// if `with_pooled_output`; for losses that count some tokens only. Computes real tokens only,
  /// and after the attention of the last layer only the needed ones. Returns std::nullopt if the
  /// batch cannot be packed or a position is padding; call forward() then.
  std::optional<BertOutputAtPositions>
  forward_at_positions(const Tensor& input_ids, const Tensor& token_type_ids,
                       const Tensor& attention_mask, const Tensor& head_mask,
                       const Tensor& positions, bool with_pooled_output);

  /// Removes attention heads permanently, for each layer (-1 is the last) by the numbers of its
  /// present heads, and notes them in `config.pruned_heads` of this trunk; outputs are the same as
  /// with the heads masked. Parameters are replaced: create the optimizer afterwards. Throws
  /// ValueError, and removes none, if a layer or head does not exist or a layer would have no head
  /// left.
  void prune_heads(const HeadsOfLayers& heads_to_prune);
  /// `multihead_output` of every layer.
  std::vector<Tensor> get_multihead_outputs() const;

  std::string family() const override { return "bert"; }

  BertConfig config;
  /// Whether the hidden states of padded positions may be zeros instead of what the 2019 library
  /// computes for them.
  bool skip_padding = false;
  BertEmbeddings embeddings{nullptr};
  BertEncoder encoder{nullptr};
  BertPooler pooler{nullptr};

private:
  /// The packing of a batch, or std::nullopt if it cannot be packed; notes the reason.
  std::optional<Packing> try_packing(const Tensor& input_ids, const Tensor& attention_mask,
                                     const Tensor& head_mask);
  /// `first_tokens` [batch, hidden] in packed order -> pooled output [batch, hidden] in batch order
  Tensor pool_packed(const Tensor& first_tokens, const Packing& packing);
  BertModelOutput forward_unpadded(const Tensor& input_ids, const Tensor& token_type_ids,
                                   const Packing& packing, bool output_all_encoded_layers);
  void prune(const HeadsOfLayers& heads, const char* name);
};
PTBERT_MODULE(BertModel);

} // namespace ptbert
