#pragma once

#include <optional>
#include <vector>

#include "ptbert/models/layers.h"

/// Parts of Transformer-XL. Dai et al., 2019 (arXiv 1901.02860).
///
/// Shapes: len = positions or tokens, batch = sequences.

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

} // namespace ptbert
