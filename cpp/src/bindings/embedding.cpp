#include "ptbert/models/embedding.h"

#include <map>
#include <string>

#include <torch/csrc/utils/pybind.h>

#include "module.h"

namespace py = pybind11;

namespace ptbert::python {
namespace {

Pooling pooling_named(const std::string& name) {
  static const std::map<std::string, Pooling> poolings = {
      {"first", Pooling::kFirst}, {"mean", Pooling::kMean}, {"max", Pooling::kMax}};
  const auto known = poolings.find(name);
  TORCH_CHECK_VALUE(known != poolings.end(),
                    R"(`pooling` must be "first", "mean" or "max", but is ")", name, "\".");
  return known->second;
}

} // namespace

void register_embedding(py::module_& m) {
  m.def(
      "pool_tokens",
      [](const at::Tensor& hidden_states, const at::Tensor& attention_mask,
         const std::string& pooling) {
        const auto kind = pooling_named(pooling);
        const py::gil_scoped_release no_gil;
        return pool_tokens(hidden_states, attention_mask, kind);
      },
      py::arg("hidden_states"), py::arg("attention_mask"), py::arg("pooling"),
      "[batch, seq, hidden], [batch, seq] -> [batch, hidden]; see ptbert.embed.");
  m.def("to_unit_length", &to_unit_length, py::arg("vectors"),
        py::call_guard<py::gil_scoped_release>(), "[*, hidden] -> the same with a length of 1.");
}

} // namespace ptbert::python
