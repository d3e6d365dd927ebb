#pragma once

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "files/cannot_open.h"
#include "files/json.h"
#include "ptbert/errors.h"

/// Configurations as JSON. `Config` is a struct with a map `unknown_keys`. `for_each_field(config,
/// visit)` calls visit(name, field) for every other field; its names are the JSON keys.

namespace ptbert {

/// What the JSON value of a field must be, and whether `value` is.
struct FieldRule {
  bool fits;
  const char* rule;
};
inline bool is_too_large(const nlohmann::json& value) { // it would become a negative number
  return value.is_number_unsigned() &&
         value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
}
inline FieldRule rule_of(int64_t, const nlohmann::json& value) {
  if (is_too_large(value))
    return {false, "below 2^63"};
  return {value.is_number_integer(), "a whole number"};
}
inline FieldRule rule_of(const std::optional<int64_t>&, const nlohmann::json& value) {
  if (value.is_null())
    return {true, ""};
  const auto [fits, rule] = rule_of(int64_t{}, value);
  return {fits, is_too_large(value) ? rule : "a whole number or null"};
}
inline FieldRule rule_of(double, const nlohmann::json& value) {
  return {value.is_number(), "a number"};
}
inline FieldRule rule_of(bool, const nlohmann::json& value) {
  return {value.is_boolean(), "true or false"};
}
inline FieldRule rule_of(const std::string&, const nlohmann::json& value) {
  return {value.is_string(), "a string"};
}

inline FieldRule rule_of(const std::vector<int64_t>&, const nlohmann::json& value) {
  const auto is_integer = [](const auto& item) {
    return item.is_number_integer() && !is_too_large(item);
  };
  return {value.is_array() && std::all_of(value.begin(), value.end(), is_integer),
          "a list of whole numbers"};
}
inline FieldRule rule_of(const std::vector<bool>&, const nlohmann::json& value) {
  const auto is_boolean = [](const auto& item) { return item.is_boolean(); };
  return {value.is_array() && std::all_of(value.begin(), value.end(), is_boolean),
          "a list of true and false"};
}

/// Heads of layers: JSON has text for keys only, so numbers are written as text.
inline FieldRule rule_of(const std::map<int64_t, std::vector<int64_t>>&,
                         const nlohmann::json& value) {
  const auto is_number = [](const std::string& key) {
    return !key.empty() && key.size() < 10 &&
           key.find_first_not_of("0123456789") == std::string::npos;
  };
  return {value.is_object() &&
              std::all_of(value.items().begin(), value.items().end(),
                          [&](const auto& item) {
                            return is_number(item.key()) &&
                                   rule_of(std::vector<int64_t>(), item.value()).fits;
                          }),
          "an object of lists of whole numbers, with numbers of layers as keys"};
}

template <typename T> void read_field(const nlohmann::json& value, T& field) {
  value.get_to(field);
}
inline void read_field(const nlohmann::json& value, std::optional<int64_t>& field) {
  field = value.is_null() ? std::nullopt : std::optional(value.get<int64_t>());
}
inline void read_field(const nlohmann::json& value,
                       std::map<int64_t, std::vector<int64_t>>& field) {
  for (const auto& [key, heads] : value.items())
    heads.get_to(field[std::stoll(key)]);
}
template <typename T> nlohmann::json json_of(const T& field) { return field; }
inline nlohmann::json json_of(const std::optional<int64_t>& field) {
  return field ? nlohmann::json(*field) : nlohmann::json();
}
inline nlohmann::json json_of(const std::map<int64_t, std::vector<int64_t>>& field) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [key, heads] : field)
    object[std::to_string(key)] = heads;
  return object;
}

/// `config` with the values of the JSON object `text`. Throws FormatError when `text` is none or a
/// field has the wrong type.
template <typename Config, typename Fields>
Config config_from_json(const std::string& text, Fields for_each_field, Config config = {}) {
  nlohmann::json object;
  try {
    object = parse_json(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw FormatError(std::string("The configuration must be JSON, but is not: ") + error.what());
  } catch (const FormatError& error) {
    throw FormatError(std::string("The configuration must be a JSON object, but ") + error.what() +
                      ".");
  }
  if (!object.is_object()) {
    throw FormatError(std::string("The configuration must be a JSON object, but is a JSON ") +
                      object.type_name() + ".");
  }
  for_each_field(config, [&object](const char* name, auto& field) {
    const auto found = object.find(name);
    if (found == object.end())
      return;
    const auto [fits, rule] = rule_of(field, *found);
    if (!fits)
      throw FormatError(std::string("`") + name + "` must be " + rule + ", but is " +
                        found->dump() + ".");
    read_field(*found, field);
    object.erase(found);
  });
  for (const auto& [name, value] : object.items())
    config.unknown_keys[name] = value.dump();
  return config;
}

/// Throws FileError when the file cannot be opened, and FormatError as from_json() does.
template <typename Config> Config config_from_json_file(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    throw cannot_open(path);
  return Config::from_json(std::string(std::istreambuf_iterator<char>(file), {}));
}

/// Two-space indent, sorted keys, final newline.
template <typename Config, typename Fields>
std::string config_to_json(const Config& config, Fields for_each_field) {
  nlohmann::json object;
  for_each_field(config, [&object](const char* name, const auto& field) {
    auto value = json_of(field);
    if (!value.is_object() || !value.empty()) // no heads were pruned
      object[name] = std::move(value);
  });
  for (const auto& [name, value] : config.unknown_keys)
    object[name] = nlohmann::json::parse(value);
  return object.dump(2) + "\n";
}

} // namespace ptbert
