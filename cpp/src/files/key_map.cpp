#include "ptbert/files/key_map.h"

#include <algorithm>
#include <map>

#include "ptbert/errors.h"

namespace ptbert {

const KeyMap& key_map(const std::string& family) {
  // GPT and GPT-2 name their weights alike. In here, so that it is there whoever calls first.
  static const KeyMap openai = {
      .prefix = "transformer.",
      .renames = {{".g", ".weight"}, // names of OpenAI, kept by the first converted checkpoints
                  {".b", ".bias"},
                  {".w", ".weight"},
                  {"lm_head.weight", "lm_head.decoder.weight"}}, // of transformers
      // The causal mask, and a constant of transformers until version 4.30.
      .ignored = {".attn.bias", ".attn.masked_bias"}};
  static const std::map<std::string, KeyMap> key_maps = {
      {"bert",
       {.prefix = "bert.",
        // TensorFlow's names, kept by the first converted checkpoints.
        .renames = {{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}},
        // The constant numbers 0 to 511, saved by transformers until version 4.30.
        .ignored = {"embeddings.position_ids"}}},
      {"openai-gpt", openai},
      {"gpt2", openai},
      // The frequencies follow from the width.
      {"transfo-xl", {.prefix = "transformer.", .renames = {}, .ignored = {"pos_emb.inv_freq"}}},
  };
  const auto found = key_maps.find(family);
  if (found == key_maps.end())
    throw KeyError(
        "`family` must be \"bert\", \"gpt2\", \"openai-gpt\" or \"transfo-xl\", but is \"" +
        family + "\".");
  return found->second;
}

bool is_ignored(const std::string& name, const KeyMap& keys) {
  return std::any_of(keys.ignored.begin(), keys.ignored.end(),
                     [&name](const auto& ending) { return name.ends_with(ending); });
}

} // namespace ptbert
