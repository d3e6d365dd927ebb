#include <pybind11/stl.h>

#include <vector>

#include "module.h"
#include "ptbert/optim/bert_adam.h"
#include "ptbert/optim/openai_adam.h"
#include "ptbert/optim/schedules.h"
#include "tensors.h"

namespace ptbert::python {
namespace {

std::vector<Tensor> to_tensors(const char* name, const py::list& list) {
  std::vector<Tensor> tensors;
  tensors.reserve(list.size());
  for (const auto& item : list)
    tensors.push_back(to_tensor(name, item));
  return tensors;
}

/// As to_tensors(), with undefined tensors for None.
std::vector<Tensor> to_optional_tensors(const char* name, const py::list& list) {
  std::vector<Tensor> tensors;
  tensors.reserve(list.size());
  for (const auto& item : list)
    tensors.push_back(item.is_none() ? Tensor() : to_tensor(name, item));
  return tensors;
}

} // namespace

void register_optim(py::module_& m) {
  const auto progress = py::arg("progress");
  const auto warmup = py::arg("warmup");
  const auto cycles = py::arg("cycles");
  m.def("warmup_constant", &warmup_constant, progress, warmup);
  m.def("warmup_linear", &warmup_linear, progress, warmup);
  m.def("warmup_cosine", &warmup_cosine, progress, warmup, cycles);
  m.def("warmup_cosine_with_hard_restarts", &warmup_cosine_with_hard_restarts, progress, warmup,
        cycles);
  m.def("warmup_cosine_with_warmup_restarts", &warmup_cosine_with_warmup_restarts, progress, warmup,
        cycles);
  m.def(
      "bert_adam_update",
      [](const py::list& parameters, const py::list& gradients, const py::list& next_m,
         const py::list& next_v, const py::list& masters, const std::vector<double>& rates,
         double b1, double b2, double e, double weight_decay, double max_grad_norm) {
        const auto options = BertAdamOptions(0)
                                 .b1(b1)
                                 .b2(b2)
                                 .e(e)
                                 .weight_decay(weight_decay)
                                 .max_grad_norm(max_grad_norm);
        auto p = to_tensors("parameters", parameters);
        auto g = to_tensors("gradients", gradients);
        auto m = to_tensors("next_m", next_m);
        auto v = to_tensors("next_v", next_v);
        const auto master = to_optional_tensors("masters", masters);
        const py::gil_scoped_release release;
        torch::NoGradGuard no_grad;
        for (size_t i = 0; i < p.size(); ++i)
          bert_adam_update(options, rates.at(i), p[i], g[i], m[i], v[i], master[i]);
      },
      py::arg("parameters"), py::arg("gradients"), py::arg("next_m"), py::arg("next_v"),
      py::arg("masters"), py::arg("rates"), py::arg("b1"), py::arg("b2"), py::arg("e"),
      py::arg("weight_decay"), py::arg("max_grad_norm"),
      "One step of BertAdam on the parameters of a group, in place.");
  m.def(
      "openai_adam_update",
      [](const py::list& parameters, const py::list& gradients, const py::list& exp_avg,
         const py::list& exp_avg_sq, const py::list& masters, const std::vector<double>& rates,
         const std::vector<int64_t>& steps, double b1, double b2, double e, double weight_decay,
         bool vector_l2, double max_grad_norm) {
        const auto options = OpenAIAdamOptions(0)
                                 .b1(b1)
                                 .b2(b2)
                                 .e(e)
                                 .weight_decay(weight_decay)
                                 .vector_l2(vector_l2)
                                 .max_grad_norm(max_grad_norm);
        auto p = to_tensors("parameters", parameters);
        auto g = to_tensors("gradients", gradients);
        auto m = to_tensors("exp_avg", exp_avg);
        auto v = to_tensors("exp_avg_sq", exp_avg_sq);
        const auto master = to_optional_tensors("masters", masters);
        const py::gil_scoped_release release;
        torch::NoGradGuard no_grad;
        for (size_t i = 0; i < p.size(); ++i)
          openai_adam_update(options, rates.at(i), steps.at(i), p[i], g[i], m[i], v[i], master[i]);
      },
      py::arg("parameters"), py::arg("gradients"), py::arg("exp_avg"), py::arg("exp_avg_sq"),
      py::arg("masters"), py::arg("rates"), py::arg("steps"), py::arg("b1"), py::arg("b2"),
      py::arg("e"), py::arg("weight_decay"), py::arg("vector_l2"), py::arg("max_grad_norm"),
      "One step of OpenAIAdam on the parameters of a group, in place.");
}

} // namespace ptbert::python
