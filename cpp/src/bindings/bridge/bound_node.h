#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ptbert/models/module.h"

namespace ptbert::python {

namespace py = pybind11;

/// The key under which a node holds its bridge, which no snapshot counts.
PyObject* bridge_key();

/// The entries of a dict at one moment, by identity. Values are not kept alive: a value that
/// matters has to be by the owner of the snapshot, so that no other one gets its address.
class DictSnapshot {
public:
  explicit DictSnapshot(py::handle dict);
  bool same(py::handle dict) const;
  int visit(visitproc visit, void* arg) const;

private:
  const PyObject* dict_; // compared only
  std::vector<std::pair<py::object, const PyObject*>> entries_;
  // While the dict is watched, the version at which its entries were last seen to be the same.
  mutable bool watched_ = false;
  mutable uint64_t version_ = 0;
};

/// What a twin knows of one Python node whose arithmetic is done in C++.
class BoundNode {
public:
  /// `is_root` tells that the node holds the bridge: its hooks have run before the bridge is
  /// called, and it is not kept alive from here.
  BoundNode(py::handle node, bool is_root);

  /// Whether the node is as it was, but for the values of its parameters and buffers.
  bool same_structure() const;
  bool same_tensors() const;
  /// Points the tensors of `module` at the node's; false when they are not what it can take.
  bool bind(Node& module);
  /// bind() once more; false for a node without tensors in C++, as a list.
  bool rebind() { return module_ != nullptr && bind(*module_); }
  /// Keeps a value that C++ has read from the node.
  void keep(py::object value) { kept_.push_back(std::move(value)); }
  int visit(visitproc visit, void* arg) const;

private:
  py::handle node_;
  py::object keep_alive_; // the node, unless it is the root
  PyTypeObject* type_;
  DictSnapshot attributes_;
  py::dict modules_, parameters_, buffers_;
  std::array<py::dict, 4> hooks_;
  DictSnapshot children_, parameter_values_;
  std::optional<DictSnapshot> buffer_values_; // where `module_` has buffers
  std::vector<py::object> kept_;
  Node* module_ = nullptr;
  std::vector<std::pair<py::object, const void*>> bound_; // tensors and their TensorImpls
};

} // namespace ptbert::python
