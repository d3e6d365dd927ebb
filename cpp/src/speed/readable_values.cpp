#include "readable_values.h"

#include <ATen/TensorSubclassLikeUtils.h>
#include <torch/csrc/jit/frontend/tracer.h>

namespace ptbert {

bool has_values(const torch::Tensor& tensor) {
  return !at::isTensorSubclassLike(tensor) && !torch::jit::tracer::isTracing() &&
         !c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::FuncTorchDynamicLayerFrontMode);
}

bool has_readable_values(const torch::Tensor& tensor) {
  return tensor.is_cpu() && has_values(tensor) && tensor.numel() > 0;
}

} // namespace ptbert
