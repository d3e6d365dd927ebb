#include "ptbert/generation.h"

#include <pybind11/stl.h>

#include <memory>

#include "bridge/bridge.h"
#include "bridge/node_kinds.h"
#include "gpt2_results.h"
#include "module.h"
#include "openai_gpt_results.h"

namespace ptbert::python {
namespace {

using SharedDecoder = std::shared_ptr<Decoder>;

WeightFormat format_of(const std::string& name) {
  if (name == "float32")
    return WeightFormat::kFloat32;
  if (name == "bfloat16")
    return WeightFormat::kBFloat16;
  if (name == "int8")
    return WeightFormat::kInt8;
  throw py::value_error("`weights` must be \"float32\", \"bfloat16\" or \"int8\", but is \"" +
                        name + "\".");
}

/// Calls function(model) with the C++ model of `node`, which has a language-model head.
template <typename Function> auto with_model(const py::object& node, const Function& function) {
  const auto module = bound_module(node);
  if (py::isinstance<GPT2LMHeadModelImpl>(module))
    return function(GPT2LMHeadModel(module.cast<std::shared_ptr<GPT2LMHeadModelImpl>>()));
  if (py::isinstance<TransfoXLLMHeadModelImpl>(module))
    return function(TransfoXLLMHeadModel(module.cast<std::shared_ptr<TransfoXLLMHeadModelImpl>>()));
  return function(OpenAIGPTLMHeadModel(module.cast<std::shared_ptr<OpenAIGPTLMHeadModelImpl>>()));
}

/// Why C++ must not compute `node` by its parts; nullptr if it may.
const char* why_not_computed(const py::object& node) {
  const auto module = bound_module(node).cast<std::shared_ptr<torch::nn::Module>>();
  if (!has_registered_forward(node, *module))
    return "it has hooks or a forward of its own";
  return with_model(node, [](const auto& model) { return why_not_decoded(model); });
}

/// A Python object that may be released by any thread.
std::shared_ptr<py::object> shared(py::object object) {
  return {new py::object(std::move(object)), [](py::object* owned) {
            const py::gil_scoped_acquire gil;
            delete owned;
          }};
}

/// A decoder that calls `forward`, a model as code of 2019 calls it: with ids, and with `past` if
/// it has one.
SharedDecoder plain_decoder(const py::object& forward, bool has_past, int64_t window,
                            int64_t vocabulary) {
  const auto model = shared(forward);
  if (has_past) {
    GPT2Config config;
    config.n_positions = config.n_ctx = window;
    config.vocab_size = vocabulary;
    return make_plain_decoder(config, [model](const Tensor& ids, const std::vector<Tensor>& past) {
      const py::gil_scoped_acquire gil;
      const py::tuple output =
          (*model)(to_python(ids), py::none(), py::none(), py::none(), argument_to_python(past));
      GPT2LMOutput result;
      const auto count = py::len(output); // (attentions,) scores, presents
      result.logits = Convert<Tensor>::from_python(output[count - 2], "the model");
      result.presents = Convert<std::vector<Tensor>>::from_python(output[count - 1], "the model");
      return result;
    });
  }
  OpenAIGPTConfig config;
  config.n_positions = config.n_ctx = window;
  config.vocab_size = vocabulary;
  return make_plain_decoder(config, [model](const Tensor& ids) {
    const py::gil_scoped_acquire gil;
    py::object output = (*model)(to_python(ids));
    if (py::isinstance<py::tuple>(output)) // attentions first
      output = output[py::int_(1)];
    return Convert<Tensor>::from_python(output, "the model");
  });
}

/// The same for a Transformer-XL, called with ids, no target and `mems`.
SharedDecoder plain_transfo_xl_decoder(const py::object& forward, const TransfoXLConfig& config) {
  const auto model = shared(forward);
  return make_plain_decoder(config, [model](const Tensor& ids, const std::vector<Tensor>& mems) {
    const py::gil_scoped_acquire gil;
    const py::tuple output = (*model)(to_python(ids), py::none(), argument_to_python(mems));
    TransfoXLLMOutput result;
    result.softmax_output = Convert<Tensor>::from_python(output[0], "the model");
    result.new_mems = Convert<std::vector<Tensor>>::from_python(output[1], "the model");
    return result;
  });
}

GenerationOptions options_of(const py::dict& given) {
  GenerationOptions options;
  const auto set = [&given](const char* name, auto& field) {
    if (given.contains(name))
      field = given[name].cast<std::decay_t<decltype(field)>>();
  };
  set("max_new_tokens", options.max_new_tokens);
  set("min_new_tokens", options.min_new_tokens);
  set("repetition_penalty", options.repetition_penalty);
  set("no_repeat_ngram_size", options.no_repeat_ngram_size);
  set("temperature", options.temperature);
  set("top_k", options.top_k);
  set("top_p", options.top_p);
  set("min_p", options.min_p);
  set("stop_ids", options.stop_ids);
  set("num_return_sequences", options.num_return_sequences);
  set("num_beams", options.num_beams);
  set("length_penalty", options.length_penalty);
  set("seed", options.seed);
  set("sliding_window", options.sliding_window);
  return options;
}

} // namespace

void register_generation(py::module_& m) {
  py::class_<DecoderState, std::shared_ptr<DecoderState>>(m, "DecoderState",
                                                          "What was computed of rows of tokens.")
      .def_property_readonly("tokens", &DecoderState::tokens);

  py::class_<Decoder, SharedDecoder>(m, "Decoder", "Computes next-token scores.")
      .def_property_readonly("window", &Decoder::window)
      .def_property_readonly("has_memory", &Decoder::has_memory)
      .def_property_readonly("vocabulary", &Decoder::vocabulary)
      .def(
          "prefix",
          [](const Decoder& self, const std::vector<int64_t>& ids) {
            const py::gil_scoped_release release;
            auto state = self.new_state(1, static_cast<int64_t>(ids.size()));
            self.append_states(*state, {ids}, /*all=*/false);
            return std::shared_ptr<DecoderState>(std::move(state));
          },
          py::arg("ids"));

  m.def(
      "why_not_decoded",
      [](const py::object& node) -> std::optional<std::string> {
        const auto* reason = why_not_computed(node);
        return reason ? std::optional<std::string>(reason) : std::nullopt;
      },
      py::arg("node"), "Why a model has no decoder of its own; None if it has.");
  m.def(
      "make_decoder",
      [](const py::object& node, const std::string& weights) {
        const auto format = format_of(weights);
        if (const auto* reason = why_not_computed(node))
          throw py::value_error(std::string("`model` must be one that a Decoder can serve, but ") +
                                reason + ".");
        return with_model(node,
                          [format](const auto& model) { return make_decoder(model, format); });
      },
      py::arg("node"), py::arg("weights"));
  m.def("make_plain_decoder", &plain_decoder, py::arg("forward"), py::arg("has_past"),
        py::arg("window"), py::arg("vocabulary"));
  m.def("make_plain_transfo_xl_decoder", &plain_transfo_xl_decoder, py::arg("forward"),
        py::arg("config"));

  py::class_<Generation>(m, "Generation", "Text being generated.")
      .def(py::init([](const SharedDecoder& decoder, TokenRows prompts,
                       const std::optional<std::shared_ptr<DecoderState>>& prefix,
                       const py::dict& options) {
             auto converted = options_of(options);
             const py::gil_scoped_release release;
             return std::make_unique<Generation>(decoder, std::move(prompts), std::move(converted),
                                                 prefix.value_or(nullptr));
           }),
           py::arg("decoder"), py::arg("prompts"), py::arg("prefix"), py::arg("options"))
      .def("step",
           [](Generation& self) {
             const auto written = [&self] {
               const py::gil_scoped_release release;
               return self.step();
             }();
             std::vector<std::tuple<int64_t, int64_t, double>> tokens;
             for (const auto& token : written)
               tokens.emplace_back(token.row, token.id, token.log_prob);
             return tokens;
           })
      .def("stop", &Generation::stop, py::arg("row"), py::arg("reason"))
      .def_property_readonly("done", &Generation::done)
      .def("rows", [](const Generation& self) {
        py::list rows;
        for (const auto& row : self.rows())
          rows.append(
              py::make_tuple(row.prompt, row.ids, row.log_probs, row.stop_reason, row.score));
        return rows;
      });

  m.def(
      "score",
      [](const Decoder& decoder, const TokenRows& texts, int64_t stride, int64_t window,
         int64_t batch_tokens, const py::object& on_progress) {
        OnProgress report;
        if (!on_progress.is_none()) {
          report = [&on_progress](int64_t done, int64_t all) {
            const py::gil_scoped_acquire gil;
            on_progress(done, all);
          };
        }
        const py::gil_scoped_release release;
        std::vector<std::vector<double>> log_probs;
        for (auto& text : score(decoder, texts, {stride, window, batch_tokens}, report))
          log_probs.push_back(std::move(text.log_probs));
        return log_probs;
      },
      py::arg("decoder"), py::arg("texts"), py::arg("stride"), py::arg("window"),
      py::arg("batch_tokens"), py::arg("on_progress"));
}

} // namespace ptbert::python
