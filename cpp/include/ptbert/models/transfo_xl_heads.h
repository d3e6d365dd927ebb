#pragma once

#include <optional>
#include <vector>

#include "ptbert/models/adaptive_softmax.h"
#include "ptbert/models/transfo_xl.h"

namespace ptbert {

struct TransfoXLLMOutput {
  /// Log-probabilities [batch, seq, n_token], or with `target` its negative log-likelihoods [batch,
  /// seq].
  Tensor softmax_output;
  /// As of TransfoXLModel.
  std::vector<Tensor> new_mems;
};

/// Transformer-XL with a language-model head: an adaptive softmax, or with `sample_softmax` above 0
/// a softmax that is sampled in training.
class TransfoXLLMHeadModelImpl
    : public Module<TransfoXLLMHeadModelImpl,
                    TransfoXLLMOutput(const Tensor&, const Tensor&, const std::vector<Tensor>&)> {
public:
  explicit TransfoXLLMHeadModelImpl(const TransfoXLConfig& config);
  /// `input_ids` and `mems` as of TransfoXLModel; `target` of the shape of `input_ids`, the ids
  /// that are predicted there (the inputs of the next position; nothing is shifted here). Throws
  /// ValueError, TypeError or IndexError whose message names the invalid argument.
  TransfoXLLMOutput forward(const Tensor& input_ids, const Tensor& target = {},
                            const std::vector<Tensor>& mems = {});
  /// Makes the output use the weights and projections of the embeddings that `tie_weight` and
  /// `tie_projs` name.
  void tie_weights();

  TransfoXLConfig config;
  TransfoXLModel transformer{nullptr};
  /// One of these two, by `sample_softmax`.
  ProjectedAdaptiveLogSoftmax crit{nullptr};
  Linear out_layer{nullptr};
  std::optional<LogUniformSampler> sampler;

private:
  Tensor sampled_losses(const Tensor& hidden, const Tensor& target);
};
PTBERT_MODULE(TransfoXLLMHeadModel);

} // namespace ptbert
