#include <pybind11/pybind11.h>
#include <pybind11/typing.h>

#include <utility>
#include <vector>

#include "module.h"

namespace py = pybind11;

namespace ptbert::python {
namespace {

/// A value and the attributes of Python objects that it was made from. It is given out as long as
/// each of those is the same object as then, which is found out without running Python.
///
/// Its owner keeps it, so it does not keep its owner; what else it keeps the garbage collector
/// knows.
class Guarded {
public:
  using Names = py::typing::Iterable<py::str>;
  using Attributes = py::typing::Iterable<py::typing::Tuple<py::object, py::str>>;

  Guarded() = default; // has no value

  Guarded(py::object value, const py::object& owner, const Names& instance_names,
          const Names& type_names, const Attributes& others)
      : value_(std::move(value)) {
    const py::object own = dict_of(owner);
    for (const py::handle name : instance_names) {
      const py::handle of_class = _PyType_Lookup(Py_TYPE(owner.ptr()), name.ptr());
      if (of_class && Py_TYPE(of_class.ptr())->tp_descr_set != nullptr) {
        value_ = py::object(); // a property or slot of a subclass: not in the dict of the instance
      }
      const py::handle found = PyDict_GetItemWithError(own.ptr(), name.ptr());
      of_instance_.push_back({interned(name), py::reinterpret_borrow<py::object>(found)});
    }
    for (const py::handle name : type_names) {
      const py::object key = interned(name);
      const py::handle found = _PyType_Lookup(Py_TYPE(owner.ptr()), key.ptr());
      of_type_.push_back({key, py::reinterpret_borrow<py::object>(found)});
    }
    for (const py::handle other : others) {
      const auto pair = py::cast<py::tuple>(other);
      py::object object = pair[0];
      py::object found = object.attr(pair[1]);
      of_others_.push_back({std::move(object), {interned(pair[1]), std::move(found)}});
    }
  }

  /// Returns the value, or None where an attribute has changed.
  py::object get(const py::handle& owner) const { return holds(owner) ? value_ : py::none(); }

  /// Calls `visit` for every object that is kept.
  int traverse(visitproc visit, void* arg) const {
    Py_VISIT(value_.ptr());
    for (const auto* attributes : {&of_instance_, &of_type_}) {
      for (const Attribute& attribute : *attributes) {
        Py_VISIT(attribute.value.ptr());
      }
    }
    for (const auto& [object, attribute] : of_others_) {
      Py_VISIT(object.ptr());
      Py_VISIT(attribute.value.ptr());
    }
    return 0;
  }

  void clear() {
    value_ = py::object();
    of_instance_.clear();
    of_type_.clear();
    of_others_.clear();
  }

private:
  struct Attribute {
    py::object name;
    py::object value; // null where there was none

    bool is_still_of(PyObject* object) const {
      const auto now = py::reinterpret_steal<py::object>(PyObject_GetAttr(object, name.ptr()));
      if (!now) {
        PyErr_Clear();
      }
      return now.is(value);
    }
  };

  static py::object dict_of(const py::handle& owner) {
    PyObject* const dict = PyObject_GenericGetDict(owner.ptr(), nullptr);
    if (dict == nullptr) {
      throw py::error_already_set();
    }
    return py::reinterpret_steal<py::object>(dict);
  }

  /// Interned names have their hash already, and dicts find them by identity.
  static py::object interned(const py::handle& name) {
    PyObject* text = name.inc_ref().ptr();
    PyUnicode_InternInPlace(&text);
    return py::reinterpret_steal<py::object>(text);
  }

  bool holds(const py::handle& owner) const {
    if (!value_) {
      return false;
    }
    const py::object own = dict_of(owner);
    for (const Attribute& attribute : of_instance_) {
      if (PyDict_GetItemWithError(own.ptr(), attribute.name.ptr()) != attribute.value.ptr()) {
        return false;
      }
    }
    for (const Attribute& attribute : of_type_) {
      if (_PyType_Lookup(Py_TYPE(owner.ptr()), attribute.name.ptr()) != attribute.value.ptr()) {
        return false;
      }
    }
    for (const auto& [object, attribute] : of_others_) {
      if (!attribute.is_still_of(object.ptr())) {
        return false;
      }
    }
    return true;
  }

  py::object value_;
  std::vector<Attribute> of_instance_, of_type_;
  std::vector<std::pair<py::object, Attribute>> of_others_;
};

void take_part_in_garbage_collection(PyHeapTypeObject* heap_type) {
  PyTypeObject& type = heap_type->ht_type;
  type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    if (!py::detail::is_holder_constructed(self)) {
      return 0;
    }
    return py::cast<const Guarded&>(py::handle(self)).traverse(visit, arg);
  };
  type.tp_clear = [](PyObject* self) {
    if (py::detail::is_holder_constructed(self)) {
      py::cast<Guarded&>(py::handle(self)).clear();
    }
    return 0;
  };
}

} // namespace

void register_guarded(py::module_& m) {
  py::class_<Guarded>(m, "Guarded",
                      "A value that is given out while what it was made from is the same.",
                      py::custom_type_setup(take_part_in_garbage_collection))
      .def(py::init<>(), "Makes one that never gives out a value.")
      .def(py::init<py::object, const py::object&, const Guarded::Names&, const Guarded::Names&,
                    const Guarded::Attributes&>(),
           py::arg("value"), py::arg("owner"), py::arg("instance_names"), py::arg("type_names"),
           py::arg("others"))
      .def("get", &Guarded::get, py::arg("owner"));
}

} // namespace ptbert::python
