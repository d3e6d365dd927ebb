#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <string>

namespace ptbert::python {

/// Makes C++ call the Python object `node` in place of `module`. `node` is borrowed: whoever sets
/// the override keeps it alive. `path` names the node in errors.
void override_with_python(torch::nn::Module& module, pybind11::handle node,
                          const std::string& path);

/// Makes a call of `module` raise AttributeError: the Python tree has no such node.
void override_as_missing(torch::nn::Module& module, const std::string& path);

/// Elementwise function that calls the Python object `function`, which is borrowed.
std::function<torch::Tensor(const torch::Tensor&)> python_activation(pybind11::handle function,
                                                                     const std::string& path);

} // namespace ptbert::python
