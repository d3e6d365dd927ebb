#include "ptbert/speed/linear_products.h"

#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>

#include "few_rows_product.h"
#include "ptbert/speed/fast_paths.h"
#include "readable_values.h"

namespace ptbert {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

std::atomic<ProductLibrary> library_in_use{ProductLibrary::kMeasured};

/// mkldnn::_linear_pointwise passes wrong strides to oneDNN unless the matrix, or its transpose, is
/// contiguous.
Tensor without_gaps(const Tensor& x) {
  return x.dim() == 2 && x.t().is_contiguous() ? x : x.contiguous();
}

/// x W^T + b by oneDNN; not differentiable.
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

/// [*, width] -> [rows, width]
Tensor as_matrix(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

/// x W^T + b by multiply_few_rows(); not differentiable.
Tensor multiply_with_ptbert(const Tensor& x, const Tensor& weight,
                            const std::optional<Tensor>& bias) {
  const auto with_contiguous_rows = [](const Tensor& matrix) {
    return matrix.stride(1) == 1 ? matrix : matrix.contiguous();
  };
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return multiply_few_rows(with_contiguous_rows(as_matrix(x)), with_contiguous_rows(weight),
                           bias.value_or(Tensor()))
      .view(shape); // [rows, out] -> [*, out]
}

const char* name_of(ProductLibrary library) {
  switch (library) {
  case ProductLibrary::kMeasured:
    return "measured";
  case ProductLibrary::kAten:
    return "ATen";
  case ProductLibrary::kOneDnn:
    return "oneDNN";
  case ProductLibrary::kPtbert:
    return "ptbert";
  }
  TORCH_INTERNAL_ASSERT(false);
}

Tensor multiply(ProductLibrary library, const Tensor& x, const Tensor& weight,
                const std::optional<Tensor>& bias) {
  return library == ProductLibrary::kOneDnn ? multiply_with_onednn(x, weight, bias)
                                            : multiply_with_ptbert(x, weight, bias);
}

/// left right^T of matrices, by oneDNN or by ATen: the form of all three products of a linear
/// layer.
Tensor multiply_matrices(bool with_onednn, const Tensor& left, const Tensor& right) {
  return with_onednn ? multiply_with_onednn(left, right) : left.mm(right.t());
}

template <typename Work> double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A margin, so that repeated runs on one machine nearly always choose the same library and give
/// the same results.
constexpr double kRequiredSpeedup = 1.3;

bool is_faster_with_onednn(const Tensor& left, const Tensor& right) {
  auto best_aten = std::numeric_limits<double>::max(), best_onednn = best_aten;
  for (int turn = 0; turn < 6; ++turn) { // the first turn warms up
    best_aten = std::min(best_aten, seconds_of([&] { multiply_matrices(false, left, right); }));
    best_onednn = std::min(best_onednn, seconds_of([&] { multiply_matrices(true, left, right); }));
  }
  return best_aten > kRequiredSpeedup * best_onednn;
}

/// Which library computes each product of a layer, and why.
struct Choice {
  ProductLibrary forward = ProductLibrary::kAten;
  /// Whether oneDNN computes the gradient of the input, and of the weight; otherwise ATen does.
  bool input_gradient = false, weight_gradient = false;
  const char* reason = "";
};

constexpr auto kForced = "use_product_library()";

/// Whether the processor is one on which oneDNN was found to be faster than MKL.
bool is_amd_with_avx512() {
#ifdef __x86_64__
  return at::get_cpu_capability() == "AVX512" && __builtin_cpu_is("amd");
#else
  return false;
#endif
}

/// The gradient of the weight is measured: AMD Zen 5 and Zen 4 differ there.
bool is_weight_gradient_faster_with_onednn() {
  const torch::InferenceMode no_gradients;
  const auto a = torch::ones({768, 768}, torch::kFloat), b = a.clone();
  return is_faster_with_onednn(a.t(), b.t());
}

Choice choose_onednn(bool measured, int64_t rows) {
  if (!at::globalContext().userEnabledMkldnn())
    return {.reason = "torch.backends.mkldnn is off"};
  if (rows < 16) // so few rows are closer to matrix-vector products
    return {.reason = "too few rows"};
  if (!measured)
    return {ProductLibrary::kOneDnn, true, true, kForced};
  static const bool weight_gradient = is_weight_gradient_faster_with_onednn();
  return {ProductLibrary::kOneDnn, /*input_gradient=*/true, weight_gradient,
          "oneDNN is faster on AMD with AVX-512"};
}

Choice choose_ptbert(const char* reason, int64_t rows, const Tensor& weight) {
  if (rows < kFewestRows)
    return {.reason = "too few rows"};
  if (rows > kMostRows)
    return {.reason = "more than 256 rows, for which the core's own product is no faster"};
  if (weight.size(0) < kFewestFeatures)
    return {.reason = "too few features"};
  return {.forward = ProductLibrary::kPtbert, .reason = reason};
}

/// The choice for a layer with this weight [out, in] that is applied to `rows` rows.
Choice choose(int64_t rows, const Tensor& weight) {
  switch (library_in_use.load()) {
  case ProductLibrary::kAten:
    return {.reason = kForced};
  case ProductLibrary::kOneDnn:
    return choose_onednn(/*measured=*/false, rows);
  case ProductLibrary::kPtbert:
    return choose_ptbert(kForced, rows, weight);
  case ProductLibrary::kMeasured:
    break;
  }
  // With AVX2 alone (AMD Zen 3) and on Intel with AVX-512 it was 0.6 to 1.1 times as fast as MKL.
  if (is_amd_with_avx512() && at::hasMKLDNN())
    return choose_onednn(/*measured=*/true, rows);
  if (at::get_cpu_capability() != "AVX2" || !can_multiply_few_rows())
    return {.reason = "nothing else is known to be faster here"};
  if (weight.stride(1) != 1) // a Conv1D, whose weight would have to be copied
    return {.reason = "the weight is stored as [in, out]"};
  return choose_ptbert("few rows", rows, weight);
}

class FastLinear : public torch::autograd::Function<FastLinear> {
public:
  static Tensor forward(AutogradContext* context, const Choice& choice, const Tensor& x,
                        const Tensor& weight, const std::optional<Tensor>& bias) {
    // The gradient of the weight needs x, that of x needs the weight.
    context->save_for_backward(
        {weight.requires_grad() ? x : Tensor(), x.requires_grad() ? weight : Tensor()});
    context->saved_data["has_bias"] = bias.has_value();
    context->saved_data["input_gradient"] = choice.input_gradient;
    context->saved_data["weight_gradient"] = choice.weight_gradient;
    return multiply(choice.forward, x, weight, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto output_gradient = as_matrix(gradients[0]); // [*, out] -> [rows, out]
    // The oneDNN operator is neither differentiable (double backward) nor has a vmap rule.
    const bool only_aten = torch::GradMode::is_enabled() || !has_readable_values(gradients[0]);
    const auto with_onednn = [&](const char* gradient) {
      return !only_aten && context->saved_data[gradient].toBool();
    };
    variable_list result(4); // result[0], for `choice`, stays undefined
    if (context->needs_input_grad(0)) {
      const auto product =
          multiply_matrices(with_onednn("input_gradient"), output_gradient, weight.t());
      auto shape = gradients[0].sizes().vec();
      shape.back() = weight.size(1);
      result[1] = product.view(shape); // [rows, in] -> [*, in]
    }
    if (context->needs_input_grad(1)) {
      const auto rows = as_matrix(x); // [*, in] -> [rows, in]
      result[2] = multiply_matrices(with_onednn("weight_gradient"), output_gradient.t(), rows.t());
    }
    if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2))
      result[3] = output_gradient.sum(0); // [rows, out] -> [out]
    return result;
  }
};

/// The reason why only ATen can compute this product, or nullptr if another library can, too.
const char* why_only_aten(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (!fast_paths_enabled())
    return kSwitchedOff;
  if (at::autocast::is_autocast_enabled(at::kCPU))
    return "autocast is on";
  for (const auto* tensor : {&x, &weight, &bias}) {
    if (!tensor->defined())
      continue;
    if (!has_readable_values(*tensor))
      return kUnreadable;
    if (tensor->scalar_type() != torch::kFloat || tensor->layout() != torch::kStrided ||
        tensor->is_nested() || tensor->is_neg() || tensor->_is_zerotensor())
      return "not plain, dense float32";
    if (tensor->_fw_grad(/*level=*/0).defined())
      return "forward-mode gradients";
  }
  const bool fits = x.dim() >= 1 && weight.dim() == 2 && x.size(-1) == weight.size(1) &&
                    (!bias.defined() || bias.sizes() == weight.sizes().slice(0, 1));
  return fits ? nullptr : "shapes that torch broadcasts or refuses";
}

} // namespace

void use_product_library(ProductLibrary library) {
  TORCH_CHECK_VALUE(library != ProductLibrary::kOneDnn || at::hasMKLDNN(),
                    "`library` must be one that torch was built with, but is oneDNN.");
  TORCH_CHECK_VALUE(
      library != ProductLibrary::kPtbert || can_multiply_few_rows(),
      "`library` must be one for this processor, but is ptbert's own, which needs AVX2 "
      "and FMA.");
  library_in_use = library;
}

Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto* why_aten = why_only_aten(x, weight, bias);
  const auto choice =
      why_aten ? Choice{.reason = why_aten} : choose(x.numel() / x.size(-1), weight);
  PathRecorder::note("linear layers", name_of(choice.forward), choice.reason);
  if (choice.forward == ProductLibrary::kAten)
    return torch::linear(x, weight, bias);
  const auto has_gradient = [](const Tensor& tensor) {
    return tensor.defined() && tensor.requires_grad();
  };
  const auto optional_bias = bias.defined() ? std::optional(bias.contiguous()) : std::nullopt;
  if (torch::GradMode::is_enabled() &&
      (has_gradient(x) || has_gradient(weight) || has_gradient(bias)))
    return FastLinear::apply(choice, x, weight, optional_bias);
  return multiply(choice.forward, x, weight, optional_bias);
}

} // namespace ptbert
