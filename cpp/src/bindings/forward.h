#pragma once

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "bridge/overrides.h"
#include "tensors.h"

/// Binds the forward passes of modules, declared by the names of their arguments.

namespace ptbert::python {

/// Any Python object, shown in stubs as a tensor (or None). pybind11 accepts everything, so that
/// to_tensor() can raise a TypeError that names the argument.
class TensorObject : public py::object {
public:
  PYBIND11_OBJECT_DEFAULT(TensorObject, py::object, accept_any)
private:
  static bool accept_any(PyObject*) { return true; }
};
class OptionalTensorObject : public py::object {
public:
  PYBIND11_OBJECT_DEFAULT(OptionalTensorObject, py::object, accept_any)
private:
  static bool accept_any(PyObject*) { return true; }
};

} // namespace ptbert::python

/// The types that stubs show.
namespace pybind11::detail {
template <> struct handle_type_name<ptbert::python::TensorObject> {
  static constexpr auto name = const_name("torch.Tensor");
};
template <> struct handle_type_name<ptbert::python::OptionalTensorObject> {
  static constexpr auto name = const_name("torch.Tensor | None");
};
} // namespace pybind11::detail

namespace ptbert::python {

struct RequiredArgument {
  using Object = TensorObject;
  static constexpr bool is_left_out = false;
  const char* name;
  Tensor convert(const Object& value) const { return to_tensor(name, value); }
};

/// A tensor or None, which becomes an undefined tensor.
struct OptionalArgument {
  using Object = OptionalTensorObject;
  static constexpr bool is_left_out = false;
  const char* name;
  Tensor convert(const Object& value) const { return to_optional_tensor(name, value); }
};
inline OptionalArgument optional(const char* name) { return {name}; }

/// The same, and a trailing None is not passed when C++ calls a Python node (see make_override()).
struct LeftOutArgument : OptionalArgument {
  static constexpr bool is_left_out = true;
};
inline LeftOutArgument left_out_if_none(const char* name) { return {{name}}; }

/// A sequence of tensors, or None, which becomes an empty list.
struct OptionalListArgument {
  using Object = py::object;
  static constexpr bool is_left_out = false;
  const char* name;
  std::vector<Tensor> convert(const py::object& value) const {
    return value.is_none() ? std::vector<Tensor>() : to_tensor_list(name, value);
  }
};
inline OptionalListArgument optional_list(const char* name) { return {name}; }

/// A bool.
struct FlagArgument {
  using Object = bool;
  static constexpr bool is_left_out = false;
  const char* name;
  bool convert(bool value) const { return value; }
};
inline FlagArgument flag(const char* name) { return {name}; }

/// An int, or None.
struct OptionalIntegerArgument {
  using Object = std::optional<int64_t>;
  static constexpr bool is_left_out = false;
  const char* name;
  std::optional<int64_t> convert(std::optional<int64_t> value) const { return value; }
};
inline OptionalIntegerArgument optional_integer(const char* name) { return {name}; }

namespace detail {

/// Records the override of `Impl`, unless its result has no from_python(): no other module calls
/// such a module.
template <typename Impl> void record_override_of(const std::vector<bool>& is_left_out) {
  const auto record = [&]<typename R, typename... Args>(Overridable<R(Args...)>* call) {
    if constexpr (requires { Convert<R>::from_python(py::object(), std::string()); }) {
      auto padded = is_left_out;
      padded.resize(sizeof...(Args));
      record_override(typeid(Impl), make_override(call, padded));
    }
  };
  record(static_cast<Impl*>(nullptr));
}

inline RequiredArgument argument(const char* name) { return {name}; }
template <typename Argument> Argument argument(Argument given) { return given; }

template <typename Impl, typename Function, typename... Arguments>
void def_forward(py::class_<Impl, torch::nn::Module, std::shared_ptr<Impl>>& cls, Function function,
                 Arguments... arguments) {
  record_override_of<Impl>({Arguments::is_left_out...});
  cls.def(
      "forward",
      [=](Impl& self, const typename Arguments::Object&... objects) {
        // Braces evaluate from left to right, so that the first wrong argument is reported.
        const auto values = std::tuple{arguments.convert(objects)...};
        return run_released([&] {
          return std::apply([&](const auto&... value) { return function(self, value...); }, values);
        });
      },
      py::arg(arguments.name)...);
}

} // namespace detail

template <typename Impl>
using ModuleClass = py::class_<Impl, torch::nn::Module, std::shared_ptr<Impl>>;

/// Registers the class `name` of the extension. Without def_forward() Python cannot call it.
template <typename Impl> ModuleClass<Impl> register_module(py::module_& m, const char* name) {
  detail::record_override_of<Impl>({});
  return ModuleClass<Impl>(m, name);
}

/// Binds `forward` of a module. Each argument is given by the name of a required tensor, or by
/// optional(name), left_out_if_none(name), optional_list(name), flag(name) or
/// optional_integer(name).
template <typename Impl, typename... Arguments>
void def_forward(ModuleClass<Impl>& cls, Arguments... arguments) {
  detail::def_forward(
      cls, [](Impl& self, const auto&... values) { return self.forward(values...); },
      detail::argument(arguments)...);
}

/// As def_forward(), but calls function(module, arguments...) instead of the module's `forward`.
template <typename Impl, typename Function, typename... Arguments>
void def_forward_by(ModuleClass<Impl>& cls, Function function, Arguments... arguments) {
  detail::def_forward(cls, function, detail::argument(arguments)...);
}

} // namespace ptbert::python
