#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ptbert {

/// Configuration of a Transformer-XL model. Fields are named like their keys in config.json; a
/// field whose key is missing from the file keeps its default.
struct TransfoXLConfig {
  /// Number of tokens in the vocabulary, the most frequent first.
  int64_t n_token = 267735;
  /// The first id of every cluster of the vocabulary but the first.
  std::vector<int64_t> cutoffs = {20000, 40000, 200000};
  /// Width of the hidden states; even.
  int64_t d_model = 1024;
  /// Width of the embeddings of the first cluster.
  int64_t d_embed = 1024;
  /// Number of attention heads per layer.
  int64_t n_head = 16;
  /// Width of a head.
  int64_t d_head = 64;
  /// Width of the feed-forward layer.
  int64_t d_inner = 4096;
  /// The embeddings of each cluster are narrower than those of the one before by this factor; 1
  /// means one table for all.
  int64_t div_val = 4;
  /// Whether LayerNorms come before attention and feed-forward layer instead of after them.
  bool pre_lnorm = false;
  /// Number of layers.
  int64_t n_layer = 18;
  /// Tokens of a segment in training; with the two lengths below it bounds the learned positions of
  /// attn_type 1 and 3.
  int64_t tgt_len = 128;
  /// Tokens at the end of a segment that are computed again in the next, so that memory ends before
  /// them.
  int64_t ext_len = 0;
  /// Tokens that memory holds.
  int64_t mem_len = 1600;
  /// Distances beyond this one count as this one; 0 or less for no limit.
  int64_t clamp_len = 1000;
  /// Whether every token attends to equally many.
  bool same_length = true;
  /// For each cluster whether the output uses the projection of the embeddings; a cluster beyond
  /// the end of the list has a projection of its own.
  std::vector<bool> tie_projs = {false, true, true, true};
  /// 0: relative positions (Dai et al.), 1: learned relative positions (Shaw et al.), 2: absolute
  /// positions (Vaswani et al.), 3: learned absolute positions in every layer (Al-Rfou et al.).
  int64_t attn_type = 0;
  /// Above 0: train with a sampled softmax of about twice as many samples.
  int64_t sample_softmax = -1;
  /// Kept for files; the softmax is adaptive as soon as there are cutoffs.
  bool adaptive = true;
  /// Whether the output uses the embeddings' weights.
  bool tie_weight = true;
  /// Dropout probability of embeddings and of the outputs of every sub-layer.
  double dropout = 0.1;
  /// Dropout probability of the attention weights.
  double dropatt = 0.0;
  /// Whether every layer has its own r_w_bias and r_r_bias.
  bool untie_r = true;
  /// How weights start: "normal" or "uniform".
  std::string init = "normal";
  /// With init "uniform" they start in [-init_range, init_range].
  double init_range = 0.01;
  /// Standard deviation of the initial projections of embeddings and output.
  double proj_init_std = 0.01;
  /// Standard deviation of other initial weights.
  double init_std = 0.02;
  /// Epsilon of every LayerNorm. Files of 2019 have no such key, those of later libraries may.
  double layer_norm_epsilon = 1e-12;

  /// Keys without a field here, with their values as JSON text; to_json() writes them back.
  std::map<std::string, std::string> unknown_keys;

  /// Files of later libraries may have `vocab_size` for `n_token` and `proj_share_all_but_first`
  /// for `tie_projs`. Throws FormatError when `text` is not a JSON object or a field has the wrong
  /// type.
  static TransfoXLConfig from_json(const std::string& text);
  /// Throws FileError when the file cannot be opened, and FormatError as from_json() does.
  static TransfoXLConfig from_json_file(const std::string& path);
  /// Two-space indent, sorted keys, final newline.
  std::string to_json() const;

  /// Longest context in tokens that attn_type 1 and 3 have learned positions for.
  int64_t max_klen() const { return tgt_len + ext_len + mem_len; }

  /// Throws ValueError when a model of this configuration cannot be built.
  void check() const;
};

} // namespace ptbert
