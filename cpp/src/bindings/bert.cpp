#include "bert_results.h"
#include "forward.h"
#include "models/head_mask.h"
#include "module.h"

namespace ptbert::python {
namespace {

/// Head masks of an encoder: a tensor, or as in 2019 a list with a tensor or None for each layer.
struct HeadMasksArgument {
  using Object = py::object;
  static constexpr bool is_left_out = true;
  const char* name;
  Tensor convert(const py::object& value) const {
    if (!py::isinstance<py::list>(value) && !py::isinstance<py::tuple>(value))
      return to_optional_tensor(name, value);
    std::vector<Tensor> masks;
    for (const auto& mask : value)
      masks.push_back(to_optional_tensor((std::string(name) + "[...]").c_str(), mask));
    return stack_head_masks(masks);
  }
};

/// Registers a module that is constructed from a configuration.
template <typename Impl> ModuleClass<Impl> register_configured(py::module_& m, const char* name) {
  return register_module<Impl>(m, name).def(py::init<BertConfig>(), py::arg("config"));
}

/// Registers a head whose decoder weight is tied to the word embeddings.
template <typename Impl> ModuleClass<Impl> register_tied(py::module_& m, const char* name) {
  return register_module<Impl>(m, name).def(py::init<BertConfig, Tensor>(), py::arg("config"),
                                            py::arg("embedding_weights"));
}

/// Registers a model that is constructed from a configuration and an int called `count`.
template <typename Impl>
ModuleClass<Impl> register_counted(py::module_& m, const char* name, const char* count) {
  return register_module<Impl>(m, name).def(py::init<BertConfig, int64_t>(), py::arg("config"),
                                            py::arg(count));
}

/// Binds the forward of a whole model; `labels` are the arguments that differ between models.
template <typename Impl, typename... Labels>
void def_model_forward(ModuleClass<Impl> cls, Labels... labels) {
  def_forward(cls, "input_ids", optional("token_type_ids"), optional("attention_mask"), labels...,
              optional("head_mask"));
}

void register_trunk(py::module_& m) {
  auto embeddings = register_configured<BertEmbeddingsImpl>(m, "BertEmbeddings");
  def_forward(embeddings, "input_ids", optional("token_type_ids"));

  auto self_attention = register_configured<BertSelfAttentionImpl>(m, "BertSelfAttention");
  def_forward_by(
      self_attention,
      [](BertSelfAttentionImpl& self, const auto&... values) {
        auto [output, heads] = self.forward_with_heads(values...);
        return BertSelfAttentionResult{output, self.keep_multihead_output ? heads : Tensor()};
      },
      "hidden_states", optional("attention_mask"), left_out_if_none("head_mask"));

  m.def(
      "split_into_heads",
      [](const TensorObject& x, int64_t heads, int64_t head_size) {
        return run_released(
            [&, x = to_tensor("x", x)] { return split_into_heads(x, heads, head_size); });
      },
      py::arg("x"), py::arg("heads"), py::arg("head_size"),
      "[batch, seq, heads * head_size] -> [batch, heads, seq, head_size]");

  auto self_output = register_configured<BertSelfOutputImpl>(m, "BertSelfOutput");
  def_forward(self_output, "hidden_states", "input_tensor");
  auto attention = register_configured<BertAttentionImpl>(m, "BertAttention");
  def_forward(attention, "input_tensor", optional("attention_mask"), left_out_if_none("head_mask"));
  auto intermediate = register_configured<BertIntermediateImpl>(m, "BertIntermediate");
  def_forward(intermediate, "hidden_states");
  auto output = register_configured<BertOutputImpl>(m, "BertOutput");
  def_forward(output, "hidden_states", "input_tensor");
  auto layer = register_configured<BertLayerImpl>(m, "BertLayer");
  def_forward(layer, "hidden_states", optional("attention_mask"), left_out_if_none("head_mask"));
  auto encoder = register_configured<BertEncoderImpl>(m, "BertEncoder");
  def_forward(encoder, "hidden_states", optional("attention_mask"),
              flag("output_all_encoded_layers"), HeadMasksArgument{"head_mask"});
  auto pooler = register_configured<BertPoolerImpl>(m, "BertPooler");
  def_forward(pooler, "hidden_states");

  auto model = register_configured<BertModelImpl>(m, "BertModel");
  def_forward_by(
      model,
      [](BertModelImpl& self, const Tensor& input_ids, const Tensor& token_type_ids,
         const Tensor& attention_mask, bool output_all_encoded_layers, const Tensor& head_mask) {
        return BertModelResult{self.forward(input_ids, token_type_ids, attention_mask,
                                            output_all_encoded_layers, head_mask),
                               output_all_encoded_layers};
      },
      "input_ids", optional("token_type_ids"), optional("attention_mask"),
      flag("output_all_encoded_layers"), left_out_if_none("head_mask"));
}

void register_heads(py::module_& m) {
  auto transform =
      register_configured<BertPredictionHeadTransformImpl>(m, "BertPredictionHeadTransform");
  def_forward(transform, "hidden_states");
  auto lm_head = register_tied<BertLMPredictionHeadImpl>(m, "BertLMPredictionHead");
  def_forward(lm_head, "hidden_states");
  auto mlm_head = register_tied<BertOnlyMLMHeadImpl>(m, "BertOnlyMLMHead");
  def_forward(mlm_head, "sequence_output");
  auto nsp_head = register_configured<BertOnlyNSPHeadImpl>(m, "BertOnlyNSPHead");
  def_forward(nsp_head, "pooled_output");
  auto heads = register_tied<BertPreTrainingHeadsImpl>(m, "BertPreTrainingHeads");
  def_forward(heads, "sequence_output", "pooled_output");
}

void register_models(py::module_& m) {
  def_model_forward(register_configured<BertForPreTrainingImpl>(m, "BertForPreTraining"),
                    optional("masked_lm_labels"), optional("next_sentence_label"));
  def_model_forward(register_configured<BertForMaskedLMImpl>(m, "BertForMaskedLM"),
                    optional("masked_lm_labels"));
  def_model_forward(
      register_configured<BertForNextSentencePredictionImpl>(m, "BertForNextSentencePrediction"),
      optional("next_sentence_label"));
  def_model_forward(register_counted<BertForSequenceClassificationImpl>(
                        m, "BertForSequenceClassification", "num_labels"),
                    optional("labels"));
  def_model_forward(
      register_counted<BertForMultipleChoiceImpl>(m, "BertForMultipleChoice", "num_choices"),
      optional("labels"));
  def_model_forward(register_counted<BertForTokenClassificationImpl>(
                        m, "BertForTokenClassification", "num_labels"),
                    optional("labels"));
  def_model_forward(
      register_configured<BertForQuestionAnsweringImpl>(m, "BertForQuestionAnswering"),
      optional("start_positions"), optional("end_positions"));
}

} // namespace

void register_bert(py::module_& m) {
  py::class_<BertConfig>(m, "BertConfig", "Configuration as the core sees it.")
      .def_static("from_json", &BertConfig::from_json, py::arg("text"));
  register_trunk(m);
  register_heads(m);
  register_models(m);
}

} // namespace ptbert::python
