#pragma once

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

#include "ptbert/files/key_map.h"

namespace ptbert {

/// Tensors by name, in the order of the file or model.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Reads a .safetensors file. The tensors are views of a private mapping of the file: writing to
/// them does not change the file. Throws FileError when the file cannot be opened, FormatError when
/// header, offsets and sizes are inconsistent.
NamedTensors load_safetensors(const std::string& path);

/// Reads a pytorch_model.bin in zip format: a dictionary of tensors saved by torch.save. No code in
/// the pickle is executed. Tensors that shared storage when saved share it again. Throws FileError
/// when the file cannot be opened, FormatError when it is anything else; for files of torch before
/// 1.6 the message says how to convert them.
NamedTensors load_pytorch_bin(const std::string& path);

/// Reads model.safetensors, or else pytorch_model.bin, from `directory`. In place of either there
/// may be its shards with their index, as model.safetensors.index.json: each is read once. Throws
/// FileError when there is neither or a shard is missing, FormatError when the index is invalid,
/// names a file elsewhere, or names a weight that the shard does not hold.
NamedTensors load_checkpoint(const std::string& directory);

/// The names that did not match when weights were loaded.
struct LoadReport {
  /// Names of model tensors that are not in the checkpoint, except tensors tied to a loaded one.
  std::vector<std::string> missing;
  /// Names in the checkpoint that the model has no tensor for.
  std::vector<std::string> unused;
};

/// The entries of a checkpoint under the names of a model's tensors.
struct MatchedWeights : LoadReport {
  /// In the order of the model; not those that are missing.
  NamedTensors weights;
};

/// Finds for each tensor of `model` the entry of `checkpoint`, after renaming its keys by `keys`.
/// Throws FormatError naming all tensors whose shapes differ, or two entries that differ although
/// the model ties their tensors.
MatchedWeights match_weights(const NamedTensors& model, const NamedTensors& checkpoint,
                             const KeyMap& keys);

/// Copies `checkpoint` into the tensors of `model`, as match_weights() finds them. Throws as that
/// does, before anything is copied.
LoadReport load_weights(const NamedTensors& model, const NamedTensors& checkpoint,
                        const KeyMap& keys);

} // namespace ptbert
