#pragma once

#include <map>
#include <string>
#include <vector>

#include "ptbert/files/checkpoint.h"

namespace ptbert {

/// Reads the variables of a TensorFlow checkpoint (`path` as for TfCheckpoint) under TensorFlow's
/// names, in its layouts. The tensors are views of private mappings: writing to them does not
/// change the files. Strings and other values that torch has no tensors of are left out. Throws as
/// TfCheckpoint does.
NamedTensors load_tf_variables(const std::string& path);

/// How TensorFlow lays out a variable, beside the tensor of the model.
enum class TfLayout {
  kSame,
  kTransposed,
  kWidthOne, ///< [1, in, out], for a convolution of width 1: [in, out] in the model
  kPerLayer, ///< [layers, heads, size]: a tensor of each layer; or [heads, size]: of all of them
};

/// Where a variable belongs: the name in models with a head, with "#" for the number in the
/// variable's name or, of TfLayout::kPerLayer, of the layer.
struct TfWeight {
  std::string name;
  TfLayout layout = TfLayout::kSame;
};

/// The weights of a family by the ends of their variables' names, from behind a "/", with "#" for
/// the first number in such an end: "layer_#/output/dense/kernel".
using TfKeyMap = std::map<std::string, TfWeight>;

/// The key maps by family, such as "bert".
const std::map<std::string, TfKeyMap>& tf_key_maps();

/// The family that knows most of these variables; empty if none knows any.
std::string tf_family(const std::vector<std::string>& variables);

/// The variables of a TensorFlow checkpoint, sorted.
struct TfWeights {
  /// Under the names of the family's models and in their layouts.
  NamedTensors weights;
  /// The variable of each of `weights`.
  std::vector<std::string> variables;
  /// Variables that are of the training rather than of the model, such as moments of Adam.
  std::vector<std::string> training_state;
  /// All others: the family has no weight of that name, or a variable of a shorter name has it.
  std::vector<std::string> unknown;
};

/// Sorts the variables of a checkpoint of this family. Transposed weights are views. Throws
/// KeyError for an unknown family.
TfWeights sort_tf_variables(const NamedTensors& variables, const std::string& family);

/// Loads a TensorFlow checkpoint into the tensors of a model of this family, as load_weights()
/// does. The report has TensorFlow's names of what was not used, without `training_state`. Throws
/// as load_tf_variables() and load_weights() do, and KeyError for an unknown family.
LoadReport load_tf_weights(const NamedTensors& model, const std::string& path,
                           const std::string& family);

} // namespace ptbert
