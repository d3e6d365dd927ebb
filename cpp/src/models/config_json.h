#pragma once

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "ptbert/errors.h"

/// Configurations as JSON. `Config` is a struct with a map `unknown_keys`. `for_each_field(config,
/// visit)` calls visit(name, field) for every other field; its names are the JSON keys.

namespace ptbert {

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

/// Throws FileError when there is no such file, and FormatError as config_from_json() does.
template <typename Config, typename Fields>
Config config_from_json_file(const std::string& path, Fields for_each_field) {
  std::ifstream file(path);
  if (!file)
    throw FileError("There is no configuration file " + path + ".");
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
