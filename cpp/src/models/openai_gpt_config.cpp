#include "ptbert/models/openai_gpt_config.h"

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
  visit("afn", config.afn);
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
    {"tie_word_embeddings", {"true"}},
};

} // namespace

OpenAIGPTConfig OpenAIGPTConfig::from_json(const std::string& text) {
  OpenAIGPTConfig defaults;
  defaults.n_ctx = 0;
  auto config = config_from_json(text, for_each_field, defaults);
  if (config.n_ctx == 0)
    config.n_ctx = config.n_positions;
  return config;
}

OpenAIGPTConfig OpenAIGPTConfig::from_json_file(const std::string& path) {
  return config_from_json_file<OpenAIGPTConfig>(path);
}

std::string OpenAIGPTConfig::to_json() const { return config_to_json(*this, for_each_field); }

std::vector<std::string> OpenAIGPTConfig::options() {
  std::vector<std::string> names;
  for (const auto& [name, values] : kOptions)
    names.push_back(name);
  return names;
}

void OpenAIGPTConfig::check() const {
  check_count("vocab_size", vocab_size);
  TORCH_CHECK_VALUE(n_special >= 0, "`n_special` must be at least 0, but is ", n_special, ".");
  check_count("n_positions", n_positions);
  check_count("n_ctx", n_ctx);
  check_count("n_embd", n_embd);
  check_count("n_layer", n_layer);
  check_count("n_head", n_head);
  check_probability("resid_pdrop", resid_pdrop);
  check_probability("embd_pdrop", embd_pdrop);
  check_probability("attn_pdrop", attn_pdrop);
  check_initialisation(initializer_range, "layer_norm_epsilon", layer_norm_epsilon);
  check_options(unknown_keys, kOptions);
}

} // namespace ptbert
