#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <array>
#include <string>

#include "ptbert/models/module.h"

/// Which Python nodes C++ does the arithmetic of.

namespace ptbert::python {

namespace py = pybind11;

/// What Python told about itself by register_natives().
struct Natives {
  py::dict classes;     // name of a C++ module -> (the Python class of its nodes, its forward)
  py::dict required;    // name of a C++ module -> {attribute: the only value that C++ knows}
  py::dict activations; // Python function -> name of the C++ one
  py::object parameter, tensor, module_list;
  std::array<py::dict, 4> global_hooks;
};

Natives& natives();

/// Where an nn.Module keeps its hooks.
inline constexpr std::array<const char*, 4> kHooks = {"_forward_hooks", "_forward_pre_hooks",
                                                      "_backward_hooks", "_backward_pre_hooks"};

/// Whether one of these dicts of hooks holds any.
bool any(const std::array<py::dict, 4>& hooks);

py::handle type_of(py::handle value);
py::object forward_of(py::handle type);
py::dict dict_of(py::handle node);

/// Whether `parameters` are those of `module`, none missing and none besides, and plain tensors.
bool can_bind(const py::dict& parameters, const Node& module);

/// The first parameter of `module` that `node`, of the class that stands for it, does not have.
std::string missing_parameter(py::handle node, const torch::nn::Module& module);

/// Whether C++ may do the arithmetic of `node` itself, by `module`.
bool is_native(py::handle node, const torch::nn::Module& module);

} // namespace ptbert::python
