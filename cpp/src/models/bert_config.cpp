#include "ptbert/models/bert_config.h"

#include "checks.h"
#include "config_json.h"

namespace ptbert {
namespace {

constexpr auto for_each_field = [](auto& config, auto visit) {
  visit("vocab_size", config.vocab_size);
  visit("hidden_size", config.hidden_size);
  visit("num_hidden_layers", config.num_hidden_layers);
  visit("num_attention_heads", config.num_attention_heads);
  visit("intermediate_size", config.intermediate_size);
  visit("hidden_act", config.hidden_act);
  visit("hidden_dropout_prob", config.hidden_dropout_prob);
  visit("attention_probs_dropout_prob", config.attention_probs_dropout_prob);
  visit("max_position_embeddings", config.max_position_embeddings);
  visit("type_vocab_size", config.type_vocab_size);
  visit("initializer_range", config.initializer_range);
  visit("layer_norm_eps", config.layer_norm_eps);
  visit("pruned_heads", config.pruned_heads);
};

} // namespace

BertConfig BertConfig::from_json(const std::string& text) {
  return config_from_json<BertConfig>(text, for_each_field);
}

BertConfig BertConfig::from_json_file(const std::string& path) {
  return config_from_json_file<BertConfig>(path);
}

std::string BertConfig::to_json() const { return config_to_json(*this, for_each_field); }

void BertConfig::check() const {
  check_count("vocab_size", vocab_size);
  check_count("hidden_size", hidden_size);
  check_count("num_hidden_layers", num_hidden_layers);
  check_count("num_attention_heads", num_attention_heads);
  check_count("intermediate_size", intermediate_size);
  check_count("max_position_embeddings", max_position_embeddings);
  check_count("type_vocab_size", type_vocab_size);
  check_probability("hidden_dropout_prob", hidden_dropout_prob);
  check_probability("attention_probs_dropout_prob", attention_probs_dropout_prob);
  check_initialisation(initializer_range, "layer_norm_eps", layer_norm_eps);
}

} // namespace ptbert
