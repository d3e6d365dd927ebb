#pragma once

#include <map>
#include <optional>
#include <string>

#include "ptbert/models/module.h"

namespace ptbert {

/// x * Phi(x), with the exact (erf) distribution function of the normal distribution. Hendrycks and
/// Gimpel, 2016 (arXiv 1606.08415).
Tensor gelu(const Tensor& x);
/// The same with an approximation by tanh, as OpenAI's models compute it.
Tensor gelu_tanh(const Tensor& x);
/// x * sigmoid(x). Ramachandran et al., 2017 (arXiv 1710.05941).
Tensor swish(const Tensor& x);
/// The activation functions by name: "gelu", "gelu_tanh", "relu", "swish".
const std::map<std::string, Activation>& activations();
/// The function that a configuration names in `field`: "gelu", which is `gelu` in its family,
/// "relu" or "swish"; KeyError for any other name.
Activation activation(const std::string& name, const char* field, Tensor (*gelu)(const Tensor&));

/// y = x W^T + b; weight [out, in], bias [out].
class LinearImpl : public Module<LinearImpl, Tensor(const Tensor&)> {
public:
  LinearImpl(int64_t in_features, int64_t out_features, bool with_bias = true);
  /// [*, in] -> [*, out]
  Tensor forward(const Tensor& x);

  Tensor weight, bias;
};
PTBERT_MODULE(Linear);

/// y = x W + b, the linear layer of OpenAI's models; weight [in, out], bias [out].
class Conv1DImpl : public Module<Conv1DImpl, Tensor(const Tensor&)> {
public:
  Conv1DImpl(int64_t out_features, int64_t in_features);
  /// [*, in] -> [*, out]
  Tensor forward(const Tensor& x);

  Tensor weight, bias;
};
PTBERT_MODULE(Conv1D);

/// A table of vectors, weight [rows, width]; the row `padding_idx` gets no gradient.
class EmbeddingImpl : public Module<EmbeddingImpl, Tensor(const Tensor&)> {
public:
  EmbeddingImpl(int64_t rows, int64_t width, std::optional<int64_t> padding_idx = std::nullopt);
  /// [*] -> [*, width]
  Tensor forward(const Tensor& ids);

  Tensor weight;
  /// -1 if no row is for padding.
  int64_t padding_idx;
};
PTBERT_MODULE(Embedding);

/// Layer normalisation over the last dimension, epsilon inside the square root as in TensorFlow. Ba
/// et al., 2016 (arXiv 1607.06450).
class BertLayerNormImpl : public Module<BertLayerNormImpl, Tensor(const Tensor&)> {
public:
  explicit BertLayerNormImpl(int64_t hidden_size, double eps = 1e-12);
  /// [*, hidden] -> [*, hidden]
  Tensor forward(const Tensor& x);

  Tensor weight, bias;
  double eps;
};
PTBERT_MODULE(BertLayerNorm);

/// Zeroes elements with probability `p` in training and scales the rest by 1 / (1 - p).
class DropoutImpl : public Module<DropoutImpl, Tensor(const Tensor&)> {
public:
  explicit DropoutImpl(double p);
  Tensor forward(const Tensor& x);
  /// Whether forward() changes anything.
  bool is_dropping() const { return is_training() && p > 0; }

  double p;
};
PTBERT_MODULE(Dropout);

/// Zeroes whole features [batch, feature, *] with probability `p` in training and scales the rest
/// by 1 / (1 - p).
class Dropout2dImpl : public Module<Dropout2dImpl, Tensor(const Tensor&)> {
public:
  explicit Dropout2dImpl(double p);
  Tensor forward(const Tensor& x);

  double p;
};
PTBERT_MODULE(Dropout2d);

/// Hyperbolic tangent.
class TanhImpl : public Module<TanhImpl, Tensor(const Tensor&)> {
public:
  Tensor forward(const Tensor& x);
};
PTBERT_MODULE(Tanh);

/// max(x, 0).
class ReLUImpl : public Module<ReLUImpl, Tensor(const Tensor&)> {
public:
  Tensor forward(const Tensor& x);
};
PTBERT_MODULE(ReLU);

/// Initialises as BERT's authors do: Linear and Embedding weights from normal(0,
/// initializer_range), biases 0, LayerNorm weights 1 and biases 0, in the order of registration.
/// GPT and GPT-2 do the same. A Conv1D keeps what it was constructed with, normal(0, 0.02).
void init_bert_weights(torch::nn::Module& module, double initializer_range);

/// The weight of an embedding of `rows` rows: the first `kept` are those of `weight`, the others
/// are drawn from normal(0, standard_deviation).
Tensor resized_embedding(const Tensor& weight, int64_t kept, int64_t rows,
                         double standard_deviation);

} // namespace ptbert
