#include "ptbert/files/tf_weights.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <regex>
#include <set>

#include "ptbert/errors.h"
#include "ptbert/files/tf_checkpoint.h"
#include "tensor_view.h"

namespace ptbert {
namespace {

const std::map<std::string, torch::ScalarType>& dtypes() {
  static const std::map<std::string, torch::ScalarType> dtypes = {
      {"float64", torch::kDouble},    {"float32", torch::kFloat}, {"float16", torch::kHalf},
      {"bfloat16", torch::kBFloat16}, {"int64", torch::kLong},    {"int32", torch::kInt},
      {"int16", torch::kShort},       {"int8", torch::kChar},     {"uint64", torch::kUInt64},
      {"uint32", torch::kUInt32},     {"uint16", torch::kUInt16}, {"uint8", torch::kByte},
      {"bool", torch::kBool},
  };
  return dtypes;
}

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

/// `name` with its first number replaced by "#"; the number goes to `number`.
std::string numbered(std::string name, std::string& number) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto begin = std::find_if(name.begin(), name.end(), is_digit);
  const auto end = std::find_if_not(begin, name.end(), is_digit);
  number.assign(begin, end);
  return begin == end ? name : name.replace(begin, end, "#");
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
      auto [name, layout] = found->second;
      const auto place = name.find('#');
      if (place != std::string::npos && !number.empty())
        name.replace(place, 1, number);
      return TfName{name, layout};
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
    for (int64_t layer = 0; layer < tensor.size(0); ++layer) {
      auto name = weight.name;
      weights.emplace_back(name.replace(place, 1, std::to_string(layer)), tensor[layer]);
    }
    return weights;
  }
  }
  return {{weight.name, tensor}};
}

const TfKeyMap& keys_of(const std::string& family) {
  const auto found = tf_key_maps().find(family);
  if (found == tf_key_maps().end())
    throw KeyError("`family` must be that of a model, such as \"bert\", but is \"" + family +
                   "\".");
  return found->second;
}

/// A weight as TensorFlow lays it out.
torch::Tensor variable_of(const torch::Tensor& weight, TfLayout layout) {
  switch (layout) {
  case TfLayout::kTransposed:
    return weight.t(); // [out, in] -> [in, out]
  case TfLayout::kWidthOne:
    return weight.dim() == 2 ? weight.unsqueeze(0) : weight; // [in, out] -> [1, in, out]
  case TfLayout::kSame:
  case TfLayout::kPerLayer:
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
  for (const auto& [name, dtype] : dtypes()) {
    if (dtype == tensor.scalar_type())
      return name;
  }
  return torch::toString(tensor.scalar_type());
}

} // namespace

NamedTensors load_tf_variables(const std::string& path) {
  const auto checkpoint = std::make_shared<const TfCheckpoint>(path);
  NamedTensors tensors;
  for (const auto& variable : checkpoint->variables()) {
    const auto dtype = dtypes().find(variable.dtype);
    if (dtype == dtypes().end())
      continue;
    tensors.emplace_back(variable.name, view_tensor(checkpoint, checkpoint->data(variable),
                                                    variable.shape, dtype->second));
  }
  return tensors;
}

std::string tf_family(const std::vector<std::string>& variables) {
  std::string best;
  int64_t most = 0;
  for (const auto& [family, keys] : tf_key_maps()) {
    const auto known = std::count_if(variables.begin(), variables.end(), [&](const auto& variable) {
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
  const auto& keys = keys_of(family);
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

std::vector<std::string> save_tf_weights(const std::string& prefix, const NamedTensors& weights,
                                         const std::string& family) {
  const auto& keys = keys_of(family);
  std::vector<std::string> left_out;
  TfCheckpointWriter writer(prefix);
  torch::NoGradGuard no_grad;
  torch::Tensor scratch;
  for (const auto& [name, weight] : weights) {
    std::string number;
    const auto found = keys.variables.find(numbered(name, number));
    if (found == keys.variables.end()) {
      left_out.push_back(name);
      continue;
    }
    auto variable = found->second.name;
    if (const auto place = variable.find('#'); place != std::string::npos)
      variable.replace(place, 1, number);
    const auto tensor = in_order(variable_of(weight, found->second.layout), scratch);
    writer.add(variable, dtype_of(tensor), tensor.sizes().vec(),
               {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()});
  }
  writer.finish();
  return left_out;
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
