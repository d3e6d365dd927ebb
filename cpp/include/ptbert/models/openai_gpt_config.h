#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ptbert {

/// Configuration of an OpenAI GPT model. Fields are named like their keys in config.json; a field
/// whose key is missing from the file keeps its default.
struct OpenAIGPTConfig {
  /// Number of tokens in the vocabulary, without special tokens added for fine-tuning.
  int64_t vocab_size = 40478;
  /// Number of special tokens added for fine-tuning.
  int64_t n_special = 0;
  /// Longest sequence, in tokens: rows of the position embeddings.
  int64_t n_positions = 512;
  /// Size of the causal mask; that of n_positions if a file lacks the key.
  int64_t n_ctx = 512;
  /// Width of the hidden states.
  int64_t n_embd = 768;
  /// Number of blocks.
  int64_t n_layer = 12;
  /// Number of attention heads per block; must divide n_embd.
  int64_t n_head = 12;
  /// Activation of the feed-forward layer: "gelu" (by tanh), "relu" or "swish".
  std::string afn = "gelu";
  /// Dropout probability of the output of each sub-layer.
  double resid_pdrop = 0.1;
  /// Dropout probability of the embeddings.
  double embd_pdrop = 0.1;
  /// Dropout probability of the attention weights.
  double attn_pdrop = 0.1;
  /// Epsilon of every LayerNorm.
  double layer_norm_epsilon = 1e-5;
  /// Standard deviation of the initial embeddings.
  double initializer_range = 0.02;
  /// Whether the language-model head scores special tokens, too.
  bool predict_special_tokens = true;

  /// Heads that prune_heads() removed, for each layer by the numbers they had at first; a new model
  /// is made without them. Left out of the JSON if empty.
  std::map<int64_t, std::vector<int64_t>> pruned_heads;

  /// Keys without a field here, with their values as JSON text; to_json() writes them back.
  std::map<std::string, std::string> unknown_keys;

  /// Throws FormatError when `text` is not a JSON object or a field has the wrong type.
  static OpenAIGPTConfig from_json(const std::string& text);
  /// Throws FileError when the file cannot be opened, and FormatError as from_json() does.
  static OpenAIGPTConfig from_json_file(const std::string& path);
  /// Two-space indent, sorted keys, final newline.
  std::string to_json() const;

  /// Rows of the token embeddings: vocab_size + n_special.
  int64_t total_tokens_embeddings() const { return vocab_size + n_special; }

  /// Keys that the library of 2019 does not know and this one looks at.
  static std::vector<std::string> options();

  /// Throws ValueError naming the field if a size is below 1, a probability outside of [0, 1],
  /// `initializer_range` below 0, `layer_norm_epsilon` not above 0, or if the file asks for
  /// arithmetic that this library does not have: `tie_word_embeddings` false.
  void check() const;
};

} // namespace ptbert
