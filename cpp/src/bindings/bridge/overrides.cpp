#include "overrides.h"

#include <unordered_map>

namespace ptbert::python {
namespace {

std::unordered_map<std::type_index, Override>& overrides() {
  static std::unordered_map<std::type_index, Override> recorded;
  return recorded;
}

} // namespace

void record_override(std::type_index module_class, Override override) {
  overrides()[module_class] = std::move(override);
}

const Override& override_of(const torch::nn::Module& module) {
  const auto found = overrides().find(typeid(module));
  TORCH_INTERNAL_ASSERT(found != overrides().end(), "no override was recorded for ", module.name());
  return found->second;
}

Activation python_activation(py::handle function, const std::string& path) {
  return [function, path](const Tensor& x) {
    const py::gil_scoped_acquire gil;
    return Convert<Tensor>::from_python(function(to_python(x)), path);
  };
}

py::object call_node(const torch::nn::Module& module, py::handle node, const py::tuple& arguments,
                     const std::string& path) {
  try {
    return node(*arguments);
  } catch (py::error_already_set& error) {
    const auto missing =
        error.matches(PyExc_AttributeError) ? missing_tensor(node, module) : std::string();
    if (missing.empty())
      throw;
    const auto message = "The model has no parameter `" + path + "." + missing + "`.";
    py::raise_from(error, PyExc_AttributeError, message.c_str());
    throw py::error_already_set();
  }
}

void raise_missing_module(const std::string& path) {
  const py::gil_scoped_acquire gil;
  PyErr_SetString(PyExc_AttributeError, ("The model has no module `" + path + "`.").c_str());
  throw py::error_already_set();
}

} // namespace ptbert::python
