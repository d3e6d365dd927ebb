#include "ptbert/files/tf_weights.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <regex>
#include <set>

#include "ptbert/errors.h"
#include "ptbert/files/tf_checkpoint.h"
#include "tensor_view.h"
#include "tf_names.h"

namespace ptbert {
namespace {

/// The last parts of names of variables that optimizers and training loops make.
const std::set<std::string> kTrainingState = {
    "adam_m",
    "adam_v", // of google-research/bert
    "Adam",
    "Adam_1", // of tf.train
    "Momentum",
    "Adagrad",
    "RMSProp",
    "RMSProp_1",
    "ExponentialMovingAverage",
    "AdamWeightDecayOptimizer",
    "AdamWeightDecayOptimizer_1",
    "LAMBOptimizer",
    "LAMBOptimizer_1",
    "lamb_m",
    "lamb_v",
    "global_step",
    "beta1_power",
    "beta2_power",
    "loss_scale",
};

bool is_training_state(const std::string& variable) {
  return kTrainingState.count(variable.substr(variable.rfind('/') + 1)) > 0;
}

/// Where a variable belongs, by the longest end of its name that the family knows.
std::optional<TfName> find(const std::string& variable, const TfKeyMap& keys) {
  for (size_t begin = 0; begin != std::string::npos;) {
    const auto end = variable.substr(begin);
    std::string number;
    for (const auto& key : {end, numbered(end, number)}) {
      const auto found = keys.weights.find(key);
      if (found == keys.weights.end())
        continue;
      const auto& [name, layout, unless] = found->second;
      return TfName{number.empty() ? name : with_number(name, number), layout};
    }
    const auto slash = variable.find('/', begin);
    begin = slash == std::string::npos ? slash : slash + 1;
  }
  return std::nullopt;
}

/// A variable as the weights that it holds.
NamedTensors weights_of(const torch::Tensor& tensor, const TfName& weight) {
  switch (weight.layout) {
  case TfLayout::kSame:
  case TfLayout::kPerCluster:
    break;
  case TfLayout::kTransposed:
    if (tensor.dim() == 2)
      return {{weight.name, tensor.t()}}; // [in, out] -> [out, in]
    break;
  case TfLayout::kWidthOne:
    if (tensor.dim() == 3 && tensor.size(0) == 1)
      return {{weight.name, tensor.squeeze(0)}}; // [1, in, out] -> [in, out]
    break;
  case TfLayout::kPerLayer: {
    const auto place = weight.name.find('#');
    NamedTensors weights;
    if (tensor.dim() != 3) { // one for all layers: the model has it beside them
      const auto begin = weight.name.rfind("layers.", place);
      return {
          {weight.name.substr(0, begin) + weight.name.substr(weight.name.rfind('.') + 1), tensor}};
    }
    for (int64_t layer = 0; layer < tensor.size(0); ++layer)
      weights.emplace_back(with_number(weight.name, std::to_string(layer)), tensor[layer]);
    return weights;
  }
  }
  return {{weight.name, tensor}};
}

/// Joins the biases of the clusters of a Transformer-XL with one table of embeddings for all words,
/// as such a model has one bias, too.
void join_clusters(TfWeights& sorted) {
  const std::map<std::string, torch::Tensor> by_name(sorted.weights.begin(), sorted.weights.end());
  if (by_name.count("transformer.word_emb.emb_layers.1.weight") > 0)
    return;
  std::vector<std::string> names;
  std::vector<torch::Tensor> biases;
  while (true) {
    auto name = "crit.out_layers." + std::to_string(names.size()) + ".bias";
    const auto found = by_name.find(name);
    if (found == by_name.end() || found->second.dim() != 1 ||
        (!biases.empty() && found->second.dtype() != biases[0].dtype()))
      break;
    names.push_back(std::move(name));
    biases.push_back(found->second);
  }
  for (size_t i = sorted.weights.size(); names.size() > 1 && i-- > 0;) {
    const auto place = std::find(names.begin(), names.end(), sorted.weights[i].first);
    if (place == names.begin()) {
      sorted.weights[i].second = torch::cat(biases);
    } else if (place != names.end()) {
      sorted.weights.erase(sorted.weights.begin() + static_cast<std::ptrdiff_t>(i));
      sorted.variables.erase(sorted.variables.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

} // namespace

NamedTensors load_tf_variables(const std::string& path) {
  const auto checkpoint = std::make_shared<const TfCheckpoint>(path);
  NamedTensors tensors;
  for (const auto& variable : checkpoint->variables()) {
    const auto dtype = tf_dtypes().find(variable.dtype);
    if (dtype == tf_dtypes().end())
      continue;
    if (variable.parts.empty()) {
      tensors.emplace_back(variable.name, view_tensor(checkpoint, checkpoint->data(variable),
                                                      variable.shape, dtype->second));
    } else {
      const auto joined = std::make_shared<std::vector<char>>(checkpoint->joined(variable));
      tensors.emplace_back(variable.name,
                           view_tensor(joined, joined->data(), variable.shape, dtype->second));
    }
  }
  return tensors;
}

std::string tf_family(const std::vector<std::string>& variables) {
  std::string best;
  int64_t most = 0;
  for (const auto& [family, keys] : tf_key_maps()) {
    const auto known =
        std::count_if(variables.begin(), variables.end(), [&, &keys = keys](const auto& variable) {
          return find(variable, keys).has_value();
        });
    if (known > most) {
      best = family;
      most = known;
    }
  }
  return best;
}

TfWeights sort_tf_variables(const NamedTensors& variables, const std::string& family) {
  const auto& keys = tf_key_map(family);
  TfWeights sorted;
  // Shorter names first: of two variables for one weight, the one in the outer scope is the
  // model's.
  auto by_length = variables;
  std::stable_sort(by_length.begin(), by_length.end(), [](const auto& left, const auto& right) {
    return left.first.size() < right.first.size();
  });
  std::set<std::string> taken;
  for (const auto& [variable, tensor] : by_length) {
    const auto weight = find(variable, keys);
    if (is_training_state(variable)) {
      sorted.training_state.push_back(variable);
    } else if (!weight || !taken.insert(weight->name).second) {
      sorted.unknown.push_back(variable);
    } else {
      for (auto& one : weights_of(tensor, *weight)) {
        sorted.weights.push_back(std::move(one));
        sorted.variables.push_back(variable);
      }
    }
  }
  join_clusters(sorted);
  std::sort(sorted.training_state.begin(), sorted.training_state.end());
  std::sort(sorted.unknown.begin(), sorted.unknown.end());
  return sorted;
}

NamedTensors left_out_projections(const NamedTensors& model, const NamedTensors& found,
                                  const std::string& family) {
  NamedTensors projections;
  if (family != "transfo-xl")
    return projections;
  const auto is_found = [&](const std::string& name) { // which may lack the prefix of the trunk
    return std::any_of(found.begin(), found.end(),
                       [&](const auto& weight) { return weight.first.ends_with(name); });
  };
  static const std::regex projection(R"(.*(emb|out)_projs\.\d+)");
  for (const auto& [name, tensor] : model) {
    if (!std::regex_match(name, projection) || tensor.size(0) != tensor.size(1))
      continue;
    const bool is_shared_and_found =
        std::any_of(model.begin(), model.end(), [&, &tensor = tensor](const auto& other) {
          return other.second.is_alias_of(tensor) && is_found(other.first);
        });
    if (!is_shared_and_found)
      projections.emplace_back(name, torch::eye(tensor.size(0)));
  }
  return projections;
}

LoadReport load_tf_weights(const NamedTensors& model, const std::string& path,
                           const std::string& family) {
  auto sorted = sort_tf_variables(load_tf_variables(path), family);
  std::map<std::string, std::string> variable_of;
  for (size_t i = 0; i < sorted.weights.size(); ++i)
    variable_of[sorted.weights[i].first] = sorted.variables[i];
  for (auto& projection : left_out_projections(model, sorted.weights, family))
    sorted.weights.push_back(std::move(projection));
  auto report = load_weights(model, sorted.weights, key_map(family));
  for (auto& name : report.unused)
    name = variable_of.at(name);
  report.unused.insert(report.unused.end(), sorted.unknown.begin(), sorted.unknown.end());
  return report;
}

} // namespace ptbert
