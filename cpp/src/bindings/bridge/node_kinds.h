#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ptbert/models/module.h"

/// Which Python nodes have their arithmetic done in C++.

namespace ptbert::python {

namespace py = pybind11;

/// What C++ knows of the Python nodes of one kind: it does the arithmetic of a node of class `cls`,
/// while that has the `forward` that it had, and the node has the attribute values `required`.
struct NodeKind {
  py::object cls, forward;
  std::vector<std::pair<py::object, py::object>> required;
};

/// The objects of Python that nodes are compared with.
struct KnownObjects {
  std::map<std::string, NodeKind> kinds; // by kind_of()
  py::dict activations;                  // Python function -> name of the activation in C++
  py::object parameter, tensor;
  std::array<py::dict, 4> global_hooks;
};

KnownObjects& known();

/// Where an nn.Module keeps its hooks.
inline constexpr std::array<const char*, 4> kHooks = {"_forward_hooks", "_forward_pre_hooks",
                                                      "_backward_hooks", "_backward_pre_hooks"};

/// Whether one of these dicts of hooks holds any.
bool any(const std::array<py::dict, 4>& hooks);

py::handle type_of(py::handle value);
py::object forward_of(py::handle type);
py::dict dict_of(py::handle node);

/// The kind of a C++ module: "BertLayer" for BertLayerImpl, "ModuleList" or "ParameterList" for a
/// list.
std::string kind_of(const torch::nn::Module& module);
const NodeKind& node_kind_of(const torch::nn::Module& module);

/// Whether the tensors of a node are those of `module`, none missing and no parameters besides, and
/// plain ones.
bool has_tensors_of(const Node& module, const py::dict& parameters, const py::dict& buffers);

/// The first tensor of `module` that `node`, of the class that stands for it, does not have.
std::string missing_tensor(py::handle node, const torch::nn::Module& module);

/// Whether C++ may do the arithmetic of `node` by `module`: the node has the class and the forward
/// that are known, no hook, and only what `module` has.
bool runs_in_cpp(py::handle node, const torch::nn::Module& module);

} // namespace ptbert::python
