#include "ptbert/models/module.h"

#include <algorithm>
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

bool Node::exposes_internals() const {
  return has_user_activation_ ||
         std::any_of(child_nodes_.begin(), child_nodes_.end(),
                     [](const auto& child) { return child->exposes_internals(); });
}

void ListNode::bind(const std::string& name, Tensor) {
  TORCH_CHECK_INDEX(false, "a list of modules has no tensor `", name, "`");
}

ParameterListImpl::ParameterListImpl(std::vector<Tensor> parameters) {
  resize(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i)
    bind(std::to_string(i), std::move(parameters[i]));
}

void ParameterListImpl::resize(size_t length) {
  for (; tensors_.size() > length; tensors_.pop_back()) {
    const auto name = std::to_string(tensors_.size() - 1);
    parameters_.erase(name);
    own_parameters_.erase(name);
  }
  while (tensors_.size() < length) {
    const auto name = std::to_string(tensors_.size());
    tensors_.push_back(std::make_unique<Tensor>());
    parameters_.insert(name, Tensor());
    own_parameters_[name] = tensors_.back().get();
  }
}

void ParameterListImpl::bind(const std::string& name, Tensor tensor) {
  *own_parameters_.at(name) = tensor;
  parameters_[name] = std::move(tensor);
}

void add_origin(c10::Error& error, const torch::nn::Module& module) {
  // Subclasses such as ValueError come from our own checks, whose messages name the argument.
  if (typeid(error) != typeid(c10::Error) || !error.context().empty())
    return;
  const auto& path = dynamic_cast<const Node&>(module).path();
  error.add_context("in " + (path.empty() ? module.name() : "`" + path + "`"));
}

} // namespace ptbert
