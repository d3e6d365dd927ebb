#include "ptbert/models/module.h"

#include <typeinfo>

namespace ptbert {
namespace {

thread_local torch::Device default_device = torch::kCPU;

} // namespace

DefaultDevice::DefaultDevice(torch::Device device) : previous_(default_device) {
  default_device = device;
}

DefaultDevice::~DefaultDevice() { default_device = previous_; }

torch::Device DefaultDevice::current() { return default_device; }

void add_origin(c10::Error& error, const torch::nn::Module& module) {
  // Errors of other types are ours, and name what they are about.
  if (typeid(error) != typeid(c10::Error) || !error.context().empty())
    return;
  const auto& path = dynamic_cast<const Node&>(module).path();
  error.add_context("in " + (path.empty() ? module.name() : "`" + path + "`"));
}

} // namespace ptbert
