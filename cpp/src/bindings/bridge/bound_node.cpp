#include "bound_node.h"

#include <algorithm>

#include "bindings/tensors.h"
#include "node_kinds.h"

namespace ptbert::python {
namespace {

// Until Python 3.11 every change gives a dict a new version number; since 3.12 there is only a
// callback on changes (PEP 699).
#if PY_VERSION_HEX < 0x030C0000

/// A number that changes with every change of `dict`, and is unique among all dicts.
uint64_t version_of(py::handle dict) {
  return reinterpret_cast<PyDictObject*>(dict.ptr())->ma_version_tag;
}

bool watch(py::handle) { return true; }

#else

uint64_t changes = 1; // number of changes of all watched dicts

int count_change(PyDict_WatchEvent event, PyObject* dict, PyObject* key, PyObject* value) {
  const bool same = event == PyDict_EVENT_MODIFIED && PyDict_GetItemWithError(dict, key) == value;
  if (!same && key != bridge_key())
    ++changes;
  return 0;
}

uint64_t version_of(py::handle) { return changes; }

/// Starts counting changes of `dict`; false if Python has no watcher left.
bool watch(py::handle dict) {
  // 3.13.0 does not report changes of attributes stored inline in the object (cpython gh-125608).
  static const int watcher = Py_Version >> 8 == 0x030D00 ? -1 : PyDict_AddWatcher(count_change);
  const bool watched = watcher >= 0 && PyDict_Watch(watcher, dict.ptr()) == 0;
  if (!watched)
    PyErr_Clear();
  return watched;
}

#endif

} // namespace

PyObject* bridge_key() {
  static PyObject* key = PyUnicode_InternFromString("_bridge");
  return key;
}

DictSnapshot::DictSnapshot(py::handle dict) : dict_(dict.ptr()) {
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(dict)) {
    if (key.ptr() != bridge_key())
      entries_.emplace_back(py::reinterpret_borrow<py::object>(key), value.ptr());
  }
}

bool DictSnapshot::same(py::handle dict) const {
  if (dict.ptr() != dict_)
    return false;
  if (watched_ && version_ == version_of(dict))
    return true;
  watched_ = watch(dict);
  PyObject *key = nullptr, *value = nullptr;
  Py_ssize_t position = 0;
  auto entry = entries_.begin();
  while (PyDict_Next(dict.ptr(), &position, &key, &value) != 0) {
    if (key == bridge_key())
      continue;
    if (entry == entries_.end() || key != entry->first.ptr() || value != entry->second)
      return false;
    ++entry;
  }
  if (entry != entries_.end())
    return false;
  version_ = version_of(dict);
  return true;
}

int DictSnapshot::visit(visitproc visit, void* arg) const {
  for (const auto& [key, value] : entries_)
    Py_VISIT(key.ptr());
  return 0;
}

BoundNode::BoundNode(py::handle node, bool is_root)
    : node_(node), type_(Py_TYPE(node.ptr())), attributes_(dict_of(node)),
      modules_(dict_of(node)["_modules"]), parameters_(dict_of(node)["_parameters"]),
      buffers_(dict_of(node)["_buffers"]), children_(modules_), parameter_values_(parameters_) {
  if (is_root)
    return;
  keep_alive_ = py::reinterpret_borrow<py::object>(node);
  for (size_t i = 0; i < kHooks.size(); ++i)
    hooks_[i] = dict_of(node)[kHooks[i]];
}

bool BoundNode::same_structure() const {
  return Py_TYPE(node_.ptr()) == type_ && attributes_.same(dict_of(node_)) &&
         children_.same(modules_) && !any(hooks_);
}

bool BoundNode::same_tensors() const {
  return parameter_values_.same(parameters_) &&
         (!buffer_values_ || buffer_values_->same(buffers_)) &&
         std::all_of(bound_.begin(), bound_.end(), [](const auto& tensor) {
           return THPVariable_Unpack(tensor.first.ptr()).unsafeGetTensorImpl() == tensor.second;
         });
}

bool BoundNode::bind(Node& module) {
  module_ = &module;
  parameter_values_ = DictSnapshot(parameters_);
  if (!module.own_buffers().empty())
    buffer_values_.emplace(buffers_);
  bound_.clear();
  if (keep_alive_ && !has_tensors_of(module, parameters_, buffers_))
    return false;
  const auto bind_one = [&](const std::string& name, const py::dict& tensors) {
    // Replicas of DataParallel have their tensors as plain attributes.
    const bool registered = tensors.contains(name);
    const py::object value =
        registered ? py::object(tensors[name.c_str()]) : node_.attr(name.c_str());
    const auto tensor = to_optional_tensor(name.c_str(), value);
    if (registered && tensor.defined())
      bound_.emplace_back(value, tensor.unsafeGetTensorImpl());
    module.bind(name, tensor);
  };
  for (const auto& [name, member] : module.own_parameters())
    bind_one(name, parameters_);
  for (const auto& [name, buffer] : module.own_buffers())
    bind_one(name, buffers_);
  return true;
}

int BoundNode::visit(visitproc visit, void* arg) const {
  Py_VISIT(keep_alive_.ptr());
  Py_VISIT(modules_.ptr());
  Py_VISIT(parameters_.ptr());
  Py_VISIT(buffers_.ptr());
  for (const auto& hooks : hooks_)
    Py_VISIT(hooks.ptr());
  for (const auto& value : kept_)
    Py_VISIT(value.ptr());
  for (const auto& [tensor, impl] : bound_)
    Py_VISIT(tensor.ptr());
  for (const auto* snapshot : {&attributes_, &children_, &parameter_values_,
                               buffer_values_ ? &*buffer_values_ : nullptr}) {
    if (snapshot == nullptr)
      continue;
    if (const int result = snapshot->visit(visit, arg))
      return result;
  }
  return 0;
}

} // namespace ptbert::python
