#include "linear_cross_entropy.h"

#include <ATen/autocast_mode.h>

#include <algorithm>

#include "ptbert/speed/fast_paths.h"
#include "ptbert/speed/linear_products.h"
#include "readable_values.h"

namespace ptbert {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Rows whose scores are made at once.
constexpr int64_t kRows = 128;

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
public:
  static Tensor forward(AutogradContext* context, const Tensor& states, const Tensor& weight,
                        const Tensor& labels, bool with_gradients) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const bool for_states = with_gradients && states.requires_grad();
    const bool for_weight = with_gradients && weight.requires_grad();
    auto states_gradient = for_states ? torch::empty_like(states) : Tensor();
    auto weight_gradient = for_weight ? torch::zeros_like(weight) : Tensor();
    const auto count = states.size(0);
    double total = 0;
    for (int64_t begin = 0; begin < count; begin += kRows) {
      const auto some = std::min(kRows, count - begin);
      const auto x = states.narrow(0, begin, some);
      const auto wanted = labels.narrow(0, begin, some).unsqueeze(1); // -> [some, 1]
      auto scores = linear_product(x, weight, {});                    // -> [some, classes]
      const auto norms = scores.logsumexp(1, /*keepdim=*/true);
      total += (norms - scores.gather(1, wanted)).sum().item<double>();
      if (!for_states && !for_weight)
        continue;
      // Of the scores: probability, less one at the label.
      auto gradient = scores.sub_(norms).exp_();
      gradient.scatter_add_(1, wanted, torch::full({some, 1}, -1.0, scores.options()));
      gradient.div_(count);
      if (for_states) {
        // [some, classes] x [classes, width]
        states_gradient.narrow(0, begin, some).copy_(linear_product(gradient, weight.t(), {}));
      }
      if (for_weight)
        weight_gradient.addmm_(gradient.t(), x);
    }
    context->save_for_backward({states, weight, labels, states_gradient, weight_gradient});
    return torch::full({}, total / static_cast<double>(count), states.options());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    if (torch::GradMode::is_enabled()) { // gradients of gradients: by operations that have them
      const auto loss = torch::cross_entropy_loss(saved[0].mm(saved[1].t()), saved[2]);
      variable_list inputs;
      for (int i = 0; i < 2; ++i) {
        if (context->needs_input_grad(i))
          inputs.push_back(saved[i]);
      }
      const auto found = torch::autograd::grad({loss}, inputs, {gradients[0]}, true, true);
      variable_list result(4);
      size_t next = 0;
      for (int i = 0; i < 2; ++i) {
        if (context->needs_input_grad(i))
          result[i] = found[next++];
      }
      return result;
    }
    const auto scaled = [&](const Tensor& x) { return x.defined() ? x * gradients[0] : x; };
    return {scaled(saved[3]), scaled(saved[4]), Tensor(), Tensor()};
  }
};

} // namespace

const char* why_not_linear_cross_entropy(const Tensor& states, const Tensor& weight) {
  if (!fast_paths_enabled())
    return kSwitchedOff;
  if (at::autocast::is_autocast_enabled(at::kCPU))
    return "autocast is on";
  for (const auto* tensor : {&states, &weight}) {
    if (!has_readable_values(*tensor))
      return kUnreadable;
    if (tensor->_fw_grad(/*level=*/0).defined())
      return "forward-mode gradients";
    if (tensor->scalar_type() != torch::kFloat)
      return "not in float32";
  }
  return nullptr;
}

Tensor linear_cross_entropy(const Tensor& states, const Tensor& weight, const Tensor& labels) {
  return LinearCrossEntropy::apply(states, weight, labels, torch::GradMode::is_enabled());
}

} // namespace ptbert
