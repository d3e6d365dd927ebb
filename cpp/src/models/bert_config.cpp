#include "ptbert/models/bert_config.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "ptbert/errors.h"

namespace ptbert {
namespace {

/// Calls visit(name, field) for each field of the configuration: the one list of JSON keys.
template <typename Config, typename Visitor> void for_each_field(Config& config, Visitor visit) {
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
}

} // namespace

BertConfig BertConfig::from_json(const std::string& text) {
  nlohmann::json object;
  try {
    object = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(std::string("The configuration must be JSON, but is not: ") + error.what());
  }
  if (!object.is_object()) {
    throw FormatError(std::string("The configuration must be a JSON object, but is a JSON ") +
                      object.type_name() + ".");
  }
  BertConfig config;
  for_each_field(config, [&object](const char* name, auto& field) {
    const auto found = object.find(name);
    if (found == object.end())
      return;
    try {
      found->get_to(field);
    } catch (const nlohmann::json::exception&) {
      throw FormatError(std::string("`") + name +
                        "` has a value of the wrong type: " + found->dump() + ".");
    }
    object.erase(found);
  });
  for (const auto& [name, value] : object.items())
    config.unknown_keys[name] = value.dump();
  return config;
}

BertConfig BertConfig::from_json_file(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    throw FileError("There is no configuration file " + path + ".");
  return from_json(std::string(std::istreambuf_iterator<char>(file), {}));
}

std::string BertConfig::to_json() const {
  nlohmann::json object;
  for_each_field(*this, [&object](const char* name, const auto& field) { object[name] = field; });
  for (const auto& [name, value] : unknown_keys)
    object[name] = nlohmann::json::parse(value);
  return object.dump(2) + "\n";
}

} // namespace ptbert
