#include "ptbert/linear_products.h"

#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>

#include "checks.h"
#include "ptbert/fast_paths.h"

namespace ptbert {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::atomic<ProductLibrary> library_in_use{ProductLibrary::kMeasured};

/// torch hands strides to oneDNN that are right only for matrices without gaps and repetitions.
Tensor without_gaps(const Tensor& x) {
  return x.dim() == 2 && x.t().is_contiguous() ? x : x.contiguous();
}

/// x W^T + b by oneDNN; no gradient can follow it.
Tensor multiply_with_onednn(const Tensor& x, const Tensor& weight,
                            const std::optional<Tensor>& bias = std::nullopt) {
  using Multiply =
      Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view,
             c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto multiply = c10::Dispatcher::singleton()
                                   .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                                   .typed<Multiply>();
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  return multiply.call(without_gaps(x), without_gaps(weight), bias, "none",
                       c10::List<std::optional<at::Scalar>>(), "");
}

Tensor as_matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

/// The three products of a layer, each of them in both libraries. All are of two dimensions.
struct Forward {
  static Tensor with_aten(const Tensor& x, const Tensor& weight) { return x.mm(weight.t()); }
  static Tensor with_onednn(const Tensor& x, const Tensor& weight) {
    return multiply_with_onednn(x, weight);
  }
};
struct InputGradient {
  static Tensor with_aten(const Tensor& output_gradient, const Tensor& weight) {
    return output_gradient.mm(weight);
  }
  static Tensor with_onednn(const Tensor& output_gradient, const Tensor& weight) {
    return multiply_with_onednn(output_gradient, weight.t());
  }
};
struct WeightGradient {
  static Tensor with_aten(const Tensor& output_gradient, const Tensor& x) {
    return output_gradient.t().mm(x);
  }
  static Tensor with_onednn(const Tensor& output_gradient, const Tensor& x) {
    return multiply_with_onednn(output_gradient.t(), x.t());
  }
};

template <typename Work> double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// So much faster that runs on one machine hardly ever find the opposite: equal runs are to give
/// equal results.
constexpr double kClearlyFaster = 1.3;

template <typename Product> bool is_faster_with_onednn() {
  const torch::InferenceMode no_gradients;
  const auto a = torch::ones({768, 768}, torch::kFloat), b = a.clone();
  auto best_aten = std::numeric_limits<double>::max(), best_onednn = best_aten;
  for (int turn = 0; turn < 6; ++turn) { // the first one warms up
    best_aten = std::min(best_aten, seconds_of([&] { Product::with_aten(a, b); }));
    best_onednn = std::min(best_onednn, seconds_of([&] { Product::with_onednn(a, b); }));
  }
  return best_aten > kClearlyFaster * best_onednn;
}

/// For which products oneDNN is taken, and why.
struct Choice {
  bool forward = false, input_gradient = false, weight_gradient = false;
  const char* reason = "";
};

Choice measure() {
  // With AVX2 oneDNN was 0.6 to 1.1 times as fast as MKL (AMD Zen 3).
  if (!at::hasMKLDNN() || at::get_cpu_capability() != "AVX512")
    return {false, false, false, "oneDNN gains with AVX-512 only, which is not here"};
  if (!is_faster_with_onednn<Forward>())
    return {false, false, false, "oneDNN was measured and is not clearly faster here"};
  return {true, is_faster_with_onednn<InputGradient>(), is_faster_with_onednn<WeightGradient>(),
          "oneDNN was measured and is clearly faster here"};
}

Choice current_choice() {
  const auto library = library_in_use.load();
  if (library == ProductLibrary::kMeasured) {
    static const Choice measured = measure();
    return measured;
  }
  const bool onednn = library == ProductLibrary::kOneDnn;
  return {onednn, onednn, onednn, "use_product_library()"};
}

class OneDnnLinear : public torch::autograd::Function<OneDnnLinear> {
public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    // Each for the gradient of the other.
    context->save_for_backward(
        {weight.requires_grad() ? x : Tensor(), x.requires_grad() ? weight : Tensor()});
    context->saved_data["has_bias"] = bias.has_value();
    return multiply_with_onednn(x, weight, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto output_gradient = as_matrix(gradients[0]); // [*, out] -> [rows, out]
    // oneDNN has neither gradients of its own nor a rule for many gradients computed as one.
    const bool only_aten = torch::GradMode::is_enabled() || !has_readable_values(gradients[0]);
    const auto choice = current_choice();
    variable_list result(3);
    if (context->needs_input_grad(0)) {
      const auto product = choice.input_gradient && !only_aten
                               ? InputGradient::with_onednn(output_gradient, weight)
                               : InputGradient::with_aten(output_gradient, weight);
      auto shape = gradients[0].sizes().vec();
      shape.back() = weight.size(1);
      result[0] = product.view(shape);
    }
    if (context->needs_input_grad(1)) {
      const auto rows = as_matrix(x); // [*, in] -> [rows, in]
      result[1] = choice.weight_gradient && !only_aten
                      ? WeightGradient::with_onednn(output_gradient, rows)
                      : WeightGradient::with_aten(output_gradient, rows);
    }
    if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2))
      result[2] = output_gradient.sum(0);
    return result;
  }
};

/// Fewer rows are no product of matrices, but one of each row.
constexpr int64_t kFewRows = 16;

/// Why only torch's own product will do; nullptr where oneDNN's would, too.
const char* why_only_aten(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (!fast_paths_enabled())
    return kSwitchedOff;
  if (!at::globalContext().userEnabledMkldnn())
    return "torch.backends.mkldnn is off";
  if (at::autocast::is_autocast_enabled(at::kCPU))
    return "autocast is on";
  for (const auto* tensor : {&x, &weight, &bias}) {
    if (!tensor->defined())
      continue;
    if (!has_readable_values(*tensor))
      return kUnreadable;
    if (tensor->scalar_type() != torch::kFloat || tensor->layout() != torch::kStrided)
      return "not dense float32";
    if (tensor->_fw_grad(/*level=*/0).defined())
      return "forward-mode gradients";
  }
  if (x.dim() < 2 || x.numel() < kFewRows * x.size(-1))
    return "fewer than 16 rows";
  const bool fits = weight.dim() == 2 && x.size(-1) == weight.size(1) &&
                    (!bias.defined() || bias.sizes() == weight.sizes().slice(0, 1));
  return fits ? nullptr : "shapes that torch broadcasts or refuses";
}

} // namespace

void use_product_library(ProductLibrary library) {
  TORCH_CHECK_VALUE(library != ProductLibrary::kOneDnn || at::hasMKLDNN(),
                    "`library` must be one that torch was built with, which oneDNN is not.");
  library_in_use = library;
}

Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto* why_aten = why_only_aten(x, weight, bias);
  const auto choice = why_aten ? Choice{.reason = why_aten} : current_choice();
  PathRecorder::note("linear layers", choice.forward ? "oneDNN" : "ATen", choice.reason);
  if (!choice.forward)
    return torch::linear(x, weight, bias);
  const auto has_gradient = [](const Tensor& tensor) {
    return tensor.defined() && tensor.requires_grad();
  };
  const auto optional_bias = bias.defined() ? std::optional(bias.contiguous()) : std::nullopt;
  if (torch::GradMode::is_enabled() &&
      (has_gradient(x) || has_gradient(weight) || has_gradient(bias)))
    return OneDnnLinear::apply(x, weight, optional_bias);
  return multiply_with_onednn(x, weight, optional_bias);
}

} // namespace ptbert
