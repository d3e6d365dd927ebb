#include "ptbert/module.h"

#include <algorithm>

namespace ptbert {
namespace {

thread_local torch::Device default_device = torch::kCPU;

} // namespace

DefaultDevice::DefaultDevice(torch::Device device) : previous_(default_device) {
  default_device = device;
}

DefaultDevice::~DefaultDevice() { default_device = previous_; }

torch::Device DefaultDevice::current() { return default_device; }

bool any_observed(const torch::nn::Module& module) {
  const auto* node = dynamic_cast<const Node*>(&module);
  if (node != nullptr && node->observed())
    return true;
  const auto children = module.children();
  return std::any_of(children.begin(), children.end(),
                     [](const auto& child) { return any_observed(*child); });
}

} // namespace ptbert
