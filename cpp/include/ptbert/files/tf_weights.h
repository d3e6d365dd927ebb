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

/// A name of TensorFlow or of our models, with "#" for a number, and the layout of the variable.
struct TfName {
  std::string name;
  TfLayout layout = TfLayout::kSame;
};

/// How the variables of a family are named in TensorFlow and in our models.
struct TfKeyMap {
  /// The weights, as models with a head name them, by the ends of their variables' names from
  /// behind a "/". "#" is the first number in such an end, as in "layer_#/output/dense/kernel"; of
  /// TfLayout::kPerLayer the number of the layer.
  std::map<std::string, TfName> weights;
  /// The variables that are written, by their weights.
  std::map<std::string, TfName> variables;
};

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

/// What a TensorFlow checkpoint of a Transformer-XL with the weights `found` leaves out:
/// projections of `model` between equal widths, which are identities. Empty for other families.
NamedTensors left_out_projections(const NamedTensors& model, const NamedTensors& found,
                                  const std::string& family);

/// Writes weights, under the names of the family's models with a head, as a TensorFlow checkpoint:
/// `prefix`.index and `prefix`.data-00000-of-00001. Returns the names of those that TensorFlow has
/// no variable for. Throws FileError when a file cannot be written, KeyError for an unknown family.
std::vector<std::string> save_tf_weights(const std::string& prefix, const NamedTensors& weights,
                                         const std::string& family);

/// Loads a TensorFlow checkpoint into the tensors of a model of this family, as load_weights()
/// does. The report has TensorFlow's names of what was not used, without `training_state`. Throws
/// as load_tf_variables() and load_weights() do, and KeyError for an unknown family.
LoadReport load_tf_weights(const NamedTensors& model, const std::string& path,
                           const std::string& family);

} // namespace ptbert
