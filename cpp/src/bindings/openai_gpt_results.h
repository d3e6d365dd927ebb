#pragma once

#include "attentions.h"
#include "ptbert/models/openai_gpt_heads.h"

/// Conversions of the results of OpenAI GPT's modules.

namespace ptbert::python {

template <> struct Convert<OpenAIGPTAttentionOutput> {
  static py::object to_python(const OpenAIGPTAttentionOutput& output) {
    return with_layer_attentions(output.attentions, output.hidden_states);
  }
  static OpenAIGPTAttentionOutput from_python(const py::object& value, const std::string& path) {
    OpenAIGPTAttentionOutput output;
    std::tie(output.attentions, output.hidden_states) = take_layer_attentions(value, path);
    return output;
  }
};

/// What OpenAIGPTAttention returns to its Python node, which keeps `heads` as multihead_output.
struct OpenAIGPTAttentionResult {
  OpenAIGPTAttentionOutput output;
  Tensor heads; // undefined unless `keep_multihead_output`
};

template <> struct Convert<OpenAIGPTAttentionResult> {
  static py::object to_python(const OpenAIGPTAttentionResult& result) {
    auto output = python::to_python(result.output);
    if (!result.heads.defined())
      return output;
    return py::make_tuple(output, python::to_python(result.heads));
  }
};

template <> struct Convert<OpenAIGPTModelOutput> {
  static py::object to_python(const OpenAIGPTModelOutput& output) {
    return with_attentions(output.attentions, python::to_python(output.hidden_states));
  }
  static OpenAIGPTModelOutput from_python(const py::object& value, const std::string& path) {
    OpenAIGPTModelOutput output;
    const auto hidden_states = take_attentions(value, 1, output.attentions, path);
    output.hidden_states = Convert<std::vector<Tensor>>::from_python(hidden_states, path);
    return output;
  }
};

// As in the 2019 library a model called with labels returns only the loss, or the losses.

template <> struct Convert<OpenAIGPTLMOutput> {
  static py::object to_python(const OpenAIGPTLMOutput& output) {
    if (output.loss.defined())
      return python::to_python(output.loss);
    return with_attentions(output.attentions, python::to_python(output.logits));
  }
};

template <> struct Convert<OpenAIGPTDoubleHeadsOutput> {
  static py::object to_python(const OpenAIGPTDoubleHeadsOutput& output) {
    if (auto losses = losses_to_python(output.lm_loss, output.mc_loss); py::len(losses) > 0)
      return losses;
    return with_attentions(output.attentions, py::make_tuple(python::to_python(output.lm_logits),
                                                             python::to_python(output.mc_logits)));
  }
};

} // namespace ptbert::python
