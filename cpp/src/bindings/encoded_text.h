#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/typing.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ptbert/text/encoded_batch.h"
#include "ptbert/text/offset.h"
#include "tensors.h"
#include "text.h"

/// Tokens, ids and offsets as Python objects.

namespace ptbert::python {

/// A Python object for each token or id of a vocabulary, made once and shared by all results.
class SharedObjects {
public:
  explicit SharedObjects(std::size_t count) : count_(count) {}

  /// Returns the object of an index; `make()` is called the first time.
  template <typename Make> py::object at(std::size_t index, Make make) {
    if (objects_.empty()) {
      objects_.resize(count_);
    }
    py::object& object = objects_[index];
    if (!object) {
      object = make();
    }
    return object;
  }

private:
  std::size_t count_;
  std::vector<py::object> objects_; // empty until first used
};

/// Makes the list [item(0), ..., item(count - 1)].
template <typename Item> py::list make_list(std::size_t count, Item item) {
  py::list list(count);
  for (std::size_t i = 0; i < count; ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), item(i).release().ptr());
  }
  return list;
}

/// Makes a list of `count` items by calling `run(fill)` with the interpreter released;
/// `fill(first, last, item)` acquires it and sets the items i in [first, last) to `item(i)`.
template <typename Run> py::list make_list_in_parts(std::size_t count, Run run) {
  py::list list(count);
  PyObject_GC_UnTrack(list.ptr()); // while items are null, gc.get_objects() must not return it
  {
    const py::gil_scoped_release release;
    run([&](std::size_t first, std::size_t last, auto item) {
      const py::gil_scoped_acquire acquire;
      for (std::size_t i = first; i < last; ++i) {
        PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), item(i).release().ptr());
      }
    });
  }
  PyObject_GC_Track(list.ptr());
  return list;
}

/// The UTF-8 forms of strs; adds the strs to `owners`, which must live as long as the views.
inline std::vector<std::string_view> views(const py::typing::Iterable<py::str>& texts,
                                           const char* name, std::vector<py::object>& owners) {
  std::vector<std::string_view> views;
  for (const py::handle text : texts) {
    owners.push_back(py::reinterpret_borrow<py::object>(text));
    views.push_back(utf8(text, name));
  }
  return views;
}

inline std::size_t not_negative(std::int64_t value, const char* name) {
  if (value < 0) {
    throw py::value_error("`" + std::string(name) + "` must not be negative, but is " +
                          std::to_string(value) + ".");
  }
  return static_cast<std::size_t>(value);
}

inline std::optional<std::size_t> length_of(std::optional<std::int64_t> max_length) {
  return max_length ? std::optional(not_negative(*max_length, "max_length")) : std::nullopt;
}

using Offsets = py::typing::List<py::typing::Tuple<py::int_, py::int_>>;

inline Offsets offsets_of(const std::vector<Offset>& offsets) {
  return make_list(offsets.size(),
                   [&](std::size_t i) { return py::make_tuple(offsets[i].begin, offsets[i].end); });
}

/// An int64 tensor [batch, length] that owns `values`.
inline py::object tensor_of(EncodedBatch::Array values, const EncodedBatch& batch) {
  std::int64_t* const data = values.release();
  return to_python(torch::from_blob(
      data, {static_cast<std::int64_t>(batch.batch), static_cast<std::int64_t>(batch.length)},
      [data](void*) { EncodedBatch::Free()(data); }, torch::kInt64));
}

} // namespace ptbert::python
