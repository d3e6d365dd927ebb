#include <map>
#include <set>

#include "ptbert/errors.h"
#include "ptbert/files/tf_checkpoint.h"
#include "ptbert/files/tf_weights.h"
#include "tf_names.h"

namespace ptbert {
namespace {

/// The variable of a weight, and the number in its name; null if there is none.
const TfName* find(const std::string& weight, const TfKeyMap& keys,
                   const std::set<std::string>& weights, std::string& number) {
  for (const auto& key : {weight, numbered(weight, number)}) {
    const auto found = keys.variables.find(key);
    if (found != keys.variables.end() && weights.count(found->second.unless) == 0)
      return &found->second;
  }
  return nullptr;
}

/// A weight, or those of all layers, as TensorFlow lays it out.
torch::Tensor variable_of(const TfAssignment& assignment) {
  const auto& weight = assignment.weights.front();
  switch (assignment.layout) {
  case TfLayout::kTransposed:
    return weight.t(); // [out, in] -> [in, out]
  case TfLayout::kWidthOne:
    return weight.dim() == 2 ? weight.unsqueeze(0) : weight; // [in, out] -> [1, in, out]
  case TfLayout::kPerLayer:
    return torch::stack(assignment.weights); // [heads, size] of each -> [layers, heads, size]
  case TfLayout::kSame:
  case TfLayout::kPerCluster:
    break;
  }
  return weight;
}

/// A tensor with its numbers in the order of its shape. One `scratch` serves all tensors: memory
/// that is freed between what stays would remain the program's.
torch::Tensor in_order(const torch::Tensor& tensor, torch::Tensor& scratch) {
  if (tensor.is_contiguous() && tensor.device().is_cpu())
    return tensor;
  if (!scratch.defined() || scratch.scalar_type() != tensor.scalar_type())
    scratch = torch::empty({0}, tensor.options().device(torch::kCPU));
  return scratch.resize_(tensor.sizes()).copy_(tensor);
}

std::string dtype_of(const torch::Tensor& tensor) {
  for (const auto& [name, dtype] : tf_dtypes()) {
    if (dtype == tensor.scalar_type())
      return name;
  }
  return torch::toString(tensor.scalar_type());
}

} // namespace

std::vector<TfAssignment> assign_tf_variables(const NamedTensors& weights,
                                              const std::string& family,
                                              const std::vector<int64_t>& cutoffs,
                                              std::vector<std::string>& left_out) {
  const auto& keys = tf_key_map(family);
  std::set<std::string> names;
  for (const auto& [name, weight] : weights)
    names.insert(name);
  std::vector<TfAssignment> assignments;
  std::map<std::string, std::map<int, torch::Tensor>> layers; // by variable and number
  for (const auto& [name, weight] : weights) {
    std::string number;
    const auto* found = find(name, keys, names, number);
    if (found == nullptr) {
      if (!is_ignored(name, key_map(family)))
        left_out.push_back(name);
    } else if (found->layout == TfLayout::kPerLayer) {
      layers[found->name][std::stoi(number)] = weight;
    } else if (found->layout == TfLayout::kPerCluster &&
               names.count("transformer.word_emb.emb_layers.1.weight") == 0) {
      for (size_t i = 0; i <= cutoffs.size(); ++i) { // one bias for all words
        const auto begin = i == 0 ? 0 : cutoffs[i - 1];
        const auto end = i == cutoffs.size() ? weight.size(0) : cutoffs[i];
        assignments.push_back({with_number(found->name, std::to_string(i)),
                               found->layout,
                               {weight.slice(0, begin, end)}});
      }
    } else {
      assignments.push_back({with_number(found->name, number), found->layout, {weight}});
    }
  }
  for (const auto& [variable, numbers] : layers) {
    assignments.push_back({variable, TfLayout::kPerLayer, {}});
    for (const auto& [number, weight] : numbers)
      assignments.back().weights.push_back(weight);
  }
  return assignments;
}

std::vector<std::string> save_tf_weights(const std::string& prefix, const NamedTensors& weights,
                                         const std::string& family,
                                         const std::vector<int64_t>& cutoffs) {
  std::vector<std::string> left_out;
  const auto assignments = assign_tf_variables(weights, family, cutoffs, left_out);
  TfCheckpointWriter writer(prefix);
  torch::NoGradGuard no_grad;
  torch::Tensor scratch;
  for (const auto& assignment : assignments) {
    const auto tensor = in_order(variable_of(assignment), scratch);
    writer.add(assignment.variable, dtype_of(tensor), tensor.sizes().vec(),
               {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()});
  }
  writer.finish();
  return left_out;
}

} // namespace ptbert
