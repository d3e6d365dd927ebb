#include "ptbert/models/adaptive_softmax.h"

#include <algorithm>

#include "checks.h"
#include "clusters.h"
#include "ptbert/speed/linear_products.h"
#include "speed/readable_values.h"

namespace ptbert {

ProjectedAdaptiveLogSoftmaxImpl::ProjectedAdaptiveLogSoftmaxImpl(
    int64_t n_token, int64_t d_embed, int64_t d_proj, const std::vector<int64_t>& cutoffs,
    int64_t div_val)
    : n_token(n_token), d_embed(d_embed), d_proj(d_proj), div_val(div_val) {
  check_count("d_proj", d_proj);
  const Clusters clusters(n_token, d_embed, cutoffs, div_val);
  cutoff_ends = clusters.ends;
  const auto tables = clusters.tables;
  if (const auto tails = static_cast<int64_t>(cutoffs.size()); tails > 0) {
    const auto options = torch::device(DefaultDevice::current());
    own_parameter("cluster_weight", cluster_weight, torch::zeros({tails, d_embed}, options));
    own_parameter("cluster_bias", cluster_bias, torch::zeros({tails}, options));
  }
  out_layers =
      register_module("out_layers", ModuleList<Linear>(tables.size(), [tables](const auto& before) {
                        const auto [rows, width] =
                            tables[std::min(before.size(), tables.size() - 1)];
                        return Linear(width, rows);
                      }));
  std::vector<Tensor> projections(clusters.count());
  for (size_t i = 0; (div_val != 1 || d_proj != d_embed) && i < projections.size(); ++i)
    projections[i] = new_projection(d_proj, tables[div_val == 1 ? 0 : i].width);
  out_projs = register_module("out_projs", ParameterList(projections));
}

Tensor ProjectedAdaptiveLogSoftmaxImpl::projected(size_t cluster, const Tensor& hidden) const {
  if (cluster >= out_projs->size() || !(*out_projs)[cluster].defined())
    return hidden;
  return linear_product(hidden, (*out_projs)[cluster].t(), {}); // -> [count, width]
}

Tensor ProjectedAdaptiveLogSoftmaxImpl::token_scores(size_t cluster, const Tensor& x) {
  if (div_val != 1)
    return out_layers->items.at(cluster)(x);
  auto& layer = out_layers->items.front();
  const auto first = cutoff_ends[cluster], end = cutoff_ends[cluster + 1];
  if (layer->overridden())
    return layer(x).slice(1, first, end);
  return linear_product(x, layer->weight.slice(0, first, end), layer->bias.slice(0, first, end));
}

ProjectedAdaptiveLogSoftmaxImpl::Head
ProjectedAdaptiveLogSoftmaxImpl::head_scores(const Tensor& hidden) {
  const auto count = cutoff_ends.size() - 1;
  TORCH_CHECK_VALUE(out_layers->items.size() == (div_val == 1 ? 1 : count),
                    "`out_layers` must have a layer for each of ", count,
                    " clusters, or one for all where `div_val` is 1, but has ",
                    out_layers->items.size(), ".");
  const auto x = projected(0, hidden);
  Head head;
  head.tokens = token_scores(0, x);
  head.norm = head.tokens.logsumexp(1);
  if (!cluster_weight.defined())
    return head;
  head.clusters = linear_product(x, cluster_weight, cluster_bias);
  head.norm = torch::logaddexp(head.norm, head.clusters.logsumexp(1));
  return head;
}

Tensor ProjectedAdaptiveLogSoftmaxImpl::forward(const Tensor& hidden, const Tensor& target) {
  if (!target.defined())
    return log_prob(hidden);
  const auto ids = target.reshape({-1}); // [*] -> [count]
  check_ids_dtype("target", target);
  TORCH_CHECK(hidden.dim() == 2 && hidden.sym_size(0) == ids.sym_size(0),
              "`target` must have an id for each row of `hidden`, of shape ", hidden.sym_sizes(),
              ", but has ", ids.sym_size(0), ".");
  check_range("target", ids, n_token);
  const auto [tokens, clusters, norm] = head_scores(hidden);
  const auto last = cutoff_ends[1] - 1;
  auto own = tokens.gather(1, ids.clamp_max(last).unsqueeze(1)).squeeze(1); // -> [count]
  if (!clusters.defined())
    return norm - own;
  auto cluster_of = torch::zeros_like(ids);
  for (size_t i = 1; i + 1 < cutoff_ends.size(); ++i)
    cluster_of = cluster_of + ids.ge(cutoff_ends[i]);
  const auto column = (cluster_of - 1).clamp_min(0).unsqueeze(1); // -> [count, 1]
  const auto of_cluster = clusters.gather(1, column).squeeze(1);  // -> [count]
  auto losses = norm - torch::where(cluster_of.eq(0), own, of_cluster);
  for (size_t i = 1; i + 1 < cutoff_ends.size(); ++i) {
    const auto in_cluster = cluster_of.eq(static_cast<int64_t>(i));
    const auto first = cutoff_ends[i], end = cutoff_ends[i + 1];
    const auto tail = [&](const Tensor& states, const Tensor& targets) { // -> [targets]
      return torch::cross_entropy_loss(token_scores(i, projected(i, states)), targets - first, {},
                                       at::Reduction::None);
    };
    if (!has_values(ids)) { // tokens of other clusters have some loss here, times 0
      losses = losses + tail(hidden, ids.clamp(first, end - 1)) * in_cluster;
      continue;
    }
    const auto positions = in_cluster.nonzero().squeeze(1); // -> [targets]
    if (positions.size(0) == 0)
      continue;
    const auto added = tail(hidden.index_select(0, positions), ids.index_select(0, positions));
    losses = losses.index_add(0, positions, added.to(losses.scalar_type()));
  }
  return losses;
}

Tensor ProjectedAdaptiveLogSoftmaxImpl::log_prob(const Tensor& hidden) {
  TORCH_CHECK_VALUE(hidden.dim() == 2, "`hidden` must be of shape [count, ", d_proj,
                    "], but is of shape ", hidden.sym_sizes(), ".");
  const auto [tokens, clusters, norm] = head_scores(hidden);
  if (!clusters.defined())
    return tokens - norm.unsqueeze(1); // [count, tokens] - [count, 1]
  const bool in_place = has_readable_values(tokens) && !torch::GradMode::is_enabled();
  auto all = in_place ? torch::empty({hidden.size(0), n_token}, tokens.options()) : Tensor();
  std::vector<Tensor> parts;
  const auto subtract = [&](size_t i, const Tensor& scores, const Tensor& shift) {
    if (in_place) {
      auto part = all.slice(1, cutoff_ends[i], cutoff_ends[i + 1]);
      torch::sub_out(part, scores, shift);
    } else {
      parts.push_back(scores - shift);
    }
  };
  subtract(0, tokens, norm.unsqueeze(1));
  for (size_t i = 1; i + 1 < cutoff_ends.size(); ++i) {
    const auto scores = token_scores(i, projected(i, hidden));
    const auto of_cluster = clusters.narrow(1, static_cast<int64_t>(i) - 1, 1); // -> [count, 1]
    subtract(i, scores, scores.logsumexp(1, /*keepdim=*/true) + norm.unsqueeze(1) - of_cluster);
  }
  return in_place ? all : torch::cat(parts, 1);
}

LogUniformSampler::LogUniformSampler(int64_t range_max, int64_t n_sample)
    : range_max(range_max), n_sample(n_sample) {
  check_count("range_max", range_max);
  check_count("n_sample", n_sample);
  const torch::NoGradGuard no_grad;
  const auto logs = torch::arange(1, range_max + 2, torch::kFloat).log(); // [range_max + 1]
  dist = logs.diff() / logs[range_max];
  // As written in 2019: the expected count of an id with log1p(p) in the place of -log1p(-p).
  log_q =
      (-dist.to(torch::kDouble).log1p() * (2.0 * n_sample)).expm1().neg().log().to(torch::kFloat);
}

LogUniformSampler::Sample LogUniformSampler::sample(const Tensor& labels) const {
  const torch::NoGradGuard no_grad;
  const auto draws = torch::multinomial(dist, 2 * n_sample, /*replacement=*/true);
  const auto samples = std::get<0>(torch::_unique(draws)).to(labels.device());
  const auto logs = log_q.to(labels.device());
  return {.true_log_probs = logs.index({labels}),
          .samp_log_probs = logs.index({samples}),
          .neg_samples = samples};
}

Tensor sample_logits(const Tensor& vectors, const Tensor& bias, const Tensor& labels,
                     const Tensor& inputs, const LogUniformSampler::Sample& sample) {
  const auto count = labels.numel();
  const auto true_vectors = vectors.narrow(0, 0, count).view_as(inputs);
  const auto sampled = vectors.narrow(0, count, sample.neg_samples.size(0));
  const auto true_scores =
      (true_vectors * inputs).sum(-1) + bias.index({labels}) - sample.true_log_probs;
  const auto scores = linear_product(inputs, sampled, bias.index({sample.neg_samples})) -
                      sample.samp_log_probs;                     // -> [batch, seq, samples]
  const auto hits = labels.unsqueeze(-1).eq(sample.neg_samples); // -> [batch, seq, samples]
  return torch::cat({true_scores.unsqueeze(-1), scores.masked_fill(hits, -1e30)}, -1);
}

} // namespace ptbert
