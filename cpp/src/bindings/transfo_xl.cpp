#include "forward.h"
#include "models/checks.h"
#include "module.h"
#include "transfo_xl_results.h"

namespace ptbert::python {
namespace {

void register_parts(py::module_& m) {
  auto positions = register_module<PositionalEmbeddingImpl>(m, "PositionalEmbedding")
                       .def(py::init<int64_t>(), py::arg("demb"));
  def_forward(positions, "pos_seq", optional_integer("bsz"));

  auto embedding = register_module<AdaptiveEmbeddingImpl>(m, "AdaptiveEmbedding")
                       .def(py::init<int64_t, int64_t, int64_t, std::vector<int64_t>, int64_t>(),
                            py::arg("n_token"), py::arg("d_embed"), py::arg("d_proj"),
                            py::arg("cutoffs"), py::arg("div_val"));
  def_forward(embedding, "inp");

  register_module<CoreNetImpl>(m, "CoreNet");
  auto feed_forward = register_module<PositionwiseFFImpl>(m, "PositionwiseFF")
                          .def(py::init<int64_t, int64_t, double, bool, double>(),
                               py::arg("d_model"), py::arg("d_inner"), py::arg("dropout"),
                               py::arg("pre_lnorm"), py::arg("layer_norm_epsilon") = 1e-12);
  def_forward(feed_forward, "inp");

  py::class_<TransfoXLAttentionOptions>(m, "TransfoXLAttentionOptions",
                                        "Arguments of all kinds of attention.")
      .def(py::init([](int64_t n_head, int64_t d_model, int64_t d_head, double dropout,
                       double dropatt, bool pre_lnorm, const OptionalTensorObject& r_r_bias,
                       const OptionalTensorObject& r_w_bias) {
             return TransfoXLAttentionOptions{.n_head = n_head,
                                              .d_model = d_model,
                                              .d_head = d_head,
                                              .dropout = dropout,
                                              .dropatt = dropatt,
                                              .pre_lnorm = pre_lnorm,
                                              .r_r_bias = to_optional_tensor("r_r_bias", r_r_bias),
                                              .r_w_bias = to_optional_tensor("r_w_bias", r_w_bias)};
           }),
           py::arg("n_head"), py::arg("d_model"), py::arg("d_head"), py::arg("dropout"),
           py::arg("dropatt"), py::arg("pre_lnorm"), py::arg("r_r_bias"), py::arg("r_w_bias"));
}

template <typename Impl> ModuleClass<Impl> register_attention(py::module_& m, const char* name) {
  return register_module<Impl>(m, name).def(py::init<TransfoXLAttentionOptions>(),
                                            py::arg("options"));
}

template <typename Impl> ModuleClass<Impl> register_layer(py::module_& m, const char* name) {
  return register_module<Impl>(m, name).def(py::init<TransfoXLAttentionOptions, int64_t>(),
                                            py::arg("options"), py::arg("d_inner"));
}

void register_layers_of_kinds(py::module_& m) {
  auto absolute = register_attention<MultiHeadAttnImpl>(m, "MultiHeadAttn");
  def_forward(absolute, "h", optional("attn_mask"), optional("mems"));
  auto relative = register_attention<RelPartialLearnableMultiHeadAttnImpl>(
      m, "RelPartialLearnableMultiHeadAttn");
  def_forward(relative, "w", "r", optional("attn_mask"), optional("mems"));
  auto learned = register_attention<RelLearnableMultiHeadAttnImpl>(m, "RelLearnableMultiHeadAttn");
  def_forward(learned, "w", "r_emb", optional("r_w_bias"), "r_bias", optional("attn_mask"),
              optional("mems"));

  auto absolute_layer = register_layer<DecoderLayerImpl>(m, "DecoderLayer");
  def_forward(absolute_layer, "dec_inp", optional("dec_attn_mask"), optional("mems"));
  auto relative_layer =
      register_layer<RelPartialLearnableDecoderLayerImpl>(m, "RelPartialLearnableDecoderLayer");
  def_forward(relative_layer, "dec_inp", "r", optional("dec_attn_mask"), optional("mems"));
  auto learned_layer = register_layer<RelLearnableDecoderLayerImpl>(m, "RelLearnableDecoderLayer");
  def_forward(learned_layer, "dec_inp", "r_emb", optional("r_w_bias"), "r_bias",
              optional("dec_attn_mask"), optional("mems"));
}

void register_softmax(py::module_& m) {
  auto adaptive = register_module<ProjectedAdaptiveLogSoftmaxImpl>(m, "ProjectedAdaptiveLogSoftmax")
                      .def(py::init<int64_t, int64_t, int64_t, std::vector<int64_t>, int64_t>(),
                           py::arg("n_token"), py::arg("d_embed"), py::arg("d_proj"),
                           py::arg("cutoffs"), py::arg("div_val"));
  def_forward(adaptive, "hidden", optional("target"));

  py::class_<LogUniformSampler>(m, "LogUniformSampler", "Draws ids, the lower ones more often.")
      .def(py::init<int64_t, int64_t>(), py::arg("range_max"), py::arg("n_sample"))
      .def_readonly("dist", &LogUniformSampler::dist)
      .def_readonly("log_q", &LogUniformSampler::log_q)
      .def(
          "sample",
          [](const LogUniformSampler& self, const TensorObject& labels) {
            const auto sample = self.sample(to_tensor("labels", labels));
            return py::make_tuple(to_python(sample.true_log_probs),
                                  to_python(sample.samp_log_probs), to_python(sample.neg_samples));
          },
          py::arg("labels"));
  m.def(
      "sample_logits",
      [](const TensorObject& vectors, const TensorObject& bias, const TensorObject& labels,
         const TensorObject& inputs, const TensorObject& true_log_probs,
         const TensorObject& samp_log_probs, const TensorObject& neg_samples) {
        const LogUniformSampler::Sample sample{
            .true_log_probs = to_tensor("true_log_probs", true_log_probs),
            .samp_log_probs = to_tensor("samp_log_probs", samp_log_probs),
            .neg_samples = to_tensor("neg_samples", neg_samples)};
        const auto vectors_ = to_tensor("vectors", vectors), bias_ = to_tensor("bias", bias);
        const auto labels_ = to_tensor("labels", labels), inputs_ = to_tensor("inputs", inputs);
        return run_released(
            [&] { return sample_logits(vectors_, bias_, labels_, inputs_, sample); });
      },
      py::arg("vectors"), py::arg("bias"), py::arg("labels"), py::arg("inputs"),
      py::arg("true_log_probs"), py::arg("samp_log_probs"), py::arg("neg_samples"),
      "Scores of labels and samples, [batch, seq, 1 + samples].");
}

void register_models(py::module_& m) {
  py::class_<TransfoXLConfig>(m, "TransfoXLConfig", "Configuration as the core sees it.")
      .def_static("from_json", &TransfoXLConfig::from_json, py::arg("text"));
  m.def("check_lengths", &check_lengths, py::arg("tgt_len"), py::arg("ext_len"), py::arg("mem_len"),
        "Raises ValueError unless the lengths are possible.");
  auto model = register_module<TransfoXLModelImpl>(m, "TransfoXLModel")
                   .def(py::init<TransfoXLConfig>(), py::arg("config"));
  def_forward(model, "input_ids", optional_list("mems"));
  auto lm_model = register_module<TransfoXLLMHeadModelImpl>(m, "TransfoXLLMHeadModel")
                      .def(py::init<TransfoXLConfig>(), py::arg("config"));
  def_forward(lm_model, "input_ids", optional("target"), optional_list("mems"));
}

} // namespace

void register_transfo_xl(py::module_& m) {
  register_parts(m);
  register_layers_of_kinds(m);
  register_softmax(m);
  register_models(m);
}

} // namespace ptbert::python
