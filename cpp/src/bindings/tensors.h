#pragma once

#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/torch.h>

#include <string>
#include <utility>

#include "ptbert/models/bert_heads.h"
#include "text.h"

/// Tensors and results of models between C++ and Python. An undefined tensor is None.

namespace ptbert::python {

namespace py = pybind11;

/// The tensor given for the argument `name`; TypeError for anything else.
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

inline py::object to_python(const Tensor& tensor) {
  return py::reinterpret_steal<py::object>(THPVariable_Wrap(tensor));
}

inline py::object to_python(bool value) { return py::bool_(value); }

inline py::object to_python(const std::vector<Tensor>& tensors) {
  py::list list;
  for (const auto& tensor : tensors)
    list.append(to_python(tensor));
  return list;
}

/// As in 2019 attention weights, where they are asked for, come first.
inline py::object with_attentions(const std::vector<Tensor>& attentions, py::object output) {
  if (attentions.empty())
    return output;
  if (!py::isinstance<py::tuple>(output))
    return py::make_tuple(to_python(attentions), output);
  return py::make_tuple(to_python(attentions)) + output;
}

inline py::object to_python(const AttentionOutput& output) {
  auto hidden_states = to_python(output.hidden_states);
  if (!output.attentions.defined())
    return hidden_states;
  return py::make_tuple(to_python(output.attentions), hidden_states);
}

inline py::object to_python(const BertEncoderOutput& output) {
  return with_attentions(output.attentions, to_python(output.encoded_layers));
}

inline py::object to_python(const BertPreTrainingScores& scores) {
  return py::make_tuple(to_python(scores.prediction_scores),
                        to_python(scores.seq_relationship_score));
}

/// As in 2019 a model called with labels returns the loss alone.
inline py::object to_python(const BertHeadOutput& output) {
  if (output.loss.defined())
    return to_python(output.loss);
  return with_attentions(output.attentions, to_python(output.logits));
}

inline py::object to_python(const BertForPreTrainingOutput& output) {
  if (output.loss.defined())
    return to_python(output.loss);
  return with_attentions(output.attentions, to_python(output.scores));
}

inline py::object to_python(const BertForQuestionAnsweringOutput& output) {
  if (output.loss.defined())
    return to_python(output.loss);
  const auto logits = py::make_tuple(to_python(output.start_logits), to_python(output.end_logits));
  return with_attentions(output.attentions, logits);
}

/// Runs `function` with the interpreter released and converts its result.
template <typename Function> py::object run_released(Function function) {
  auto result = [&] {
    const py::gil_scoped_release release;
    return function();
  }();
  return to_python(result);
}

} // namespace ptbert::python
