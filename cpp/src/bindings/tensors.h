#pragma once

#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/torch.h>

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "text.h"

/// Tensors between C++ and Python. An undefined tensor is None.

namespace ptbert::python {

namespace py = pybind11;
using torch::Tensor;

/// The tensor passed as the argument `name`; throws TypeError for anything else.
inline Tensor to_tensor(const char* name, const py::handle& value) {
  if (!THPVariable_Check(value.ptr())) {
    throw py::type_error("`" + std::string(name) + "` must be a torch.Tensor, but is " +
                         type_with_article(value) + ".");
  }
  return THPVariable_Unpack(value.ptr());
}

inline Tensor to_optional_tensor(const char* name, const py::handle& value) {
  return value.is_none() ? Tensor() : to_tensor(name, value);
}

/// The tensors of a list or tuple that is passed as the argument `name`. An item may itself be a
/// tuple of tensors, which are stacked, as today's libraries hand over keys and values.
inline std::vector<Tensor> to_tensor_list(const char* name, const py::handle& value) {
  if (!py::isinstance<py::list>(value) && !py::isinstance<py::tuple>(value)) {
    throw py::type_error("`" + std::string(name) + "` must be a list of tensors, but is " +
                         type_with_article(value) + ".");
  }
  const auto item_name = std::string(name) + "[...]";
  std::vector<Tensor> tensors;
  for (const auto& item : value) {
    tensors.push_back(py::isinstance<py::tuple>(item)
                          ? torch::stack(to_tensor_list(item_name.c_str(), item))
                          : to_tensor(item_name.c_str(), item));
  }
  return tensors;
}

/// Converts arguments and results of forward passes. A specialisation has to_python(value), and
/// from_python(object, path) if a Python node can return it; `path` names the node in errors.
/// Each family adds the results of its modules.
template <typename T> struct Convert;

template <typename T> py::object to_python(const T& value) { return Convert<T>::to_python(value); }

template <> struct Convert<Tensor> {
  static py::object to_python(const Tensor& tensor) {
    return py::reinterpret_steal<py::object>(THPVariable_Wrap(tensor));
  }
  static Tensor from_python(const py::object& value, const std::string& path) {
    if (!THPVariable_Check(value.ptr())) {
      throw py::type_error("The output of `" + path + "` must be a torch.Tensor, but is " +
                           type_with_article(value) + ".");
    }
    return THPVariable_Unpack(value.ptr());
  }
};

template <> struct Convert<bool> {
  static py::object to_python(bool value) { return py::bool_(value); }
};

template <> struct Convert<std::optional<int64_t>> {
  static py::object to_python(std::optional<int64_t> value) {
    return value ? py::object(py::int_(*value)) : py::none();
  }
};

template <> struct Convert<std::vector<Tensor>> {
  static py::object to_python(const std::vector<Tensor>& tensors) {
    py::list list;
    for (const auto& tensor : tensors)
      list.append(python::to_python(tensor));
    return list;
  }
  static std::vector<Tensor> from_python(const py::object& value, const std::string& path) {
    if (!py::isinstance<py::sequence>(value)) {
      throw py::type_error("The output of `" + path + "` must be a list of tensors, but is " +
                           type_with_article(value) + ".");
    }
    if (py::len(value) == 0) {
      throw py::value_error("The output of `" + path +
                            "` must hold at least one tensor, but is empty.");
    }
    std::vector<Tensor> tensors;
    for (const auto& item : value)
      tensors.push_back(
          Convert<Tensor>::from_python(py::reinterpret_borrow<py::object>(item), path));
    return tensors;
  }
};

/// As to_python(), for an argument of a forward pass: an empty list is one that was not given.
template <typename T> py::object argument_to_python(const T& value) {
  if constexpr (std::is_same_v<T, std::vector<Tensor>>) {
    if (value.empty())
      return py::none();
  }
  return to_python(value);
}

inline std::pair<py::object, py::object> pair_from_python(const py::object& value,
                                                          const std::string& path) {
  if (!py::isinstance<py::tuple>(value) || py::len(value) != 2) {
    throw py::type_error("The output of `" + path + "` must be a tuple of two, but is " +
                         type_with_article(value) + ".");
  }
  return {value[py::int_(0)], value[py::int_(1)]};
}

/// Calls `function` with the interpreter released and converts its result to Python.
template <typename Function> py::object run_released(Function function) {
  const auto result = [&] {
    const py::gil_scoped_release release;
    return function();
  }();
  return to_python(result);
}

} // namespace ptbert::python
