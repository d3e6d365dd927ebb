#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "ptbert/errors.h"

namespace ptbert {

/// Parses JSON. Throws nlohmann::json::parse_error if `text` is none, and FormatError if it is
/// nested more than 100 deep, as copying and writing a value recurse; the message completes "...,
/// but".
template <typename Json = nlohmann::json> Json parse_json(std::string_view text) {
  constexpr int kDeepest = 100;
  return Json::parse(text, [](int depth, auto, const auto&) {
    if (depth > kDeepest)
      throw FormatError("it is nested more than 100 deep");
    return true;
  });
}

} // namespace ptbert
