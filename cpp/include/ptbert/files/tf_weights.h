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
  kWidthOne,   ///< [1, in, out], for a convolution of width 1: [in, out] in the model
  kPerLayer,   ///< [layers, heads, size]: a tensor of each layer; or [heads, size]: of all of them
  kPerCluster, ///< a cluster's part of a tensor that the model may have for all words
};

/// A name of TensorFlow or of our models, with "#" for a number, and the layout of the variable.
struct TfName {
  std::string name;
  TfLayout layout = TfLayout::kSame;
  /// A weight; models that have it use another variable. Empty for none.
  std::string unless = {};
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

/// One of them. Throws KeyError for an unknown family.
const TfKeyMap& tf_key_map(const std::string& family);

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

/// A variable of TensorFlow and what is written to it: a weight, for TfLayout::kPerLayer those of
/// all layers, for TfLayout::kPerCluster a part of a weight.
struct TfAssignment {
  std::string variable;
  TfLayout layout;
  std::vector<torch::Tensor> weights;
};

/// The variables that weights are written to, which have the names of the family's models with a
/// head. Names that TensorFlow has no variable for go to `left_out`, except those that hold no
/// weights. `cutoffs` are those of a Transformer-XL: the first ids of all clusters but the first.
/// Throws KeyError for an unknown family.
std::vector<TfAssignment> assign_tf_variables(const NamedTensors& weights,
                                              const std::string& family,
                                              const std::vector<int64_t>& cutoffs,
                                              std::vector<std::string>& left_out);

/// Writes weights as a TensorFlow checkpoint: `prefix`.index and `prefix`.data-00000-of-00001.
/// Arguments are those of assign_tf_variables(); returns `left_out`. Throws FileError when a file
/// cannot be written, and as assign_tf_variables() does.
std::vector<std::string> save_tf_weights(const std::string& prefix, const NamedTensors& weights,
                                         const std::string& family,
                                         const std::vector<int64_t>& cutoffs = {});

/// Loads a TensorFlow checkpoint into the tensors of a model of this family, as load_weights()
/// does. The report has TensorFlow's names of what was not used, without `training_state`. Throws
/// as load_tf_variables() and load_weights() do, and KeyError for an unknown family.
LoadReport load_tf_weights(const NamedTensors& model, const std::string& path,
                           const std::string& family);

} // namespace ptbert
