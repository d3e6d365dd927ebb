#pragma once

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

#include "ptbert/files/key_map.h"

namespace ptbert {

/// Tensors by name, in the order of the file or model.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Reads a .safetensors file. The tensors are views of the file, mapped privately: writing to one
/// changes memory only. Throws FileError when the file cannot be opened, FormatError when header,
/// offsets or sizes do not fit together.
NamedTensors load_safetensors(const std::string& path);

/// Reads a pytorch_model.bin in zip format: a dictionary of tensors saved by torch.save. Nothing
/// that the file may contain is run. Tensors that shared memory still do. Throws FileError when the
/// file cannot be opened, FormatError for anything else than such a file; for the format of torch
/// before 1.6 the text says how to convert it.
NamedTensors load_pytorch_bin(const std::string& path);

/// Reads model.safetensors, or else pytorch_model.bin, of `directory`. Throws FileError when there
/// is neither.
NamedTensors load_checkpoint(const std::string& directory);

/// What loading left undone.
struct LoadReport {
  /// Names of the model that the checkpoint lacks; tensors tied to a loaded one are not among them.
  std::vector<std::string> missing;
  /// Names of the checkpoint that the model has no place for.
  std::vector<std::string> unused;
};

/// Copies `checkpoint` into the tensors of `model`, by the names that `keys` makes of the
/// checkpoint's. Throws FormatError naming every tensor of another shape, before anything is
/// copied.
LoadReport load_weights(const NamedTensors& model, const NamedTensors& checkpoint,
                        const KeyMap& keys);

} // namespace ptbert
