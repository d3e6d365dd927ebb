#include "clusters.h"

#include "checks.h"

namespace ptbert {

Clusters::Clusters(int64_t n_token, int64_t d_embed, const std::vector<int64_t>& cutoffs,
                   int64_t div_val)
    : ends{0} {
  check_count("n_token", n_token);
  check_count("d_embed", d_embed);
  check_count("div_val", div_val);
  check_cutoffs(cutoffs, n_token);
  ends.insert(ends.end(), cutoffs.begin(), cutoffs.end());
  ends.push_back(n_token);
  if (div_val == 1) {
    tables.push_back({n_token, d_embed});
    return;
  }
  auto width = d_embed;
  for (size_t i = 0; i < count(); ++i, width /= div_val) {
    TORCH_CHECK_VALUE(width >= 1, "`d_embed` (", d_embed, ") must be at least `div_val` (", div_val,
                      ") to the power of ", i, ", for the last cluster.");
    tables.push_back({ends[i + 1] - ends[i], width});
  }
}

Tensor new_projection(int64_t d_proj, int64_t width) {
  const auto options = torch::dtype(torch::kFloat).device(DefaultDevice::current());
  return torch::zeros({d_proj, width}, options).requires_grad_();
}

} // namespace ptbert
