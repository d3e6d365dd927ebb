#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "bound_node.h"

/// The bridge between a Python tree of nn.Modules and the C++ modules that do its arithmetic.
/// docs/ARCHITECTURE.md explains it. Everything here runs with the interpreter held, which is its
/// lock.

namespace ptbert::python {

namespace py = pybind11;

/// A Python node that C++ calls in place of `module`.
struct CalledNode {
  py::object node;
  const torch::nn::Module* module;
};

/// A class of bound nodes and the forward that it had.
struct BoundClass {
  py::object type, forward;
};

/// A C++ module tree bound to a Python tree. Bound anew only by the one who holds it alone: a
/// forward pass that runs in it keeps what it started with.
class Twin {
public:
  explicit Twin(py::object module);

  /// Binds this twin to the tree below `root` anew.
  void rebuild(py::handle root);
  /// Binds changed tensors; false when the change needs rebuild().
  bool rebind();
  bool same_structure() const;
  bool same_tensors() const;
  py::object forward(const py::args& args) const;
  int visit(visitproc visit, void* arg) const;

private:
  void walk(py::handle node, torch::nn::Module& module, const std::string& path, bool is_root);
  void walk_list(py::handle node, torch::nn::Module& module, const std::string& path);
  void attach(py::handle child, torch::nn::Module& module, const std::string& path);
  void attach_missing(torch::nn::Module& module, const std::string& path);
  void remember_class(py::handle node);

  py::object module_; // the C++ module as Python sees it
  py::object forward_;
  std::vector<BoundNode> bound_nodes_;
  std::vector<CalledNode> called_nodes_;
  std::vector<BoundClass> classes_;
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
