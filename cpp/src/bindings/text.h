#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/typing.h>

#include <string>
#include <string_view>
#include <vector>

#include "text/mapped.h"

/// Text between C++ and Python.

namespace ptbert::python {

namespace py = pybind11;

using Strings = std::vector<std::string>;

/// The type of `value` for a message: "a list", "an int".
inline std::string type_with_article(const py::handle& value) {
  const std::string name = Py_TYPE(value.ptr())->tp_name;
  const auto base = name.substr(name.rfind('.') + 1);
  const bool vowel = std::string("aeiouAEIOU").find(base[0]) != std::string::npos;
  return (vowel ? "an " : "a ") + base;
}

/// The UTF-8 form of a str, valid as long as the str. Throws TypeError for anything else, and
/// Python's UnicodeEncodeError for a lone surrogate.
inline std::string_view utf8(const py::handle& object, const char* name) {
  if (!PyUnicode_Check(object.ptr())) {
    throw py::type_error("`" + std::string(name) + "` must be a str, but is " +
                         type_with_article(object) + ".");
  }
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (data == nullptr)
    throw py::error_already_set();
  return {data, static_cast<std::size_t>(size)};
}

inline Strings strings(const py::typing::Iterable<py::str>& objects, const char* name) {
  return detail::mapped(objects,
                        [name](py::handle object) { return std::string(utf8(object, name)); });
}

/// Calls `function(view of text)` with the interpreter released, unless the text is so short that
/// releasing would take as long as the work.
template <typename Function> auto unlocked(const py::object& text, Function function) {
  constexpr std::size_t kShort = 1024; // some tens of microseconds
  const std::string_view view = utf8(text, "text");
  if (view.size() <= kShort) {
    return function(view);
  }
  const py::gil_scoped_release release;
  return function(view);
}

} // namespace ptbert::python
