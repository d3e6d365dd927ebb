#include "ptbert/analysis/head_statistics.h"

#include <torch/csrc/utils/pybind.h>

#include <optional>

#include "module.h"

namespace py = pybind11;

namespace ptbert::python {

void register_head_statistics(py::module_& m) {
  using Released = py::call_guard<py::gil_scoped_release>;
  py::class_<HeadStatistics>(m, "HeadStatistics", "Entropy and importance of attention heads.")
      .def(py::init<int64_t>(), py::arg("layers"))
      .def(
          "add_attentions",
          [](HeadStatistics& self, int64_t layer, const at::Tensor& attentions,
             const std::optional<at::Tensor>& attention_mask) {
            self.add_attentions(layer, attentions, attention_mask.value_or(at::Tensor()));
          },
          py::arg("layer"), py::arg("attentions"), py::arg("attention_mask"), Released())
      .def(
          "add_outputs",
          [](HeadStatistics& self, int64_t layer, const at::Tensor& outputs,
             const at::Tensor& gradients, const std::optional<at::Tensor>& attention_mask) {
            self.add_outputs(layer, outputs, gradients, attention_mask.value_or(at::Tensor()));
          },
          py::arg("layer"), py::arg("outputs"), py::arg("gradients"), py::arg("attention_mask"),
          Released())
      .def("entropy", &HeadStatistics::entropy, Released())
      .def("importance", &HeadStatistics::importance, py::arg("normalize_by_layer"),
           py::arg("normalize_globally"), Released());
}

} // namespace ptbert::python
