#pragma once

#include <pybind11/pybind11.h>
#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "bound_node.h"

/// The bridge between a Python tree of nn.Modules and the C++ modules that compute its forward
/// pass; see docs/ARCHITECTURE.md. All functions here need the GIL, which also serves as their
/// lock.

namespace ptbert::python {

namespace py = pybind11;

/// A Python node that C++ calls instead of `module`.
struct CalledNode {
  py::object node;
  const torch::nn::Module* module;
};

/// A class of bound nodes, and its forward when they were bound.
struct BoundClass {
  py::object type, forward;
};

/// A C++ module tree bound to a Python tree. It may be bound again only while no forward pass runs
/// in it, i.e. while its shared_ptr has one owner: a pass uses the tensors it started with.
class Twin {
public:
  explicit Twin(py::object module);

  /// Walks the tree below `root` and binds this twin to it.
  void rebuild(py::handle root);
  /// Binds changed tensors; false if rebuild() is needed.
  bool rebind();
  bool same_structure() const;
  bool same_tensors() const;
  py::object forward(const py::args& args) const;
  /// The C++ module as Python sees it.
  const py::object& module() const { return module_; }
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

/// Owned by a Python node: holds the twin of the tree below it, which is made or updated when the
/// node is called.
class Bridge {
public:
  /// `node` owns this bridge.
  explicit Bridge(py::handle node) : node_(node.ptr()) {}

  /// False if the bridge was found in a shallow copy of its node.
  bool belongs_to(py::handle node) const { return node.ptr() == node_; }
  py::object call(const py::object& node, const py::args& args);
  /// The twin, made or updated to what the tree below `node` is now.
  std::shared_ptr<Twin> bound_twin(const py::object& node);
  int visit(visitproc visit, void* arg) const { return twin_ ? twin_->visit(visit, arg) : 0; }
  void clear() { twin_.reset(); }

private:
  const PyObject* node_; // compared only
  std::shared_ptr<Twin> twin_;
};

/// The C++ module that computes `node`, bound to the tree below it as it is now; to be used at
/// once, since the next call of the node may bind it anew. Raises TypeError if C++ does not compute
/// it.
py::object bound_module(const py::object& node);

} // namespace ptbert::python
