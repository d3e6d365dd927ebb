#include "unpickler.h"

#include <algorithm>
#include <map>

#include "pickle_machine.h"

namespace ptbert {
namespace {

/// The only Python names that a pickle may refer to. They are never imported or called.
const std::map<std::string, PickledValue>& known_names() {
  static const std::map<std::string, PickledValue> names = {
      {"collections.OrderedDict", PickledFunction::kOrderedDict},
      {"torch._utils._rebuild_tensor_v2", PickledFunction::kRebuildTensor},
      {"torch._utils._rebuild_parameter", PickledFunction::kRebuildParameter},
      {"torch.DoubleStorage", torch::kDouble},
      {"torch.FloatStorage", torch::kFloat},
      {"torch.HalfStorage", torch::kHalf},
      {"torch.BFloat16Storage", torch::kBFloat16},
      {"torch.LongStorage", torch::kLong},
      {"torch.IntStorage", torch::kInt},
      {"torch.ShortStorage", torch::kShort},
      {"torch.CharStorage", torch::kChar},
      {"torch.ByteStorage", torch::kByte},
      {"torch.BoolStorage", torch::kBool},
  };
  return names;
}

/// For what torch.save writes of dictionaries of tensors and numbers.
class TensorUnpickler : public PickleMachine {
public:
  TensorUnpickler(std::string_view program, const LoadStorage& load)
      : PickleMachine(program), load_(load) {}

protected:
  Value named(const std::string& name) override {
    const auto found = known_names().find(name);
    if (found == known_names().end())
      throw FormatError("contains the Python object `" + name + "`, which is not read");
    return found->second;
  }

  /// ("storage", dtype, name of the archive's record, device, number of elements)
  Value stored(const std::vector<Value>& id) override {
    if (id.size() != 5)
      throw FormatError("its pickle names no storage");
    const auto dtype = as<torch::ScalarType>(id[1], "a dtype");
    const auto name = "data/" + std::string(as<std::string_view>(id[2], "a name"));
    auto found = storages_.find(name);
    if (found == storages_.end())
      found = storages_.emplace(name, load_(name)).first;
    return TypedStorage{found->second, dtype};
  }

  Value call(PickledFunction function, const std::vector<Value>& arguments) override {
    switch (function) {
    case PickledFunction::kOrderedDict:
      if (!arguments.empty())
        throw FormatError("its pickle fills an OrderedDict in an unknown way");
      return new_dictionary();
    case PickledFunction::kRebuildTensor:
      return rebuild_tensor(arguments);
    case PickledFunction::kRebuildParameter:
      if (arguments.empty())
        throw FormatError("its pickle makes a parameter of nothing");
      return as<torch::Tensor>(arguments[0], "a tensor");
    case PickledFunction::kCounter: // not among the names
      break;
    }
    TORCH_INTERNAL_ASSERT(false);
  }

private:
  /// (storage, offset, sizes, strides, requires_grad, hooks); the last two are ignored.
  static torch::Tensor rebuild_tensor(const std::vector<Value>& arguments) {
    if (arguments.size() < 4)
      throw FormatError("its pickle makes a tensor of too few values");
    const auto storage = as<TypedStorage>(arguments[0], "a storage");
    const auto offset = as<int64_t>(arguments[1], "a number");
    const auto sizes = numbers(arguments[2]);
    const auto strides = numbers(arguments[3]);
    check_extent(storage, offset, sizes, strides);
    return torch::empty({0}, storage.dtype).set_(storage.bytes, offset, sizes, strides);
  }

  static std::vector<int64_t> numbers(const Value& value) {
    std::vector<int64_t> result;
    for (const auto& item : as<PickledSequence*>(value, "a tuple")->items)
      result.push_back(as<int64_t>(item, "a number"));
    return result;
  }

  /// Throws unless every element of the tensor lies within its storage.
  static void check_extent(const TypedStorage& storage, int64_t offset,
                           const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    const auto not_negative = [](int64_t value) { return value >= 0; };
    bool fits = offset >= 0 && sizes.size() == strides.size() &&
                std::all_of(sizes.begin(), sizes.end(), not_negative) &&
                std::all_of(strides.begin(), strides.end(), not_negative);
    int64_t count = 1;
    int64_t last = offset; // position of the last element
    const bool empty = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
    for (size_t i = 0; fits && !empty && i < sizes.size(); ++i) {
      int64_t span = 0;
      fits = !__builtin_mul_overflow(count, sizes[i], &count) &&
             !__builtin_mul_overflow(sizes[i] - 1, strides[i], &span) &&
             !__builtin_add_overflow(last, span, &last);
    }
    const auto available =
        static_cast<int64_t>(storage.bytes.nbytes() / torch::elementSize(storage.dtype));
    if (!fits || (empty ? last > available : last >= available))
      throw FormatError("one of its tensors lies outside of the bytes that belong to it");
  }

  const LoadStorage& load_;
  std::map<std::string, torch::Storage> storages_;
};

/// The entries that are tensors; others, such as the number of an epoch, are left out.
std::vector<std::pair<std::string, torch::Tensor>> tensors_of(const PickledDictionary& dictionary) {
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  for (const auto& [key, item] : dictionary.items) {
    const auto* name = std::get_if<std::string_view>(&key);
    const auto* tensor = std::get_if<torch::Tensor>(&item);
    if (name != nullptr && tensor != nullptr)
      tensors.emplace_back(*name, *tensor);
  }
  return tensors;
}

/// The state dict among what training code saved with it, or the dictionary itself.
const PickledDictionary& unwrapped(const PickledDictionary& dictionary) {
  for (const std::string_view wrapper : {"state_dict", "model_state_dict", "model"}) {
    for (const auto& [key, item] : dictionary.items) {
      const auto* name = std::get_if<std::string_view>(&key);
      const auto* inner = std::get_if<PickledDictionary*>(&item);
      if (name != nullptr && *name == wrapper && inner != nullptr && !tensors_of(**inner).empty())
        return **inner;
    }
  }
  return dictionary;
}

} // namespace

std::vector<std::pair<std::string, torch::Tensor>> unpickle_tensors(std::string_view program,
                                                                    const LoadStorage& load) {
  TensorUnpickler unpickler(program, load);
  const auto value = unpickler.run();
  const auto* dictionary = std::get_if<PickledDictionary*>(&value);
  if (dictionary == nullptr)
    throw FormatError("holds another value. Save model.state_dict() with torch.save");
  const auto tensors = tensors_of(unwrapped(**dictionary));
  if (tensors.empty() && !(*dictionary)->items.empty())
    throw FormatError("holds none. Save model.state_dict() with torch.save");
  return tensors;
}

} // namespace ptbert
