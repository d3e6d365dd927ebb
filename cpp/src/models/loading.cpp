#include "ptbert/models/loading.h"

#include "ptbert/files/tf_weights.h"
#include "ptbert/models/module.h"

namespace ptbert {
namespace {

/// The family of the first trunk in `model`; empty if there is none.
std::string family_of(const torch::nn::Module& model) {
  for (const auto& module : model.modules()) {
    const auto* node = dynamic_cast<const Node*>(module.get());
    if (node != nullptr && !node->family().empty())
      return node->family();
  }
  return "";
}

/// The tensors of `model` that checkpoints store: parameters and persistent buffers.
NamedTensors saved_tensors(const torch::nn::Module& model) {
  NamedTensors tensors;
  for (const auto& parameter : model.named_parameters()) {
    if (parameter.value().defined())
      tensors.emplace_back(parameter.key(), parameter.value());
  }
  for (const auto& module : model.named_modules()) {
    const auto* node = dynamic_cast<const Node*>(module.value().get());
    for (const auto& buffer : module.value()->named_buffers(/*recurse=*/false)) {
      if (node != nullptr && !node->own_buffers().at(buffer.key()).persistent)
        continue;
      const auto prefix = module.key().empty() ? "" : module.key() + ".";
      tensors.emplace_back(prefix + buffer.key(), buffer.value());
    }
  }
  return tensors;
}

} // namespace

LoadReport load_pretrained(torch::nn::Module& model, const std::string& directory) {
  const auto family = family_of(model);
  return load_weights(saved_tensors(model), load_checkpoint(directory),
                      family.empty() ? KeyMap{} : key_map(family));
}

LoadReport load_tf_pretrained(torch::nn::Module& model, const std::string& path) {
  return load_tf_weights(saved_tensors(model), path, family_of(model));
}

} // namespace ptbert
