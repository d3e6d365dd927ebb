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

/// The key of a node's bridge in its __dict__; snapshots ignore it.
PyObject* bridge_key();

/// The entries of a dict at one moment, compared by identity. Holds no references to values: the
/// owner must keep alive those that matter, so that no new object gets the address of an old one.
class DictSnapshot {
public:
  explicit DictSnapshot(py::handle dict);
  bool same(py::handle dict) const;
  int visit(visitproc visit, void* arg) const;

private:
  const PyObject* dict_; // compared only
  std::vector<std::pair<py::object, const PyObject*>> entries_;
  // If the dict is watched: its version when the entries were last found unchanged.
  mutable bool watched_ = false;
  mutable uint64_t version_ = 0;
};

/// One Python node that a module of a twin computes: its state when it was bound, for comparison.
class BoundNode {
public:
  /// `is_root`: the node owns the bridge. Its hooks are not compared, since they run before the
  /// bridge is called; and it is not kept alive, since that would be a reference cycle.
  BoundNode(py::handle node, bool is_root);

  /// Whether the node is unchanged, parameters and buffers aside.
  bool same_structure() const;
  bool same_tensors() const;
  /// Makes the node's tensors those of `module`; false if they do not fit (has_tensors_of()).
  bool bind(Node& module);
  /// Calls bind() again; false if the node was never bound, such as a list of modules.
  bool rebind() { return module_ != nullptr && bind(*module_); }
  /// Keeps alive an attribute value that C++ has read from the node.
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
  std::optional<DictSnapshot> buffer_values_; // if `module_` has buffers
  std::vector<py::object> kept_;
  Node* module_ = nullptr;
  std::vector<std::pair<py::object, const void*>> bound_; // tensors and their TensorImpls
};

} // namespace ptbert::python
