#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ptbert {

/// Configuration of a BERT model. Fields are named like their keys in config.json; a field whose
/// key is missing from the file keeps its default.
struct BertConfig {
  /// Number of tokens in the vocabulary.
  int64_t vocab_size = 30522;
  /// Width of the hidden states.
  int64_t hidden_size = 768;
  /// Number of layers in the encoder.
  int64_t num_hidden_layers = 12;
  /// Number of attention heads per layer; must divide hidden_size.
  int64_t num_attention_heads = 12;
  /// Width of the feed-forward layer.
  int64_t intermediate_size = 3072;
  /// Activation of the feed-forward layer and of the masked-LM head: "gelu", "relu" or "swish".
  std::string hidden_act = "gelu";
  /// Dropout probability of the embeddings and of the output of each sub-layer.
  double hidden_dropout_prob = 0.1;
  /// Dropout probability of the attention weights.
  double attention_probs_dropout_prob = 0.1;
  /// Longest sequence, in tokens.
  int64_t max_position_embeddings = 512;
  /// Number of segments that token_type_ids may name.
  int64_t type_vocab_size = 2;
  /// Standard deviation of the initial weights.
  double initializer_range = 0.02;
  /// Epsilon of every LayerNorm.
  double layer_norm_eps = 1e-12;

  /// Heads that prune_heads() removed, for each layer by the numbers they had at first; a new model
  /// is made without them. Left out of the JSON if empty.
  std::map<int64_t, std::vector<int64_t>> pruned_heads;

  /// Keys without a field here, with their values as JSON text; to_json() writes them back.
  std::map<std::string, std::string> unknown_keys;

  /// Throws FormatError when `text` is not a JSON object or a field has the wrong type.
  static BertConfig from_json(const std::string& text);
  /// Throws FileError when the file cannot be opened, and FormatError as from_json() does.
  static BertConfig from_json_file(const std::string& path);
  /// Two-space indent, sorted keys, final newline.
  std::string to_json() const;

  /// Throws ValueError naming the field if a size is below 1, a probability outside of [0, 1],
  /// `initializer_range` below 0, or `layer_norm_eps` not above 0.
  void check() const;
};

} // namespace ptbert
