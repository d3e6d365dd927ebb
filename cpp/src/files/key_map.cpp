#include "ptbert/files/key_map.h"

#include <map>

#include "ptbert/errors.h"

namespace ptbert {

const KeyMap& key_map(const std::string& family) {
  static const std::map<std::string, KeyMap> key_maps = {
      {"bert",
       {.prefix = "bert.",
        // TensorFlow's names, kept by the first converted checkpoints.
        .renames = {{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}},
        // The constant numbers 0 to 511, saved by transformers until version 4.30.
        .ignored = {"embeddings.position_ids"}}},
  };
  const auto found = key_maps.find(family);
  if (found == key_maps.end())
    throw KeyError("`family` must be \"bert\", but is \"" + family + "\".");
  return found->second;
}

} // namespace ptbert
