#pragma once

#include <torch/torch.h>

#include <vector>

namespace ptbert {

using torch::Tensor;

/// How evenly each head spreads its attention, and how much the loss depends on it, as means over
/// the tokens of any number of batches. Michel et al., 2019 (arXiv 1905.10650).
///
/// Shapes: layers = layers of the model, [batch, heads, query, key] the attention weights of one,
/// [batch, heads, seq, head_size] the outputs of its heads before they are merged
/// (`multihead_output`). `attention_mask` [batch, seq], or [examples, choices, seq] of as many
/// rows, is 1 for a token and 0 for padding, which does not count; undefined counts all. Throws
/// IndexError for a layer that is not there and ValueError for shapes that do not fit; what was
/// added before stays as it was.
class HeadStatistics {
public:
  explicit HeadStatistics(int64_t layers);

  /// Adds the entropies of the attention weights of `layer`.
  void add_attentions(int64_t layer, const Tensor& attentions, const Tensor& attention_mask = {});
  /// Adds |output . gradient| of every token, for `gradients`, of the shape of `outputs`, of the
  /// sum of the examples' losses: each example then counts the same in batches of any size.
  void add_outputs(int64_t layer, const Tensor& outputs, const Tensor& gradients,
                   const Tensor& attention_mask = {});

  /// Mean entropy in nats, [layers, heads], float64. Throws ValueError if a layer has none, or
  /// layers differ in their numbers of heads.
  Tensor entropy() const;
  /// Mean importance, [layers, heads], float64. `normalize_by_layer` divides each layer's by their
  /// L2 norm; `normalize_globally` then maps the least to 0 and the greatest to 1. Throws
  /// ValueError as entropy() does.
  Tensor importance(bool normalize_by_layer = true, bool normalize_globally = true) const;

private:
  struct Mean {
    Tensor sum; // [heads]
    double tokens = 0;
  };
  static void add(std::vector<Mean>& means, int64_t layer, const Tensor& values,
                  const Tensor& attention_mask);
  static Tensor stack(const std::vector<Mean>& means);

  std::vector<Mean> entropy_, importance_;
};

} // namespace ptbert
