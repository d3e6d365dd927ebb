#pragma once

#include "ptbert/files/checkpoint.h"

namespace ptbert {

/// Loads the checkpoint of `directory` (model.safetensors, or else pytorch_model.bin) into the
/// parameters and persistent buffers of `model`: a model of this library, or a torch::nn::Module
/// that holds one. The family of the first trunk found selects the key map. Throws FileError when
/// there is no checkpoint, and FormatError as load_weights() does.
LoadReport load_pretrained(torch::nn::Module& model, const std::string& directory);

/// Loads a TensorFlow checkpoint, which `path` names in one of the ways that TfCheckpoint takes,
/// into `model`, as load_tf_weights() does. Throws KeyError unless there is a trunk in it.
LoadReport load_tf_pretrained(torch::nn::Module& model, const std::string& path);

} // namespace ptbert
