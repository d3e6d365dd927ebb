#include "ptbert/analysis/head_statistics.h"

namespace ptbert {

HeadStatistics::HeadStatistics(int64_t layers) : entropy_(layers), importance_(layers) {}

void HeadStatistics::add_attentions(int64_t layer, const Tensor& attentions,
                                    const Tensor& attention_mask) {
  TORCH_CHECK_VALUE(attentions.dim() == 4,
                    "`attentions` must be of shape [batch, heads, query, key], but are of shape ",
                    attentions.sizes(), ".");
  // [batch, heads, query, key] -> [batch, heads, query]
  add(entropy_.at(layer), torch::special::entr(attentions.detach()).sum(-1), attention_mask);
}

void HeadStatistics::add_outputs(int64_t layer, const Tensor& outputs, const Tensor& gradients,
                                 const Tensor& attention_mask) {
  TORCH_CHECK_VALUE(outputs.dim() == 4,
                    "`outputs` must be of shape [batch, heads, seq, head_size], but are of shape ",
                    outputs.sizes(), ".");
  TORCH_CHECK_VALUE(gradients.sizes() == outputs.sizes(), "`gradients` must be of the shape ",
                    outputs.sizes(), " of `outputs`, but are of shape ", gradients.sizes(), ".");
  // [batch, heads, seq, head_size] -> [batch, heads, seq]
  add(importance_.at(layer), (outputs.detach() * gradients.detach()).sum(-1).abs(), attention_mask);
}

Tensor HeadStatistics::entropy() const { return stack(entropy_, "attention weights"); }

Tensor HeadStatistics::importance(bool normalize_by_layer, bool normalize_globally) const {
  auto importance = stack(importance_, "outputs of heads");
  if (normalize_by_layer) // the constant of the 2019 script
    importance = importance / (importance.norm(2, -1, /*keepdim=*/true) + 1e-20);
  if (normalize_globally) {
    const auto least = importance.min(), range = importance.max() - least;
    // Equal importances stay equal, rather than NaN.
    importance = (importance - least) / torch::where(range > 0, range, torch::ones_like(range));
  }
  return importance;
}

void HeadStatistics::add(Mean& mean, const Tensor& values, const Tensor& attention_mask) {
  const auto batch = values.size(0), seq = values.size(2);
  auto counted = values.to(torch::kDouble); // [batch, heads, seq]
  if (attention_mask.defined()) {
    TORCH_CHECK_VALUE(attention_mask.sizes() == torch::IntArrayRef({batch, seq}),
                      "`attention_mask` must be of shape [", batch, ", ", seq,
                      "], but is of shape ", attention_mask.sizes(), ".");
    const auto is_token = attention_mask.to(values.device()).ne(0); // [batch, seq]
    // Not a product: padding may be infinite or NaN. [batch, seq] -> [batch, 1, seq]
    counted = counted.masked_fill(is_token.logical_not().unsqueeze(1), 0);
    mean.tokens += is_token.sum().item<double>();
  } else {
    mean.tokens += static_cast<double>(batch * seq);
  }
  const auto sum = counted.sum(torch::IntArrayRef{0, 2}).cpu(); // -> [heads]
  TORCH_CHECK_VALUE(!mean.sum.defined() || mean.sum.sizes() == sum.sizes(),
                    "A layer must have the same number of heads in all batches, but has ",
                    sum.size(0), " after ", mean.sum.defined() ? mean.sum.size(0) : 0, ".");
  mean.sum = mean.sum.defined() ? mean.sum + sum : sum;
}

Tensor HeadStatistics::stack(const std::vector<Mean>& means, const char* what) {
  std::vector<Tensor> layers;
  for (size_t i = 0; i < means.size(); ++i) {
    TORCH_CHECK_VALUE(means[i].tokens > 0, "There must be ", what, " of tokens of layer ", i,
                      ", but there are none.");
    layers.push_back(means[i].sum / means[i].tokens);
    TORCH_CHECK_VALUE(layers[i].sizes() == layers[0].sizes(),
                      "Layers must have the same number of heads, but layer ", i, " has ",
                      layers[i].size(0), " and layer 0 has ", layers[0].size(0),
                      "; measure before heads are pruned, with a head mask.");
  }
  return torch::stack(layers); // -> [layers, heads]
}

} // namespace ptbert
