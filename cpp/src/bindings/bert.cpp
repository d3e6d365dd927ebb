#include <memory>
#include <string>

#include "module.h"
#include "ptbert/models/bert_heads.h"
#include "tensors.h"

namespace ptbert::python {
namespace {

template <typename Impl>
using ModuleClass = py::class_<Impl, torch::nn::Module, std::shared_ptr<Impl>>;

template <typename Impl> ModuleClass<Impl> register_module(py::module_& m, const char* name) {
  return ModuleClass<Impl>(m, name).def(py::init<BertConfig>(), py::arg("config"));
}

/// A module whose forward takes one tensor.
template <typename Impl> void def_unary(ModuleClass<Impl>& cls, const char* input) {
  cls.def("forward", [input](Impl& self, const py::object& x) {
    return run_released([&self, x = to_tensor(input, x)] { return self.forward(x); });
  });
}

/// A module whose forward takes two tensors, the second of them optional or not.
template <typename Impl>
void def_binary(ModuleClass<Impl>& cls, const char* first, const char* second, bool optional) {
  cls.def("forward", [=](Impl& self, const py::object& x, const py::object& y) {
    return run_released([&self, x = to_tensor(first, x),
                         y = optional ? to_optional_tensor(second, y) : to_tensor(second, y)] {
      return self.forward(x, y);
    });
  });
}

/// A module whose forward takes hidden states, attention mask and head mask.
template <typename Impl> void def_attention(ModuleClass<Impl>& cls, const char* input) {
  cls.def("forward", [input](Impl& self, const py::object& x, const py::object& attention_mask,
                             const py::object& head_mask) {
    return run_released([&self, x = to_tensor(input, x),
                         attention_mask = to_optional_tensor("attention_mask", attention_mask),
                         head_mask = to_optional_tensor("head_mask", head_mask)] {
      return self.forward(x, attention_mask, head_mask);
    });
  });
}

/// The inputs that every model has.
struct Inputs {
  Inputs(const py::handle& input_ids, const py::handle& token_type_ids,
         const py::handle& attention_mask, const py::handle& head_mask)
      : input_ids(to_tensor("input_ids", input_ids)),
        token_type_ids(to_optional_tensor("token_type_ids", token_type_ids)),
        attention_mask(to_optional_tensor("attention_mask", attention_mask)),
        head_mask(to_optional_tensor("head_mask", head_mask)) {}

  Tensor input_ids, token_type_ids, attention_mask, head_mask;
};

/// A model with one tensor of labels, called `label`.
template <typename Impl> void def_labelled(ModuleClass<Impl>& cls, const char* label) {
  cls.def("forward", [label](Impl& self, const py::object& input_ids,
                             const py::object& token_type_ids, const py::object& attention_mask,
                             const py::object& labels, const py::object& head_mask) {
    return run_released([&self, in = Inputs(input_ids, token_type_ids, attention_mask, head_mask),
                         labels = to_optional_tensor(label, labels)] {
      return self.forward(in.input_ids, in.token_type_ids, in.attention_mask, labels, in.head_mask);
    });
  });
}

/// A model with two tensors of labels.
template <typename Impl>
void def_twice_labelled(ModuleClass<Impl>& cls, const char* first, const char* second) {
  cls.def("forward", [=](Impl& self, const py::object& input_ids, const py::object& token_type_ids,
                         const py::object& attention_mask, const py::object& a, const py::object& b,
                         const py::object& head_mask) {
    return run_released([&self, in = Inputs(input_ids, token_type_ids, attention_mask, head_mask),
                         a = to_optional_tensor(first, a), b = to_optional_tensor(second, b)] {
      return self.forward(in.input_ids, in.token_type_ids, in.attention_mask, a, b, in.head_mask);
    });
  });
}

void register_trunk(py::module_& m) {
  auto embeddings = register_module<BertEmbeddingsImpl>(m, "BertEmbeddings");
  def_binary(embeddings, "input_ids", "token_type_ids", true);
  // What the heads gave comes second where it is kept; Python keeps it.
  register_module<BertSelfAttentionImpl>(m, "BertSelfAttention")
      .def("forward", [](BertSelfAttentionImpl& self, const py::object& hidden_states,
                         const py::object& attention_mask, const py::object& head_mask) {
        const auto [output, heads] = [&, x = to_tensor("hidden_states", hidden_states),
                                      mask = to_optional_tensor("attention_mask", attention_mask),
                                      head_masks = to_optional_tensor("head_mask", head_mask)] {
          const py::gil_scoped_release release;
          return self.forward_with_heads(x, mask, head_masks);
        }();
        return self.keep_multihead_output ? py::make_tuple(to_python(output), to_python(heads))
                                          : to_python(output);
      });
  auto self_output = register_module<BertSelfOutputImpl>(m, "BertSelfOutput");
  def_binary(self_output, "hidden_states", "input_tensor", false);
  auto attention = register_module<BertAttentionImpl>(m, "BertAttention");
  def_attention(attention, "input_tensor");
  auto intermediate = register_module<BertIntermediateImpl>(m, "BertIntermediate");
  def_unary(intermediate, "hidden_states");
  auto output = register_module<BertOutputImpl>(m, "BertOutput");
  def_binary(output, "hidden_states", "input_tensor", false);
  auto layer = register_module<BertLayerImpl>(m, "BertLayer");
  def_attention(layer, "hidden_states");
  ModuleClass<BertLayerListImpl>(m, "BertLayerList");
  auto pooler = register_module<BertPoolerImpl>(m, "BertPooler");
  def_unary(pooler, "hidden_states");

  register_module<BertEncoderImpl>(m, "BertEncoder")
      .def("forward", [](BertEncoderImpl& self, const py::object& hidden_states,
                         const py::object& attention_mask, bool output_all_encoded_layers,
                         const py::object& head_mask) {
        return run_released([&, x = to_tensor("hidden_states", hidden_states),
                             mask = to_optional_tensor("attention_mask", attention_mask),
                             head_masks = to_optional_tensor("head_mask", head_mask)] {
          return self.forward(x, mask, output_all_encoded_layers, head_masks);
        });
      });
  register_module<BertModelImpl>(m, "BertModel")
      .def("forward", [](BertModelImpl& self, const py::object& input_ids,
                         const py::object& token_type_ids, const py::object& attention_mask,
                         bool output_all_encoded_layers, const py::object& head_mask) {
        const Inputs in(input_ids, token_type_ids, attention_mask, head_mask);
        const auto output = [&] {
          const py::gil_scoped_release release;
          return self.forward(in.input_ids, in.token_type_ids, in.attention_mask,
                              output_all_encoded_layers, in.head_mask);
        }();
        return with_attentions(output.attentions,
                               py::make_tuple(output_all_encoded_layers
                                                  ? to_python(output.encoded_layers)
                                                  : to_python(output.encoded_layers.back()),
                                              to_python(output.pooled_output)));
      });
}

void register_heads(py::module_& m) {
  auto transform =
      register_module<BertPredictionHeadTransformImpl>(m, "BertPredictionHeadTransform");
  def_unary(transform, "hidden_states");
  auto nsp_head = register_module<BertOnlyNSPHeadImpl>(m, "BertOnlyNSPHead");
  def_unary(nsp_head, "pooled_output");

  const auto config = py::arg("config");
  const auto embedding_weights = py::arg("embedding_weights");
  ModuleClass<BertLMPredictionHeadImpl> lm_head(m, "BertLMPredictionHead");
  lm_head.def(py::init<BertConfig, Tensor>(), config, embedding_weights);
  def_unary(lm_head, "hidden_states");
  ModuleClass<BertOnlyMLMHeadImpl> mlm_head(m, "BertOnlyMLMHead");
  mlm_head.def(py::init<BertConfig, Tensor>(), config, embedding_weights);
  def_unary(mlm_head, "sequence_output");
  ModuleClass<BertPreTrainingHeadsImpl> heads(m, "BertPreTrainingHeads");
  heads.def(py::init<BertConfig, Tensor>(), config, embedding_weights);
  def_binary(heads, "sequence_output", "pooled_output", false);
}

void register_models(py::module_& m) {
  auto pre_training = register_module<BertForPreTrainingImpl>(m, "BertForPreTraining");
  def_twice_labelled(pre_training, "masked_lm_labels", "next_sentence_label");
  auto masked_lm = register_module<BertForMaskedLMImpl>(m, "BertForMaskedLM");
  def_labelled(masked_lm, "masked_lm_labels");
  auto next_sentence =
      register_module<BertForNextSentencePredictionImpl>(m, "BertForNextSentencePrediction");
  def_labelled(next_sentence, "next_sentence_label");
  auto question_answering =
      register_module<BertForQuestionAnsweringImpl>(m, "BertForQuestionAnswering");
  def_twice_labelled(question_answering, "start_positions", "end_positions");

  const auto config = py::arg("config");
  ModuleClass<BertForSequenceClassificationImpl> sequence(m, "BertForSequenceClassification");
  sequence.def(py::init<BertConfig, int64_t>(), config, py::arg("num_labels"));
  def_labelled(sequence, "labels");
  ModuleClass<BertForMultipleChoiceImpl> choice(m, "BertForMultipleChoice");
  choice.def(py::init<BertConfig, int64_t>(), config, py::arg("num_choices"));
  def_labelled(choice, "labels");
  ModuleClass<BertForTokenClassificationImpl> token(m, "BertForTokenClassification");
  token.def(py::init<BertConfig, int64_t>(), config, py::arg("num_labels"));
  def_labelled(token, "labels");
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
