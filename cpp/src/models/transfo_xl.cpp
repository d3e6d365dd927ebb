#include "ptbert/models/transfo_xl.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "checks.h"

namespace ptbert {

PositionalEmbeddingImpl::PositionalEmbeddingImpl(int64_t demb) : demb(demb) {
  TORCH_CHECK_VALUE(demb >= 2 && demb % 2 == 0, "`demb` must be even and at least 2, but is ", demb,
                    ".");
  const auto options = torch::dtype(torch::kFloat).device(DefaultDevice::current());
  const auto exponents = torch::arange(0, demb, 2, options) / static_cast<double>(demb);
  own_buffer("inv_freq", inv_freq, 1 / torch::pow(10000.0, exponents));
}

Tensor PositionalEmbeddingImpl::forward(const Tensor& pos_seq, const std::optional<int64_t>& bsz) {
  const auto angles = torch::outer(pos_seq, inv_freq);                // -> [len, demb / 2]
  const auto waves = torch::cat({angles.sin(), angles.cos()}, -1);    // -> [len, demb]
  const auto embeddings = waves.unsqueeze(1);                         // -> [len, 1, demb]
  return bsz ? embeddings.expand_symint({-1, *bsz, -1}) : embeddings; // -> [len, 1 or bsz, demb]
}

AdaptiveEmbeddingImpl::AdaptiveEmbeddingImpl(int64_t n_token, int64_t d_embed, int64_t d_proj,
                                             const std::vector<int64_t>& cutoffs, int64_t div_val)
    : n_token(n_token), d_embed(d_embed), d_proj(d_proj), div_val(div_val) {
  check_count("n_token", n_token);
  check_count("d_embed", d_embed);
  check_count("d_proj", d_proj);
  check_count("div_val", div_val);
  cutoff_ends.push_back(0);
  for (const auto cutoff : cutoffs) {
    TORCH_CHECK_VALUE(cutoff > cutoff_ends.back() && cutoff < n_token,
                      "`cutoffs` must grow and lie between 0 and `n_token` (", n_token,
                      "), but hold ", cutoff, ".");
    cutoff_ends.push_back(cutoff);
  }
  cutoff_ends.push_back(n_token);

  std::vector<std::pair<int64_t, int64_t>> shapes; // rows and width of each table
  if (div_val == 1)
    shapes.emplace_back(n_token, d_embed);
  for (size_t i = 0; div_val != 1 && i + 1 < cutoff_ends.size(); ++i) {
    const auto width = i == 0 ? d_embed : shapes.back().second / div_val;
    TORCH_CHECK_VALUE(width >= 1, "`d_embed` (", d_embed, ") must be at least `div_val` (", div_val,
                      ") to the power of ", i, ", for the last cluster.");
    shapes.emplace_back(cutoff_ends[i + 1] - cutoff_ends[i], width);
  }
  emb_layers = register_module(
      "emb_layers", ModuleList<Embedding>(shapes.size(), [shapes](const auto& before) {
        const auto [rows, width] = shapes[std::min(before.size(), shapes.size() - 1)];
        return Embedding(rows, width);
      }));
  std::vector<Tensor> projections;
  for (size_t i = 0; (div_val != 1 || d_proj != d_embed) && i < shapes.size(); ++i) {
    // Zeros draw no random numbers; as in the 2019 library the model initialises them later.
    const auto options = torch::dtype(torch::kFloat).device(DefaultDevice::current());
    projections.push_back(torch::zeros({d_proj, shapes[i].second}, options).requires_grad_());
  }
  emb_projs = register_module("emb_projs", ParameterList(projections));
}

Tensor AdaptiveEmbeddingImpl::forward(const Tensor& inp) {
  check_ids_dtype("inp", inp);
  check_range("inp", inp, cutoff_ends.back());
  const auto scale = std::sqrt(static_cast<double>(d_proj));
  auto& tables = emb_layers->items;
  TORCH_CHECK_VALUE(tables.size() == (div_val == 1 ? 1 : cutoff_ends.size() - 1),
                    "`emb_layers` must have a table for each of ", cutoff_ends.size() - 1,
                    " clusters, or one for all where `div_val` is 1, but has ", tables.size(), ".");
  const auto project = [this](const Tensor& vectors, size_t i) { // [*, width] -> [*, d_proj]
    return i < emb_projs->size() && (*emb_projs)[i].defined()
               ? torch::linear(vectors, (*emb_projs)[i])
               : vectors;
  };
  if (div_val == 1)
    return project(tables.front()(inp), 0) * scale; // [*] -> [*, d_proj]

  const auto ids = inp.reshape({-1}); // [*] -> [tokens]
  Tensor embedded;                    // [tokens, d_proj]
  for (size_t i = 0; i < tables.size(); ++i) {
    const auto in_cluster = ids.ge(cutoff_ends[i]).logical_and(ids.lt(cutoff_ends[i + 1]));
    const auto positions = in_cluster.nonzero().squeeze(1); // [tokens of the cluster]
    if (positions.numel() == 0 && (embedded.defined() || i + 1 < tables.size()))
      continue;
    const auto vectors = project(tables[i](ids.index_select(0, positions) - cutoff_ends[i]), i);
    if (!embedded.defined())
      embedded = torch::zeros({ids.size(0), d_proj}, vectors.options().requires_grad(false));
    embedded = embedded.index_copy(0, positions, vectors);
  }
  auto shape = inp.sizes().vec();
  shape.push_back(d_proj);
  return embedded.view(shape) * scale; // [tokens, d_proj] -> [*, d_proj]
}

} // namespace ptbert
