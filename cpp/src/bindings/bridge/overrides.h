#pragma once

#include <functional>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include "bindings/tensors.h"
#include "node_kinds.h"
#include "ptbert/models/module.h"

/// How C++ calls a Python node instead of a module. Modules of each class need an override of their
/// own signature; register_module() and def_forward() record it (forward.h).

namespace ptbert::python {

/// Two functions that set the override of a module.
struct Override {
  /// Makes calls of the module call the Python object `node`, a borrowed reference that the caller
  /// must keep alive. `path` names the node in errors.
  std::function<void(torch::nn::Module&, py::handle node, const std::string& path)> call_node;
  /// Makes calls of the module raise AttributeError: the Python tree has no node at `path`.
  std::function<void(torch::nn::Module&, const std::string& path)> raise_missing;
};

void record_override(std::type_index module_class, Override override);
const Override& override_of(const torch::nn::Module& module);

/// An activation that calls the Python object `function`, a borrowed reference.
Activation python_activation(py::handle function, const std::string& path);

/// Calls `node`. If it raises AttributeError because it lacks a tensor that `module` has, the error
/// names the tensor.
py::object call_node(const torch::nn::Module& module, py::handle node, const py::tuple& arguments,
                     const std::string& path);
[[noreturn]] void raise_missing_module(const std::string& path);

/// The override of modules that are called as `Overridable<R(Args...)>`. Trailing arguments that
/// are None and marked in `is_left_out` are not passed to a Python node, so that a user's module
/// need not accept arguments that are not used.
template <typename R, typename... Args>
Override make_override(Overridable<R(Args...)>*, const std::vector<bool>& is_left_out) {
  using Call = Overridable<R(Args...)>;
  Override override;
  override.call_node = [is_left_out](torch::nn::Module& module, py::handle node,
                                     const std::string& path) {
    dynamic_cast<Call&>(module).set_override([&module, node, path, is_left_out](Args... args) -> R {
      const py::gil_scoped_acquire gil;
      auto arguments = py::make_tuple(argument_to_python<std::decay_t<Args>>(args)...);
      size_t count = arguments.size();
      while (count > 0 && is_left_out[count - 1] && arguments[count - 1].is_none())
        --count;
      if (count < arguments.size())
        arguments = arguments[py::slice(0, static_cast<py::ssize_t>(count), 1)];
      return Convert<R>::from_python(call_node(module, node, arguments, path), path);
    });
  };
  override.raise_missing = [](torch::nn::Module& module, const std::string& path) {
    dynamic_cast<Call&>(module).set_override([path](Args...) -> R { raise_missing_module(path); });
  };
  return override;
}

} // namespace ptbert::python
