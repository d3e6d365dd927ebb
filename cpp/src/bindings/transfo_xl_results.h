#pragma once

#include "ptbert/models/transfo_xl_heads.h"
#include "tensors.h"

/// Conversions of the results of Transformer-XL's models. Without memory there is None for it.

namespace ptbert::python {

inline py::object mems_to_python(const std::vector<Tensor>& mems) {
  return mems.empty() ? py::none() : to_python(mems);
}

template <> struct Convert<TransfoXLModelOutput> {
  static py::object to_python(const TransfoXLModelOutput& output) {
    return py::make_tuple(python::to_python(output.last_hidden), mems_to_python(output.new_mems));
  }
  static TransfoXLModelOutput from_python(const py::object& value, const std::string& path) {
    const auto [last_hidden, new_mems] = pair_from_python(value, path);
    TransfoXLModelOutput output{Convert<Tensor>::from_python(last_hidden, path), {}};
    if (!new_mems.is_none())
      output.new_mems = Convert<std::vector<Tensor>>::from_python(new_mems, path);
    return output;
  }
};

template <> struct Convert<TransfoXLLMOutput> {
  static py::object to_python(const TransfoXLLMOutput& output) {
    return py::make_tuple(python::to_python(output.softmax_output),
                          mems_to_python(output.new_mems));
  }
};

} // namespace ptbert::python
