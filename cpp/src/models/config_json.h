#pragma once

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "files/cannot_open.h"
#include "ptbert/errors.h"

/// Configurations as JSON. `Config` is a struct with a map `unknown_keys`. `for_each_field(config,
/// visit)` calls visit(name, field) for every other field; its names are the JSON keys.

namespace ptbert {

/// What the JSON value of a field must be, and whether `value` is.
struct FieldRule {
  bool fits;
  const char* rule;
};
inline FieldRule rule_of(int64_t, const nlohmann::json& value) {
  return {value.is_number_integer(), "a whole number"};
}
inline FieldRule rule_of(double, const nlohmann::json& value) {
  return {value.is_number(), "a number"};
}
inline FieldRule rule_of(const std::string&, const nlohmann::json& value) {
  return {value.is_string(), "a string"};
}

/// Throws FormatError when `text` is not a JSON object or a field has the wrong type.
template <typename Config, typename Fields>
Config config_from_json(const std::string& text, Fields for_each_field) {
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
  Config config;
  for_each_field(config, [&object](const char* name, auto& field) {
    const auto found = object.find(name);
    if (found == object.end())
      return;
    const auto [fits, rule] = rule_of(field, *found);
    if (!fits)
      throw FormatError(std::string("`") + name + "` must be " + rule + ", but is " +
                        found->dump() + ".");
    found->get_to(field);
    object.erase(found);
  });
  for (const auto& [name, value] : object.items())
    config.unknown_keys[name] = value.dump();
  return config;
}

/// Throws FileError when the file cannot be opened, and FormatError as config_from_json() does.
template <typename Config, typename Fields>
Config config_from_json_file(const std::string& path, Fields for_each_field) {
  std::ifstream file(path);
  if (!file)
    throw cannot_open(path);
  return config_from_json<Config>(std::string(std::istreambuf_iterator<char>(file), {}),
                                  for_each_field);
}

/// Two-space indent, sorted keys, final newline.
template <typename Config, typename Fields>
std::string config_to_json(const Config& config, Fields for_each_field) {
  nlohmann::json object;
  for_each_field(config, [&object](const char* name, const auto& field) { object[name] = field; });
  for (const auto& [name, value] : config.unknown_keys)
    object[name] = nlohmann::json::parse(value);
  return object.dump(2) + "\n";
}

} // namespace ptbert
