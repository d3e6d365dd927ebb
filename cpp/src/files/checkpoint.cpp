#include "ptbert/files/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "cannot_open.h"
#include "json.h"
#include "mapped_file.h"
#include "ptbert/errors.h"
#include "tensor_view.h"

namespace ptbert {
namespace {

torch::ScalarType safetensors_dtype(const std::string& name) {
  static const std::map<std::string, torch::ScalarType> dtypes = {
      {"F64", torch::kDouble},    {"F32", torch::kFloat}, {"F16", torch::kHalf},
      {"BF16", torch::kBFloat16}, {"I64", torch::kLong},  {"I32", torch::kInt},
      {"I16", torch::kShort},     {"I8", torch::kChar},   {"U8", torch::kByte},
      {"BOOL", torch::kBool},
  };
  const auto found = dtypes.find(name);
  if (found == dtypes.end())
    throw FormatError("the dtype " + name + " is not supported");
  return found->second;
}

/// Returns the tensor of one header `entry` as a view of `file`, whose data start at `begin`.
torch::Tensor view_entry(const std::shared_ptr<MappedFile>& file, size_t begin,
                         const nlohmann::json& entry) {
  const auto dtype = safetensors_dtype(entry.at("dtype").get<std::string>());
  const auto shape = entry.at("shape").get<std::vector<int64_t>>();
  const auto offsets = entry.at("data_offsets").get<std::vector<uint64_t>>();
  const uint64_t available = file->size() - begin;
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > available) {
    throw FormatError("its bytes lie outside of the file, which may be truncated");
  }
  uint64_t bytes = torch::elementSize(dtype);
  for (const auto extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes))
      throw FormatError("its shape has an extent of " + std::to_string(extent));
  }
  if (bytes != offsets[1] - offsets[0]) {
    throw FormatError("its shape needs " + std::to_string(bytes) + " bytes, but it has " +
                      std::to_string(offsets[1] - offsets[0]));
  }
  return view_tensor(file, file->data() + begin + offsets[0], shape, dtype);
}

/// Returns a checkpoint entry under its name in the model, transposed if `keys` says so.
std::pair<std::string, torch::Tensor> renamed_entry(std::string name, torch::Tensor tensor,
                                                    const KeyMap& keys) {
  for (const auto& [from, to, transposed] : keys.renames) {
    if (name.ends_with(from)) {
      name.replace(name.size() - from.size(), from.size(), to);
      return {name, transposed ? tensor.t() : tensor};
    }
  }
  return {name, tensor};
}

/// `name` without what training code puts before the names of a model, in any nesting: "module." of
/// DataParallel, "model." of an object that holds it, and the family's prefix.
std::string bare_name(std::string name, const KeyMap& keys) {
  for (const auto& prefix : {std::string("module."), std::string("model."), keys.prefix}) {
    if (!prefix.empty() && name.starts_with(prefix))
      return bare_name(name.substr(prefix.size()), keys);
  }
  return name;
}

/// The entries of a checkpoint by name.
class Entries {
public:
  Entries(const NamedTensors& checkpoint, const KeyMap& keys) : keys_(keys) {
    for (const auto& [key, value] : checkpoint) {
      const auto [name, tensor] = renamed_entry(key, value, keys);
      index_of_[name] = tensors_.size();
      index_of_bare_.try_emplace(bare_name(name, keys), tensors_.size());
      tensors_.push_back(tensor);
    }
  }

  /// The entry for a model's tensor: of that very name, else of the name with or without the
  /// family's prefix, else of the same bare name.
  std::optional<size_t> find(const std::string& name) const {
    const auto& prefix = keys_.prefix;
    const bool prefixed = name.starts_with(prefix);
    for (const auto& candidate : {name, prefixed ? name.substr(prefix.size()) : prefix + name}) {
      const auto found = index_of_.find(candidate);
      if (found != index_of_.end())
        return found->second;
    }
    const auto found = index_of_bare_.find(bare_name(name, keys_));
    return found == index_of_bare_.end() ? std::nullopt : std::optional(found->second);
  }

  const torch::Tensor& operator[](size_t index) const { return tensors_[index]; }

private:
  const KeyMap& keys_;
  std::map<std::string, size_t> index_of_, index_of_bare_;
  std::vector<torch::Tensor> tensors_;
};

const void* storage_of(const torch::Tensor& tensor) {
  return tensor.unsafeGetTensorImpl()->storage().unsafeGetStorageImpl();
}

/// Whether two tensors of a model are one, under two names.
bool are_tied(const torch::Tensor& left, const torch::Tensor& right) {
  return left.is_alias_of(right) && left.storage_offset() == right.storage_offset() &&
         left.sizes() == right.sizes() && left.strides() == right.strides();
}

/// Whether two entries of one shape have the same values once they are in the tensor `target`.
bool load_alike(const torch::Tensor& left, const torch::Tensor& right,
                const torch::Tensor& target) {
  if (are_tied(left, right)) // spares reading them
    return true;
  const auto dtype = target.scalar_type();
  return torch::equal(left.to(dtype), right.to(left.device(), dtype));
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

/// The file name of each weight, from an index such as model.safetensors.index.json.
std::map<std::string, std::string> read_index(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    throw cannot_open(path);
  const auto fail = [&path](const std::string& why) {
    return FormatError("`" + path +
                       "` must hold a JSON object with the file of each weight under "
                       "`weight_map`, but " +
                       why + ". Download or save it again.");
  };
  nlohmann::json content;
  try {
    content = parse_json(std::string(std::istreambuf_iterator<char>(file), {}));
  } catch (const nlohmann::json::parse_error&) {
    throw fail("does not");
  } catch (const FormatError& error) {
    throw fail(error.what());
  }
  const auto found = content.find("weight_map");
  if (!content.is_object() || found == content.end() || !found->is_object() || found->empty())
    throw fail("does not");
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, shard] : found->items()) {
    if (!shard.is_string() || !is_plain_name(shard.get<std::string>())) {
      throw FormatError("`" + path +
                        "` must give each weight the name of a file beside it, but gives `" + name +
                        "` " + shard.dump() + ".");
    }
    shard_of[name] = shard.get<std::string>();
  }
  return shard_of;
}

NamedTensors load_file(const std::filesystem::path& path) {
  return path.extension() == ".safetensors" ? load_safetensors(path.string())
                                            : load_pytorch_bin(path.string());
}

/// Reads the files beside `index` that it names.
NamedTensors load_shards(const std::filesystem::path& index) {
  const auto shard_of = read_index(index.string());
  std::map<std::string, std::set<std::string>> names_in;
  for (const auto& [name, shard] : shard_of)
    names_in[shard].insert(name);
  NamedTensors tensors;
  for (auto& [shard, expected] : names_in) {
    const auto path = index.parent_path() / shard;
    for (auto& [name, tensor] : load_file(path)) {
      expected.erase(name);
      const auto found = shard_of.find(name);
      // What the index does not name, as another name of a tied weight, is kept, too.
      if (found == shard_of.end() || found->second == shard)
        tensors.emplace_back(name, tensor);
    }
    if (!expected.empty()) {
      throw FormatError("`" + path.string() + "` must hold `" + *expected.begin() + "`, as `" +
                        index.filename().string() +
                        "` says, but does not. Download or save both again.");
    }
  }
  return tensors;
}

} // namespace

NamedTensors load_safetensors(const std::string& path) {
  const auto file = std::make_shared<MappedFile>(path);
  const auto fail = [&path](const std::string& why) -> void {
    throw FormatError("The file " + path + " is not a whole safetensors file: " + why + ".");
  };
  uint64_t header_size = 0;
  if (file->size() < sizeof header_size)
    fail("it has " + std::to_string(file->size()) + " bytes");
  std::memcpy(&header_size, file->data(), sizeof header_size); // little-endian by definition
  if (header_size > file->size() - sizeof header_size) {
    fail("its header would need " + std::to_string(header_size) + " bytes");
  }
  nlohmann::ordered_json header;
  try {
    header =
        parse_json<nlohmann::ordered_json>(file->bytes().substr(sizeof header_size, header_size));
  } catch (const nlohmann::json::parse_error&) {
    fail("its header is not a JSON object");
  } catch (const FormatError& error) {
    fail("its header cannot be read, as " + std::string(error.what()));
  }
  if (!header.is_object())
    fail("its header is not a JSON object");
  NamedTensors tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__")
      continue;
    try {
      tensors.emplace_back(name, view_entry(file, sizeof header_size + header_size, entry));
    } catch (const FormatError& error) {
      fail("tensor `" + name + "`: " + error.what());
    } catch (const nlohmann::json::exception& error) {
      fail("tensor `" + name + "`: " + error.what());
    }
  }
  return tensors;
}

MatchedWeights match_weights(const NamedTensors& model, const NamedTensors& checkpoint,
                             const KeyMap& keys) {
  const Entries entries(checkpoint, keys);
  std::vector<std::optional<size_t>> sources;
  std::set<size_t> used;
  std::map<const void*, size_t> loaded; // for every storage, the first tensor of the model in it
  std::ostringstream mismatches;
  for (size_t i = 0; i < model.size(); ++i) {
    const auto& [name, target] = model[i];
    const auto source = entries.find(name);
    sources.push_back(source);
    if (!source)
      continue;
    used.insert(*source);
    loaded.try_emplace(storage_of(target), i);
    const auto& tensor = entries[*source];
    if (tensor.sizes() != target.sizes()) {
      mismatches << (mismatches.tellp() > 0 ? "\n" : "") << "`" << name << "` must be of shape "
                 << target.sizes() << ", but is of shape " << tensor.sizes()
                 << " in the checkpoint.";
    }
  }
  if (mismatches.tellp() > 0)
    throw FormatError(mismatches.str());
  for (size_t i = 0; i < model.size(); ++i) {
    if (!sources[i])
      continue;
    const auto first = loaded.at(storage_of(model[i].second));
    const auto one = *sources[first], other = *sources[i];
    if (one != other && are_tied(model[first].second, model[i].second) &&
        !load_alike(entries[one], entries[other], model[i].second)) {
      throw FormatError("`" + checkpoint[one].first + "` and `" + checkpoint[other].first +
                        "` must be equal, as the model ties them, but differ in the checkpoint: "
                        "it is of a model with untied weights.");
    }
  }
  if (used.empty() && !model.empty()) {
    const auto some = [](const NamedTensors& tensors) {
      return tensors.empty() ? "none" : "`" + tensors.front().first + "`, ...";
    };
    throw FormatError("The checkpoint must have weights of the model, but not one of its " +
                      std::to_string(checkpoint.size()) + " names fits: it has " +
                      some(checkpoint) + ", the model has " + some(model));
  }

  MatchedWeights matched;
  for (size_t i = 0; i < model.size(); ++i) {
    const auto& [name, target] = model[i];
    if (sources[i]) {
      matched.weights.emplace_back(name, entries[*sources[i]]);
    } else if (!is_ignored(name, keys) && loaded.count(storage_of(target)) == 0) {
      matched.missing.push_back(name);
    }
  }
  for (size_t i = 0; i < checkpoint.size(); ++i) {
    if (used.count(i) == 0 && !is_ignored(checkpoint[i].first, keys))
      matched.unused.push_back(checkpoint[i].first);
  }
  return matched;
}

LoadReport load_weights(const NamedTensors& model, const NamedTensors& checkpoint,
                        const KeyMap& keys) {
  const auto matched = match_weights(model, checkpoint, keys);
  torch::NoGradGuard no_grad;
  auto source = matched.weights.begin(); // in the order of `model`
  for (const auto& [name, target] : model) {
    if (source != matched.weights.end() && source->first == name)
      torch::Tensor(target).copy_((source++)->second);
  }
  return matched;
}

NamedTensors load_checkpoint(const std::string& directory) {
  const auto folder = std::filesystem::path(directory);
  for (const auto* name : {"model.safetensors", "pytorch_model.bin"}) {
    if (std::filesystem::exists(folder / name))
      return load_file(folder / name);
    const auto index = folder / (std::string(name) + ".index.json");
    if (std::filesystem::exists(index))
      return load_shards(index);
  }
  throw FileError("`" + directory +
                  "` must hold model.safetensors or pytorch_model.bin, but holds neither.");
}

} // namespace ptbert
