#pragma once

#include <cstdint>
#include <vector>

#include "ptbert/models/layers.h"

/// The outputs of Transformer-XL over a large vocabulary, ordered by frequency: the adaptive
/// softmax (Grave et al., 2016, arXiv 1609.04309) and the sampled softmax (Jean et al., 2014, arXiv
/// 1412.2007).
///
/// Shapes: count = tokens of all sequences, d_proj = width of the hidden states.

namespace ptbert {

/// Log-probabilities over clusters of ever rarer tokens: the head scores the first cluster's tokens
/// and the other clusters, a tail the tokens of its cluster.
class ProjectedAdaptiveLogSoftmaxImpl
    : public Module<ProjectedAdaptiveLogSoftmaxImpl, Tensor(const Tensor&, const Tensor&)> {
public:
  /// `cutoffs`: the first id of every cluster but the first; none for a plain softmax. `div_val`:
  /// each cluster's vectors are shorter than those of the one before by this factor; 1 means one
  /// table for all. Throws ValueError as AdaptiveEmbedding does.
  ProjectedAdaptiveLogSoftmaxImpl(int64_t n_token, int64_t d_embed, int64_t d_proj,
                                  const std::vector<int64_t>& cutoffs, int64_t div_val = 1);
  /// `hidden` [count, d_proj] and `target` [*] of count ids -> their negative log-likelihoods
  /// [count] in their order, computed without tails that have no target; without `target` the
  /// log-probabilities [count, n_token].
  Tensor forward(const Tensor& hidden, const Tensor& target = {});
  /// The log-probabilities [count, n_token].
  Tensor log_prob(const Tensor& hidden);

  int64_t n_token, d_embed, d_proj, div_val;
  /// 0, the cutoffs and `n_token`.
  std::vector<int64_t> cutoff_ends;
  /// Scores of the other clusters in the head, [clusters - 1, d_embed] and [clusters - 1];
  /// undefined without cutoffs.
  Tensor cluster_weight, cluster_bias;
  ModuleList<Linear> out_layers{nullptr};
  /// [d_proj, width of the cluster] for each cluster; undefined where none is needed.
  ParameterList out_projs{nullptr};

private:
  struct Head {
    /// Of the first cluster's tokens, [count, tokens], and of the other clusters, [count, clusters
    /// - 1], undefined without cutoffs.
    Tensor tokens, clusters;
    /// [count], logarithm of the sum of all exponentials.
    Tensor norm;
  };
  Head head_scores(const Tensor& hidden);
  Tensor projected(size_t cluster, const Tensor& hidden) const;
  /// Of the tokens of a cluster: `x` [count, width] -> [count, tokens]
  Tensor token_scores(size_t cluster, const Tensor& x);
};
PTBERT_MODULE(ProjectedAdaptiveLogSoftmax);

/// Draws ids, the lower ones more often: P(id) = log((id + 2) / (id + 1)) / log(range_max + 1), as
/// TensorFlow's log-uniform candidate sampler.
class LogUniformSampler {
public:
  /// Ids are in [0, range_max); `n_sample` is half the number of draws. Throws ValueError if one is
  /// below 1.
  LogUniformSampler(int64_t range_max, int64_t n_sample);

  struct Sample {
    /// Logarithms of how often an id is expected: of the labels, of their shape, and of the
    /// samples, [samples].
    Tensor true_log_probs, samp_log_probs;
    /// Different ids [samples], at most 2 * n_sample.
    Tensor neg_samples;
  };
  Sample sample(const Tensor& labels) const;

  int64_t range_max, n_sample;
  /// [range_max] each: the probability of a draw, and the logarithm of the expected count of an id.
  Tensor dist, log_q;
};

/// Scores of each label and of the samples, less the logarithm of how often they are drawn:
/// `vectors` [labels + samples, width] and `bias` [n_token] of the ids, `labels` [batch, seq],
/// `inputs` [batch, seq, width] -> [batch, seq, 1 + samples]. A sample that is the label counts as
/// -1e30.
Tensor sample_logits(const Tensor& vectors, const Tensor& bias, const Tensor& labels,
                     const Tensor& inputs, const LogUniformSampler::Sample& sample);

} // namespace ptbert
