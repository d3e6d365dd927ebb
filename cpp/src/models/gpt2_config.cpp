#include "ptbert/models/gpt2_config.h"

#include "checks.h"
#include "config_json.h"

namespace ptbert {
namespace {

constexpr auto for_each_field = [](auto& config, auto visit) {
  visit("vocab_size", config.vocab_size);
  visit("n_special", config.n_special);
  visit("n_positions", config.n_positions);
  visit("n_ctx", config.n_ctx);
  visit("n_embd", config.n_embd);
  visit("n_layer", config.n_layer);
  visit("n_head", config.n_head);
  visit("n_inner", config.n_inner);
  visit("resid_pdrop", config.resid_pdrop);
  visit("embd_pdrop", config.embd_pdrop);
  visit("attn_pdrop", config.attn_pdrop);
  visit("layer_norm_epsilon", config.layer_norm_epsilon);
  visit("initializer_range", config.initializer_range);
  visit("predict_special_tokens", config.predict_special_tokens);
  visit("pruned_heads", config.pruned_heads);
};

/// Options of today's files that change the arithmetic, with the values that mean this library's.
const std::map<std::string, std::vector<std::string>> kOptions = {
    {"activation_function", {"\"gelu_new\"", "\"gelu_fast\"", "\"gelu_pytorch_tanh\""}},
    {"add_cross_attention", {"false"}},
    {"reorder_and_upcast_attn", {"false"}},
    {"scale_attn_by_inverse_layer_idx", {"false"}},
    {"scale_attn_weights", {"true"}},
    {"tie_word_embeddings", {"true"}},
};

} // namespace

GPT2Config GPT2Config::from_json(const std::string& text) {
  GPT2Config defaults;
  defaults.n_ctx = 0;
  auto config = config_from_json(text, for_each_field, defaults);
  if (config.n_ctx == 0)
    config.n_ctx = config.n_positions;
  return config;
}

GPT2Config GPT2Config::from_json_file(const std::string& path) {
  return config_from_json_file<GPT2Config>(path);
}

std::string GPT2Config::to_json() const { return config_to_json(*this, for_each_field); }

std::vector<std::string> GPT2Config::options() {
  std::vector<std::string> names = {"n_inner"};
  for (const auto& [name, values] : kOptions)
    names.push_back(name);
  return names;
}

void GPT2Config::check() const {
  check_count("vocab_size", vocab_size);
  TORCH_CHECK_VALUE(n_special >= 0, "`n_special` must be at least 0, but is ", n_special, ".");
  check_count("n_positions", n_positions);
  check_count("n_ctx", n_ctx);
  check_count("n_embd", n_embd);
  check_count("n_layer", n_layer);
  check_count("n_head", n_head);
  check_count("n_inner", inner_width());
  check_probability("resid_pdrop", resid_pdrop);
  check_probability("embd_pdrop", embd_pdrop);
  check_probability("attn_pdrop", attn_pdrop);
  check_initialisation(initializer_range, "layer_norm_epsilon", layer_norm_epsilon);
  check_options(unknown_keys, kOptions);
}

} // namespace ptbert
