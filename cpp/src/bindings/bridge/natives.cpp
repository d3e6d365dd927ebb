#include "natives.h"

#include <algorithm>

#include "bindings/module.h"

namespace ptbert::python {
namespace {

/// "ptbert::BertLayerImpl" -> "BertLayer"
std::string class_name(const torch::nn::Module& module) {
  auto name = module.name();
  name = name.substr(name.rfind(':') + 1);
  return name.substr(0, name.size() - std::string("Impl").size());
}

bool is_plain_tensor(py::handle value) {
  const auto type = type_of(value);
  return type.is(natives().parameter) || type.is(natives().tensor);
}

} // namespace

Natives& natives() {
  // Never destroyed: the interpreter is gone when static objects are.
  static auto* registered = new Natives;
  return *registered;
}

bool any(const std::array<py::dict, 4>& hooks) {
  return std::any_of(hooks.begin(), hooks.end(),
                     [](const py::dict& dict) { return PyDict_GET_SIZE(dict.ptr()) > 0; });
}

py::handle type_of(py::handle value) { return reinterpret_cast<PyObject*>(Py_TYPE(value.ptr())); }

py::object forward_of(py::handle type) {
  static PyObject* key = PyUnicode_InternFromString("forward");
  return py::getattr(type, key);
}

py::dict dict_of(py::handle node) {
  return py::reinterpret_steal<py::dict>(PyObject_GenericGetDict(node.ptr(), nullptr));
}

bool can_bind(const py::dict& parameters, const Node& module) {
  const auto& tensors = module.tensors();
  for (const auto& [name, value] : parameters) {
    const bool known = tensors.count(name.cast<std::string>()) > 0;
    if (!value.is_none() && !(known && is_plain_tensor(value)))
      return false;
  }
  return std::all_of(tensors.begin(), tensors.end(), [&parameters](const auto& tensor) {
    return parameters.contains(tensor.first);
  });
}

std::string missing_parameter(py::handle node, const torch::nn::Module& module) {
  const auto known = natives().classes[class_name(module).c_str()].cast<py::tuple>();
  if (!type_of(node).is(known[0]))
    return "";
  for (const auto& [name, tensor] : dynamic_cast<const Node&>(module).tensors()) {
    if (!py::hasattr(node, name.c_str()))
      return name;
  }
  return "";
}

bool is_native(py::handle node, const torch::nn::Module& module) {
  const auto name = class_name(module);
  const auto known = natives().classes[name.c_str()].cast<py::tuple>();
  if (!type_of(node).is(known[0]) || !forward_of(known[0]).is(known[1]))
    return false;
  const auto attributes = dict_of(node);
  if (attributes.contains("forward"))
    return false;
  if (attributes.contains("_compiled_call_impl") && !attributes["_compiled_call_impl"].is_none())
    return false;
  for (const char* hooks : kHooks) {
    if (py::len(attributes[hooks]) > 0)
      return false;
  }
  if (natives().required.contains(name)) {
    for (const auto& [attribute, value] : natives().required[name.c_str()].cast<py::dict>()) {
      if (!py::getattr(node, attribute).equal(value))
        return false;
    }
  }
  return can_bind(attributes["_parameters"], dynamic_cast<const Node&>(module));
}

void register_natives(py::module_& m) {
  m.def(
      "register_natives",
      [](py::dict classes, py::dict required, py::dict activations) {
        const auto nn = py::module_::import("torch.nn");
        const auto module = py::module_::import("torch.nn.modules.module");
        natives() = {
            std::move(classes),
            std::move(required),
            std::move(activations),
            nn.attr("Parameter"),
            py::module_::import("torch").attr("Tensor"),
            nn.attr("ModuleList"),
            {module.attr("_global_forward_hooks"), module.attr("_global_forward_pre_hooks"),
             module.attr("_global_backward_hooks"), module.attr("_global_backward_pre_hooks")}};
      },
      py::arg("classes"), py::arg("required"), py::arg("activations"),
      "Tells which Python classes, attribute values and functions the core computes itself.");
}

} // namespace ptbert::python
