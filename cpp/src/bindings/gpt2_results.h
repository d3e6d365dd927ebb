#pragma once

#include "attentions.h"
#include "ptbert/models/gpt2_heads.h"

/// Conversions of the results of GPT-2's modules.

namespace ptbert::python {

template <> struct Convert<GPT2AttentionOutput> {
  static py::object to_python(const GPT2AttentionOutput& output) {
    auto result =
        py::make_tuple(python::to_python(output.hidden_states), python::to_python(output.present));
    if (!output.attentions.defined())
      return result;
    return py::make_tuple(python::to_python(output.attentions)) + result;
  }
  static GPT2AttentionOutput from_python(const py::object& value, const std::string& path) {
    GPT2AttentionOutput output;
    py::object rest = value;
    if (py::isinstance<py::tuple>(value) && py::len(value) == 3) {
      output.attentions = attentions_from_python(value[py::int_(0)], path);
      rest = value[py::slice(1, 3, 1)];
    }
    const auto [hidden_states, present] = pair_from_python(rest, path);
    output.hidden_states = Convert<Tensor>::from_python(hidden_states, path);
    output.present = Convert<Tensor>::from_python(present, path);
    return output;
  }
};

/// What GPT2Attention returns to its Python node, which keeps `heads` as multihead_output.
struct GPT2AttentionResult {
  GPT2AttentionOutput output;
  Tensor heads; // undefined unless `keep_multihead_output`
};

template <> struct Convert<GPT2AttentionResult> {
  static py::object to_python(const GPT2AttentionResult& result) {
    auto output = python::to_python(result.output);
    if (!result.heads.defined())
      return output;
    return py::make_tuple(output, python::to_python(result.heads));
  }
};

template <> struct Convert<GPT2ModelOutput> {
  static py::object to_python(const GPT2ModelOutput& output) {
    return with_attentions(output.attentions,
                           py::make_tuple(python::to_python(output.hidden_states),
                                          python::to_python(output.presents)));
  }
  static GPT2ModelOutput from_python(const py::object& value, const std::string& path) {
    GPT2ModelOutput output;
    const auto [hidden_states, presents] =
        pair_from_python(take_attentions(value, 2, output.attentions, path), path);
    output.hidden_states = Convert<std::vector<Tensor>>::from_python(hidden_states, path);
    output.presents = Convert<std::vector<Tensor>>::from_python(presents, path);
    return output;
  }
};

// As in the 2019 library a model called with labels returns only the loss, or the losses.

template <> struct Convert<GPT2LMOutput> {
  static py::object to_python(const GPT2LMOutput& output) {
    if (output.loss.defined())
      return python::to_python(output.loss);
    return with_attentions(output.attentions, py::make_tuple(python::to_python(output.logits),
                                                             python::to_python(output.presents)));
  }
};

template <> struct Convert<GPT2DoubleHeadsOutput> {
  static py::object to_python(const GPT2DoubleHeadsOutput& output) {
    if (auto losses = losses_to_python(output.lm_loss, output.mc_loss); py::len(losses) > 0)
      return losses;
    return with_attentions(output.attentions, py::make_tuple(python::to_python(output.lm_logits),
                                                             python::to_python(output.mc_logits),
                                                             python::to_python(output.presents)));
  }
};

} // namespace ptbert::python
