#include "node_kinds.h"

#include <algorithm>
#include <typeindex>
#include <unordered_map>

#include "bindings/module.h"
#include "bindings/tensors.h"

namespace ptbert::python {
namespace {

bool is_plain_tensor(py::handle value) {
  const auto type = type_of(value);
  return type.is(known().parameter) || type.is(known().tensor);
}

/// Whether `children` of a node have the names of those of `module`, in their order.
bool has_children_of(const torch::nn::Module& module, const py::dict& children) {
  const auto own = module.named_children();
  if (own.size() != children.size())
    return false;
  size_t i = 0;
  for (const auto& [name, child] : children) {
    if (name.cast<std::string>() != own[i++].key())
      return false;
  }
  return true;
}

} // namespace

KnownObjects& known() {
  // Never destroyed: static destructors run after the interpreter has ended.
  static auto* objects = new KnownObjects;
  return *objects;
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

std::string kind_of(const torch::nn::Module& module) {
  if (dynamic_cast<const ParameterListImpl*>(&module) != nullptr)
    return "ParameterList";
  if (dynamic_cast<const ListNode*>(&module) != nullptr)
    return "ModuleList";
  auto name = module.name(); // "ptbert::BertLayerImpl"
  name = name.substr(name.rfind(':') + 1);
  return name.substr(0, name.size() - std::string("Impl").size());
}

const NodeKind& node_kind_of(const torch::nn::Module& module) {
  static std::unordered_map<std::type_index, const NodeKind*> found;
  auto& kind = found[typeid(module)];
  if (kind == nullptr)
    kind = &known().kinds.at(kind_of(module));
  return *kind;
}

bool has_tensors_of(const Node& module, const py::dict& parameters, const py::dict& buffers) {
  const auto& own = module.own_parameters();
  // nn.ParameterList is never called in Python: C++ takes what it can compute with.
  const bool is_list = dynamic_cast<const ParameterListImpl*>(&module) != nullptr;
  const auto fits = [is_list](py::handle value) {
    return is_plain_tensor(value) ||
           (is_list && THPVariable_Check(value.ptr()) &&
            THPVariable_Unpack(value.ptr()).unsafeGetTensorImpl()->is_python_dispatch());
  };
  for (const auto& [name, value] : parameters) {
    const bool known = own.count(name.cast<std::string>()) > 0;
    if (!value.is_none() && !(known && fits(value)))
      return false;
  }
  // nn.ParameterList keeps None as a plain attribute, not in _parameters.
  return (is_list ||
          std::all_of(own.begin(), own.end(),
                      [&](const auto& entry) { return parameters.contains(entry.first); })) &&
         std::all_of(module.own_buffers().begin(), module.own_buffers().end(),
                     [&](const auto& entry) {
                       const auto* name = entry.first.c_str();
                       return buffers.contains(name) &&
                              (buffers[name].is_none() || is_plain_tensor(buffers[name]));
                     });
}

std::string missing_tensor(py::handle node, const torch::nn::Module& module) {
  if (!type_of(node).is(node_kind_of(module).cls))
    return "";
  const auto& target = dynamic_cast<const Node&>(module);
  for (const auto& [name, tensor] : target.own_parameters()) {
    if (!py::hasattr(node, name.c_str()))
      return name;
  }
  for (const auto& [name, buffer] : target.own_buffers()) {
    if (!py::hasattr(node, name.c_str()))
      return name;
  }
  return "";
}

bool has_registered_forward(py::handle node, const torch::nn::Module& module) {
  const auto type = type_of(node);
  const auto& kind = node_kind_of(module);
  if (!forward_of(type).is(kind.forward) ||
      !py::getattr(type, "__call__").is(py::getattr(kind.cls, "__call__")))
    return false;
  const auto attributes = dict_of(node);
  if (attributes.contains("forward"))
    return false;
  if (attributes.contains("_compiled_call_impl") && !attributes["_compiled_call_impl"].is_none())
    return false;
  return std::all_of(kHooks.begin(), kHooks.end(),
                     [&](const char* hooks) { return py::len(attributes[hooks]) == 0; });
}

bool runs_in_cpp(py::handle node, const torch::nn::Module& module) {
  const auto& kind = node_kind_of(module);
  if (!type_of(node).is(kind.cls) || !has_registered_forward(node, module))
    return false;
  const auto attributes = dict_of(node);
  for (const auto& [attribute, value] : kind.required) {
    if (!py::getattr(node, attribute).equal(value))
      return false;
  }
  // An nn.Sequential calls whatever it holds.
  if (kind.cls.is(known().sequential) && !has_children_of(module, attributes["_modules"]))
    return false;
  return has_tensors_of(dynamic_cast<const Node&>(module), attributes["_parameters"],
                        attributes["_buffers"]);
}

void register_node_kinds(py::module_& m) {
  const auto nn = py::module_::import("torch.nn");
  const auto module = py::module_::import("torch.nn.modules.module");
  known().parameter = nn.attr("Parameter");
  known().sequential = nn.attr("Sequential");
  known().tensor = py::module_::import("torch").attr("Tensor");
  known().global_hooks = {
      module.attr("_global_forward_hooks"), module.attr("_global_forward_pre_hooks"),
      module.attr("_global_backward_hooks"), module.attr("_global_backward_pre_hooks")};
  m.def(
      "register_kind",
      [](const std::string& name, py::object cls, py::object forward, const py::dict& required) {
        auto& kind = known().kinds[name];
        kind = {std::move(cls), std::move(forward), {}};
        for (const auto& [attribute, value] : required)
          kind.required.emplace_back(py::reinterpret_borrow<py::object>(attribute),
                                     py::reinterpret_borrow<py::object>(value));
      },
      py::arg("name"), py::arg("cls"), py::arg("forward"), py::arg("required"),
      "Registers the Python class of the nodes that C++ modules of a kind compute.");
  m.def(
      "register_activation",
      [](const py::object& function, const std::string& name) {
        known().activations[function] = name;
      },
      py::arg("function"), py::arg("name"),
      "Registers a Python function that C++ computes by the activation `name`.");
  m.def("kind_of", &kind_of, py::arg("module"), "The name of a C++ module's kind.");
}

} // namespace ptbert::python
