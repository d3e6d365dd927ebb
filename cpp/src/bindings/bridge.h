#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "ptbert/module.h"

/// The bridge between a Python tree of nn.Modules and the C++ modules that do its arithmetic.
/// docs/ARCHITECTURE.md explains it. Everything here runs with the interpreter held, which is its
/// lock.

namespace ptbert::python {

namespace py = pybind11;

/// The entries of a dict at one moment, by identity. Values are not kept alive: a value that
/// matters has to be by the owner of the snapshot, so that no other one gets its address.
class DictSnapshot {
public:
  explicit DictSnapshot(py::handle dict);
  bool same(py::handle dict) const;
  int visit(visitproc visit, void* arg) const;

private:
  std::vector<std::pair<py::object, const PyObject*>> entries_;
  mutable uint64_t version_ = 0; // at which the entries were last seen to be the same
};

/// What a twin knows of one Python node whose arithmetic is done in C++.
class NativeNode {
public:
  /// `is_root` tells that the node holds the bridge: its hooks have run before the bridge is
  /// called, and it is not kept alive from here.
  NativeNode(py::handle node, bool is_root);

  /// Whether the node is as it was, but for the values of its parameters.
  bool same_structure() const;
  bool same_parameters() const;
  /// Points the tensors of `module` at the node's parameters; false when they are not
  /// what it can take.
  bool bind(Node& module);
  bool rebind() { return bind(*module_); }
  /// Keeps a value that C++ has read from the node.
  void keep(py::object value) { kept_.push_back(std::move(value)); }
  int visit(visitproc visit, void* arg) const;

private:
  py::handle node_;
  py::object keep_alive_; // the node, unless it is the root
  PyTypeObject* type_;
  DictSnapshot attributes_;
  py::dict modules_, parameters_;
  std::array<py::dict, 4> hooks_;
  DictSnapshot children_, parameter_values_;
  std::vector<py::object> kept_;
  Node* module_ = nullptr;
  std::vector<std::pair<py::object, const void*>> bound_; // parameters and their TensorImpls
};

/// A Python node that C++ calls in place of `module`.
struct ForeignNode {
  py::object node;
  const torch::nn::Module* module;
};

/// A class of native nodes and the forward that it had.
struct NativeClass {
  py::object type, forward;
};

/// A C++ module tree bound to a Python tree. Bound anew only by the one who holds it alone: a
/// forward pass that runs in it keeps what it started with.
class Twin {
public:
  explicit Twin(py::object module);

  /// Binds this twin to the tree below `root` anew.
  void rebuild(py::handle root);
  /// Binds changed parameters; false when the change needs rebuild().
  bool rebind();
  bool same_structure() const;
  bool same_parameters() const;
  py::object forward(const py::args& args) const;
  int visit(visitproc visit, void* arg) const;

private:
  void walk(py::handle node, torch::nn::Module& module, const std::string& path, bool is_root);
  void walk_list(py::handle node, torch::nn::Module& module, const std::string& path);
  void attach(py::handle child, torch::nn::Module& module, const std::string& path);
  void remember_class(py::handle node);

  py::object module_; // the C++ module as Python sees it
  py::object forward_;
  std::vector<NativeNode> natives_;
  std::vector<ForeignNode> foreigners_;
  std::vector<NativeClass> classes_;
  bool global_hooks_ = false;
};

/// Held by a Python node: the twin of the tree below it, made and brought up to date when the node
/// is called.
class Bridge {
public:
  /// `node` is the one that holds this bridge.
  explicit Bridge(py::handle node) : node_(node.ptr()) {}

  /// False in a shallow copy of the node, whose tree is another.
  bool belongs_to(py::handle node) const { return node.ptr() == node_; }
  py::object call(const py::object& node, const py::args& args);
  int visit(visitproc visit, void* arg) const { return twin_ ? twin_->visit(visit, arg) : 0; }
  void clear() { twin_.reset(); }

private:
  const PyObject* node_; // compared only
  std::shared_ptr<Twin> twin_;
};

} // namespace ptbert::python
