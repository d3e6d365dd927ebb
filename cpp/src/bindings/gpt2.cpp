#include "forward.h"
#include "gpt2_results.h"
#include "models/causal_attention.h"
#include "module.h"

namespace ptbert::python {
namespace {

void register_trunk(py::module_& m) {
  const auto config = py::arg("config");
  auto attention = register_module<GPT2AttentionImpl>(m, "GPT2Attention")
                       .def(py::init<int64_t, int64_t, GPT2Config, bool>(), py::arg("nx"),
                            py::arg("n_ctx"), config, py::arg("scale"));
  def_forward_by(
      attention,
      [](GPT2AttentionImpl& self, const auto&... values) {
        auto [output, heads] = self.forward_with_heads(values...);
        return GPT2AttentionResult{output, self.keep_multihead_output ? heads : Tensor()};
      },
      "x", optional("layer_past"), left_out_if_none("head_mask"));
  auto mlp = register_module<GPT2MLPImpl>(m, "GPT2MLP")
                 .def(py::init<int64_t, GPT2Config>(), py::arg("n_state"), config);
  def_forward(mlp, "x");
  auto block =
      register_module<GPT2BlockImpl>(m, "GPT2Block")
          .def(py::init<int64_t, GPT2Config, bool>(), py::arg("n_ctx"), config, py::arg("scale"));
  def_forward(block, "x", optional("layer_past"), left_out_if_none("head_mask"));
  auto model = register_module<GPT2ModelImpl>(m, "GPT2Model").def(py::init<GPT2Config>(), config);
  def_forward(model, "input_ids", optional("position_ids"), optional("token_type_ids"),
              optional_list("past"), left_out_if_none("head_mask"));
}

void register_steps(py::module_& m) {
  m.def(
      "causal_weights",
      [](const TensorObject& queries, const TensorObject& keys, const TensorObject& mask,
         bool scale, double masked) {
        const auto q = to_tensor("queries", queries), k = to_tensor("keys", keys);
        const auto seen = to_tensor("mask", mask);
        return run_released([&] { return causal_weights(q, k, seen, scale, masked); });
      },
      py::arg("queries"), py::arg("keys"), py::arg("mask"), py::arg("scale"), py::arg("masked"),
      "Attention weights before dropout, [batch, heads, query, key].");
}

void register_heads(py::module_& m) {
  const auto config = py::arg("config");
  auto lm_head =
      register_module<GPT2LMHeadImpl>(m, "GPT2LMHead")
          .def(py::init<Tensor, GPT2Config>(), py::arg("model_embeddings_weights"), config);
  def_forward(lm_head, "hidden_state");
  auto mc_head = register_module<GPT2MultipleChoiceHeadImpl>(m, "GPT2MultipleChoiceHead")
                     .def(py::init<GPT2Config>(), config);
  def_forward(mc_head, "hidden_states", "mc_token_ids");
  auto lm_model = register_module<GPT2LMHeadModelImpl>(m, "GPT2LMHeadModel")
                      .def(py::init<GPT2Config>(), config);
  def_forward(lm_model, "input_ids", optional("position_ids"), optional("token_type_ids"),
              optional("lm_labels"), optional_list("past"), optional("head_mask"));
  auto double_heads = register_module<GPT2DoubleHeadsModelImpl>(m, "GPT2DoubleHeadsModel")
                          .def(py::init<GPT2Config>(), config);
  def_forward(double_heads, "input_ids", "mc_token_ids", optional("lm_labels"),
              optional("mc_labels"), optional("token_type_ids"), optional("position_ids"),
              optional_list("past"), optional("head_mask"));
}

} // namespace

void register_gpt2(py::module_& m) {
  py::class_<GPT2Config>(m, "GPT2Config", "Configuration as the core sees it.")
      .def_static("from_json", &GPT2Config::from_json, py::arg("text"))
      .def_static("options", &GPT2Config::options);
  register_steps(m);
  register_trunk(m);
  register_heads(m);
}

} // namespace ptbert::python
