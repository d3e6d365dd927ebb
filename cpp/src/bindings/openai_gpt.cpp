#include "forward.h"
#include "module.h"
#include "openai_gpt_results.h"

namespace ptbert::python {
namespace {

void register_trunk(py::module_& m) {
  const auto config = py::arg("config");
  auto attention = register_module<OpenAIGPTAttentionImpl>(m, "OpenAIGPTAttention")
                       .def(py::init<int64_t, int64_t, OpenAIGPTConfig, bool>(), py::arg("nx"),
                            py::arg("n_ctx"), config, py::arg("scale"));
  def_forward_by(
      attention,
      [](OpenAIGPTAttentionImpl& self, const auto&... values) {
        auto [output, heads] = self.forward_with_heads(values...);
        return OpenAIGPTAttentionResult{output, self.keep_multihead_output ? heads : Tensor()};
      },
      "x", left_out_if_none("head_mask"));
  auto mlp = register_module<OpenAIGPTMLPImpl>(m, "OpenAIGPTMLP")
                 .def(py::init<int64_t, OpenAIGPTConfig>(), py::arg("n_state"), config);
  def_forward(mlp, "x");
  auto block = register_module<OpenAIGPTBlockImpl>(m, "OpenAIGPTBlock")
                   .def(py::init<int64_t, OpenAIGPTConfig, bool>(), py::arg("n_ctx"), config,
                        py::arg("scale"));
  def_forward(block, "x", left_out_if_none("head_mask"));
  auto model = register_module<OpenAIGPTModelImpl>(m, "OpenAIGPTModel")
                   .def(py::init<OpenAIGPTConfig>(), config);
  def_forward(model, "input_ids", optional("position_ids"), optional("token_type_ids"),
              left_out_if_none("head_mask"));
}

void register_heads(py::module_& m) {
  const auto config = py::arg("config");
  auto lm_head =
      register_module<OpenAIGPTLMHeadImpl>(m, "OpenAIGPTLMHead")
          .def(py::init<Tensor, OpenAIGPTConfig>(), py::arg("model_embeddings_weights"), config);
  def_forward(lm_head, "hidden_state");
  auto mc_head = register_module<OpenAIGPTMultipleChoiceHeadImpl>(m, "OpenAIGPTMultipleChoiceHead")
                     .def(py::init<OpenAIGPTConfig>(), config);
  def_forward(mc_head, "hidden_states", "mc_token_ids");
  auto lm_model = register_module<OpenAIGPTLMHeadModelImpl>(m, "OpenAIGPTLMHeadModel")
                      .def(py::init<OpenAIGPTConfig>(), config);
  def_forward(lm_model, "input_ids", optional("position_ids"), optional("token_type_ids"),
              optional("lm_labels"), optional("head_mask"));
  auto double_heads = register_module<OpenAIGPTDoubleHeadsModelImpl>(m, "OpenAIGPTDoubleHeadsModel")
                          .def(py::init<OpenAIGPTConfig>(), config);
  def_forward(double_heads, "input_ids", "mc_token_ids", optional("lm_labels"),
              optional("mc_labels"), optional("token_type_ids"), optional("position_ids"),
              optional("head_mask"));
}

} // namespace

void register_openai_gpt(py::module_& m) {
  py::class_<OpenAIGPTConfig>(m, "OpenAIGPTConfig", "Configuration as the core sees it.")
      .def_static("from_json", &OpenAIGPTConfig::from_json, py::arg("text"))
      .def_static("options", &OpenAIGPTConfig::options);
  register_trunk(m);
  register_heads(m);
}

} // namespace ptbert::python
