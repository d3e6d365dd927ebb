#include "ptbert/module.h"

namespace ptbert {
namespace {

thread_local torch::Device default_device = torch::kCPU;

} // namespace

DefaultDevice::DefaultDevice(torch::Device device) : previous_(default_device) {
  default_device = device;
}

DefaultDevice::~DefaultDevice() { default_device = previous_; }

torch::Device DefaultDevice::current() { return default_device; }

} // namespace ptbert
