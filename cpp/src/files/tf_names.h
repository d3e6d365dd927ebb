#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <string>

namespace ptbert {

/// Types of torch by the names that TensorFlow has for them.
inline const std::map<std::string, torch::ScalarType>& tf_dtypes() {
  static const std::map<std::string, torch::ScalarType> dtypes = {
      {"float64", torch::kDouble},    {"float32", torch::kFloat}, {"float16", torch::kHalf},
      {"bfloat16", torch::kBFloat16}, {"int64", torch::kLong},    {"int32", torch::kInt},
      {"int16", torch::kShort},       {"int8", torch::kChar},     {"uint64", torch::kUInt64},
      {"uint32", torch::kUInt32},     {"uint16", torch::kUInt16}, {"uint8", torch::kByte},
      {"bool", torch::kBool},
  };
  return dtypes;
}

/// `name` with its first number replaced by "#"; the number goes to `number`.
inline std::string numbered(const std::string& name, std::string& number) {
  constexpr auto* kDigits = "0123456789";
  const auto begin = name.find_first_of(kDigits);
  number.clear();
  if (begin == std::string::npos)
    return name;
  const auto end = std::min(name.find_first_not_of(kDigits, begin), name.size());
  number = name.substr(begin, end - begin);
  return name.substr(0, begin) + '#' + name.substr(end);
}

/// `name` with the number in the place of its "#", if it has one.
inline std::string with_number(std::string name, const std::string& number) {
  const auto place = name.find('#');
  return place == std::string::npos ? name : name.replace(place, 1, number);
}

} // namespace ptbert
