#include "ptbert/analysis/head_statistics.h"

#include <algorithm>

namespace ptbert {

HeadStatistics::HeadStatistics(int64_t layers) : entropy_(layers), importance_(layers) {
  TORCH_CHECK_VALUE(layers > 0, "`layers` must be at least 1, but is ", layers, ".");
}

void HeadStatistics::add_attentions(int64_t layer, const Tensor& attentions,
                                    const Tensor& attention_mask) {
  TORCH_CHECK_VALUE(attentions.dim() == 4,
                    "`attentions` must be of shape [batch, heads, query, key], but are of shape ",
                    attentions.sizes(), ".");
  // [batch, heads, query, key] -> [batch, heads, query]
  add(entropy_, layer, torch::special::entr(attentions.detach()).sum(-1), attention_mask);
}

void HeadStatistics::add_outputs(int64_t layer, const Tensor& outputs, const Tensor& gradients,
                                 const Tensor& attention_mask) {
  TORCH_CHECK_VALUE(outputs.dim() == 4,
                    "`outputs` must be of shape [batch, heads, seq, head_size], but are of shape ",
                    outputs.sizes(), ".");
  TORCH_CHECK_VALUE(gradients.sizes() == outputs.sizes(), "`gradients` must be of the shape ",
                    outputs.sizes(), " of `outputs`, but are of shape ", gradients.sizes(), ".");
  // [batch, heads, seq, head_size] -> [batch, heads, seq]
  add(importance_, layer, (outputs.detach() * gradients.detach()).sum(-1).abs(), attention_mask);
}

Tensor HeadStatistics::entropy() const { return stack(entropy_); }

Tensor HeadStatistics::importance(bool normalize_by_layer, bool normalize_globally) const {
  auto importance = stack(importance_);
  if (normalize_by_layer) // the constant of the 2019 script
    importance = importance / (importance.norm(2, -1, /*keepdim=*/true) + 1e-20);
  if (normalize_globally) {
    const auto least = importance.min(), range = importance.max() - least;
    // Equal importances stay equal, rather than NaN.
    importance = (importance - least) / torch::where(range > 0, range, torch::ones_like(range));
  }
  return importance;
}

void HeadStatistics::add(std::vector<Mean>& means, int64_t layer, const Tensor& values,
                         const Tensor& attention_mask) {
  TORCH_CHECK_INDEX(layer >= 0 && layer < static_cast<int64_t>(means.size()),
                    "`layer` must be in [0, ", means.size(), "), but is ", layer, ".");
  const auto batch = values.size(0), seq = values.size(2);
  auto tokens = static_cast<double>(batch * seq);
  auto counted = values.to(torch::kDouble); // [batch, heads, seq]
  if (attention_mask.defined()) {
    // [examples, choices, seq] -> [batch, seq]
    const auto mask = attention_mask.dim() > 2 ? attention_mask.flatten(0, -2) : attention_mask;
    TORCH_CHECK_VALUE(mask.sizes() == torch::IntArrayRef({batch, seq}),
                      "`attention_mask` must have ", seq, " numbers for each of the ", batch,
                      " texts that the model reads, but is of shape ", attention_mask.sizes(), ".");
    const auto is_token = mask.to(values.device()).ne(0); // [batch, seq]
    // Not a product: padding may be infinite or NaN. [batch, seq] -> [batch, 1, seq]
    counted = counted.masked_fill(is_token.logical_not().unsqueeze(1), 0);
    tokens = is_token.sum().item<double>();
  }
  const auto sum = counted.sum(torch::IntArrayRef{0, 2}).cpu(); // -> [heads]
  auto& mean = means[layer];
  TORCH_CHECK_VALUE(!mean.sum.defined() || mean.sum.sizes() == sum.sizes(),
                    "A layer must have the same number of heads in all batches, but has ",
                    sum.size(0), " after ", mean.sum.defined() ? mean.sum.size(0) : 0, ".");
  mean.sum = mean.sum.defined() ? mean.sum + sum : sum;
  mean.tokens += tokens;
}

Tensor HeadStatistics::stack(const std::vector<Mean>& means) {
  std::vector<Tensor> layers;
  std::vector<int64_t> counts;
  for (const auto& mean : means) {
    TORCH_CHECK_VALUE(mean.tokens > 0, "Batches must hold at least one token, but hold none.");
    layers.push_back(mean.sum / mean.tokens);
    counts.push_back(mean.sum.size(0));
  }
  TORCH_CHECK_VALUE(std::all_of(counts.begin(), counts.end(),
                                [&counts](int64_t count) { return count == counts.front(); }),
                    "All layers must have the same number of heads, but have ",
                    torch::IntArrayRef(counts),
                    "; measure before heads are pruned, with a `head_mask`.");
  return torch::stack(layers); // -> [layers, heads]
}

} // namespace ptbert
