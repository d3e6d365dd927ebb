#pragma once

#include <string>
#include <vector>

namespace ptbert {

/// An ending of keys that some checkpoints have, and the one that models have today.
struct KeyRename {
  std::string from, to;
  /// Whether those checkpoints hold the matrix transposed.
  bool transposed = false;
};

/// How the keys of a family's checkpoints become the names of its models: the data that differ from
/// family to family.
struct KeyMap {
  /// Under which name models with a head hold the trunk, with the dot. Keys fit with or without it.
  std::string prefix;
  std::vector<KeyRename> renames;
  /// Endings of entries without weights, which are neither missing nor left over.
  std::vector<std::string> ignored;
};

/// The key map of a family by its name, as "bert"; KeyError for any other name.
const KeyMap& key_map(const std::string& family);

} // namespace ptbert
