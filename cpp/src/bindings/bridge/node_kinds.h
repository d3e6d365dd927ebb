#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ptbert/models/module.h"

/// Decides which Python nodes C++ can compute.

namespace ptbert::python {

namespace py = pybind11;

/// The Python class that corresponds to a C++ module class. C++ computes a node if its class is
/// exactly `cls`, cls.forward is still `forward`, and its attributes have the values `required`.
struct NodeKind {
  py::object cls, forward;
  std::vector<std::pair<py::object, py::object>> required;
};

/// The Python objects that nodes are compared with, registered at import.
struct KnownObjects {
  std::map<std::string, NodeKind> kinds; // by kind_of()
  py::dict activations;                  // Python function -> name of the activation in C++
  py::object parameter, sequential, tensor;
  std::array<py::dict, 4> global_hooks;
};

KnownObjects& known();

/// The attributes in which an nn.Module keeps its hooks.
inline constexpr std::array<const char*, 4> kHooks = {"_forward_hooks", "_forward_pre_hooks",
                                                      "_backward_hooks", "_backward_pre_hooks"};

/// Whether any of the dicts holds a hook.
bool any(const std::array<py::dict, 4>& hooks);

py::handle type_of(py::handle value);
py::object forward_of(py::handle type);
py::dict dict_of(py::handle node);

/// The name of a C++ module's kind: "BertLayer" for BertLayerImpl, "ModuleList" or "ParameterList"
/// for a list.
std::string kind_of(const torch::nn::Module& module);
const NodeKind& node_kind_of(const torch::nn::Module& module);

/// Whether a node with these tensors can be bound to `module`: none is missing, there are no other
/// parameters, and all are plain tensors (no subclasses).
bool has_tensors_of(const Node& module, const py::dict& parameters, const py::dict& buffers);

/// The name of the first tensor of `module` that `node` lacks; "" if none, or if `node` is of
/// another class than the module's kind.
std::string missing_tensor(py::handle node, const torch::nn::Module& module);

/// Whether calling `node` runs the forward of its kind and nothing else: no hook, no replaced
/// __call__ or forward, not compiled. Derived classes may add other methods.
bool has_registered_forward(py::handle node, const torch::nn::Module& module);

/// Whether `module` can compute `node`: class, forward and attributes are those of the kind, there
/// are no hooks, has_tensors_of() is true, and an nn.Sequential has the children of the module.
bool runs_in_cpp(py::handle node, const torch::nn::Module& module);

} // namespace ptbert::python
