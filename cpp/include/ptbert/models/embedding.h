#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "ptbert/models/bert.h"

/// Texts as vectors, for search and comparison.
namespace ptbert {

using torch::Tensor;

/// How the hidden states of a text's tokens become one vector.
enum class Pooling {
  kFirst, ///< that of the first token, BERT's [CLS]
  kMean,  ///< the mean of all tokens
  kMax,   ///< the largest of all tokens, number by number
};

/// `hidden_states` [batch, seq, hidden] of texts that are padded on the right; `attention_mask`
/// [batch, seq], 1 for a token and 0 for padding -> [batch, hidden]. Throws ValueError if shapes do
/// not fit or a text has no token.
Tensor pool_tokens(const Tensor& hidden_states, const Tensor& attention_mask, Pooling pooling);

/// [*, hidden] -> the same directions with a length of 1; a vector of zeros stays one.
Tensor to_unit_length(const Tensor& vectors);

struct EmbedOptions {
  Pooling pooling = Pooling::kMean;
  /// Whether embeddings have a length of 1, so that a product of two is their cosine.
  bool normalize = true;
  int64_t batch_size = 32;
};

/// The embeddings of texts, [texts, hidden], in the order of `input_ids`: the token ids of each,
/// with [CLS] and [SEP]. Texts of like lengths share a batch, and no padding is computed. The model
/// should be in evaluation mode. Throws ValueError if a text has no token or the batch size is less
/// than 1.
Tensor embed(BertModel& model, const std::vector<std::vector<int64_t>>& input_ids,
             const EmbedOptions& options = {});

} // namespace ptbert
