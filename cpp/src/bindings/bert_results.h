#pragma once

#include "attentions.h"
#include "ptbert/models/bert_heads.h"

/// Conversions of the results of BERT's modules.

namespace ptbert::python {

template <> struct Convert<BertAttentionOutput> {
  static py::object to_python(const BertAttentionOutput& output) {
    return with_layer_attentions(output.attentions, output.hidden_states);
  }
  static BertAttentionOutput from_python(const py::object& value, const std::string& path) {
    BertAttentionOutput output;
    std::tie(output.attentions, output.hidden_states) = take_layer_attentions(value, path);
    return output;
  }
};

/// What BertSelfAttention returns to its Python node, which keeps `heads` as multihead_output.
struct BertSelfAttentionResult {
  BertAttentionOutput output;
  Tensor heads; // undefined unless `keep_multihead_output`
};

template <> struct Convert<BertSelfAttentionResult> {
  static py::object to_python(const BertSelfAttentionResult& result) {
    auto output = python::to_python(result.output);
    if (!result.heads.defined())
      return output;
    return py::make_tuple(output, python::to_python(result.heads));
  }
};

template <> struct Convert<BertEncoderOutput> {
  static py::object to_python(const BertEncoderOutput& output) {
    return with_attentions(output.attentions, python::to_python(output.encoded_layers));
  }
  static BertEncoderOutput from_python(const py::object& value, const std::string& path) {
    BertEncoderOutput output;
    const auto encoded_layers = take_attentions(value, 1, output.attentions, path);
    output.encoded_layers = Convert<std::vector<Tensor>>::from_python(encoded_layers, path);
    return output;
  }
};

template <> struct Convert<BertModelOutput> {
  static BertModelOutput from_python(const py::object& value, const std::string& path) {
    BertModelOutput output;
    const auto [encoded_layers, pooled_output] =
        pair_from_python(take_attentions(value, 2, output.attentions, path), path);
    if (THPVariable_Check(encoded_layers.ptr())) {
      output.encoded_layers = {THPVariable_Unpack(encoded_layers.ptr())};
    } else {
      output.encoded_layers = Convert<std::vector<Tensor>>::from_python(encoded_layers, path);
    }
    output.pooled_output = Convert<Tensor>::from_python(pooled_output, path);
    return output;
  }
};

/// What BertModel returns to Python: the outputs of all layers in a list, or the last one itself.
struct BertModelResult {
  BertModelOutput output;
  bool output_all_encoded_layers;
};

template <> struct Convert<BertModelResult> {
  static py::object to_python(const BertModelResult& result) {
    const auto& [encoded_layers, pooled_output, attentions] = result.output;
    return with_attentions(attentions,
                           py::make_tuple(result.output_all_encoded_layers
                                              ? python::to_python(encoded_layers)
                                              : python::to_python(encoded_layers.back()),
                                          python::to_python(pooled_output)));
  }
};

template <> struct Convert<BertPreTrainingScores> {
  static py::object to_python(const BertPreTrainingScores& scores) {
    return py::make_tuple(python::to_python(scores.prediction_scores),
                          python::to_python(scores.seq_relationship_score));
  }
  static BertPreTrainingScores from_python(const py::object& value, const std::string& path) {
    const auto [prediction_scores, seq_relationship_score] = pair_from_python(value, path);
    return {Convert<Tensor>::from_python(prediction_scores, path),
            Convert<Tensor>::from_python(seq_relationship_score, path)};
  }
};

// As in the 2019 library a model called with labels returns only the loss.

template <> struct Convert<BertHeadOutput> {
  static py::object to_python(const BertHeadOutput& output) {
    if (output.loss.defined())
      return python::to_python(output.loss);
    return with_attentions(output.attentions, python::to_python(output.logits));
  }
};

template <> struct Convert<BertForPreTrainingOutput> {
  static py::object to_python(const BertForPreTrainingOutput& output) {
    if (output.loss.defined())
      return python::to_python(output.loss);
    return with_attentions(output.attentions, python::to_python(output.scores));
  }
};

template <> struct Convert<BertForQuestionAnsweringOutput> {
  static py::object to_python(const BertForQuestionAnsweringOutput& output) {
    if (output.loss.defined())
      return python::to_python(output.loss);
    return with_attentions(output.attentions, py::make_tuple(python::to_python(output.start_logits),
                                                             python::to_python(output.end_logits)));
  }
};

} // namespace ptbert::python
