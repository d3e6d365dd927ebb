#pragma once

#include <string>
#include <vector>

namespace ptbert {

/// Renames checkpoint keys that end in `from` to end in `to`.
struct KeyRename {
  std::string from, to;
  /// Whether the checkpoint stores the matrix transposed.
  bool transposed = false;
};

/// How checkpoint keys of one family are mapped to names in its models.
struct KeyMap {
  /// The trunk's name in models with a head, with the dot. Keys match with or without it.
  std::string prefix;
  std::vector<KeyRename> renames;
  /// Endings of keys that hold no weights; never reported as missing or unused.
  std::vector<std::string> ignored;
};

/// The key map of a family, such as "bert". Throws KeyError for an unknown family.
const KeyMap& key_map(const std::string& family);

/// Whether a name ends as one of `keys.ignored`.
bool is_ignored(const std::string& name, const KeyMap& keys);

} // namespace ptbert
