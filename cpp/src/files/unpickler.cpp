#include "unpickler.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <unordered_map>
#include <variant>

#include "ptbert/errors.h"

namespace ptbert {
namespace {

enum class Function { kOrderedDict, kRebuildTensor, kRebuildParameter };

/// The bytes of one or more tensors.
struct TypedStorage {
  torch::Storage bytes;
  torch::ScalarType dtype;
};

struct Mark {};
struct Sequence;
struct Dictionary;
using Value = std::variant<std::monostate, Mark, bool, int64_t, std::string_view, Function,
                           torch::ScalarType, TypedStorage, torch::Tensor, Sequence*, Dictionary*>;
/// A tuple or a list.
struct Sequence {
  std::vector<Value> items;
};
struct Dictionary {
  std::vector<std::pair<Value, Value>> items;
};

/// The only Python names that a pickle may refer to. They are never imported or called.
const std::map<std::string, Value>& known_names() {
  static const std::map<std::string, Value> names = {
      {"collections.OrderedDict", Function::kOrderedDict},
      {"torch._utils._rebuild_tensor_v2", Function::kRebuildTensor},
      {"torch._utils._rebuild_parameter", Function::kRebuildParameter},
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

/// The stack machine of Python's pickle format (described in Lib/pickletools.py), limited to what
/// torch.save writes for dictionaries of tensors and numbers in protocol 2.
class Unpickler {
public:
  Unpickler(std::string_view program, const LoadStorage& load) : program_(program), load_(load) {}

  /// Returns the pickled value, which lives as long as this object.
  Value run() {
    while (!step()) {
    }
    return pop();
  }

private:
  /// Runs one instruction; true after the last one.
  bool step() {
    switch (const auto opcode = number<uint8_t>()) {
    case 0x80: // PROTO
      take(1);
      break;
    case '.': // STOP
      return true;
    case 'N': // NONE
      push(std::monostate());
      break;
    case 0x88: // NEWTRUE
      push(true);
      break;
    case 0x89: // NEWFALSE
      push(false);
      break;
    case 'K': // BININT1
      push(int64_t{number<uint8_t>()});
      break;
    case 'M': // BININT2
      push(int64_t{number<uint16_t>()});
      break;
    case 'J': // BININT
      push(int64_t{number<int32_t>()});
      break;
    case 0x8a: // LONG1
      push(long_number());
      break;
    case 'G': // BINFLOAT
      take(8);
      push(std::monostate()); // not needed in a dictionary of tensors
      break;
    case 'X': // BINUNICODE
      push(take(number<uint32_t>()));
      break;
    case 'c': // GLOBAL
      push(known_name());
      break;
    case '(': // MARK
      push(Mark());
      break;
    case ')': // EMPTY_TUPLE
    case ']': // EMPTY_LIST
      push_sequence({});
      break;
    case 0x85: // TUPLE1
    case 0x86: // TUPLE2
    case 0x87: // TUPLE3
      push_sequence(pop_last(opcode - 0x84));
      break;
    case 't': // TUPLE
      push_sequence(pop_since_mark());
      break;
    case 'a': { // APPEND
      auto item = pop();
      top<Sequence*>("a list")->items.push_back(std::move(item));
      break;
    }
    case 'e': { // APPENDS
      const auto items = pop_since_mark();
      auto& list = top<Sequence*>("a list")->items;
      list.insert(list.end(), items.begin(), items.end());
      break;
    }
    case '}': // EMPTY_DICT
      push(&dictionaries_.emplace_back());
      break;
    case 's': { // SETITEM
      auto value = pop();
      auto key = pop();
      top<Dictionary*>("a dictionary")->items.emplace_back(std::move(key), std::move(value));
      break;
    }
    case 'u': { // SETITEMS
      const auto items = pop_since_mark();
      auto& dictionary = top<Dictionary*>("a dictionary")->items;
      for (size_t i = 0; i + 1 < items.size(); i += 2)
        dictionary.emplace_back(items[i], items[i + 1]);
      break;
    }
    case 'b': // BUILD: attributes of a dictionary, such as `_metadata` of a state dict
      pop();
      top<Dictionary*>("a dictionary");
      break;
    case 'q': // BINPUT
      memo_[number<uint8_t>()] = top();
      break;
    case 'r': // LONG_BINPUT
      memo_[number<uint32_t>()] = top();
      break;
    case 'h': // BINGET
      push(recall(number<uint8_t>()));
      break;
    case 'j': // LONG_BINGET
      push(recall(number<uint32_t>()));
      break;
    case 'Q': // BINPERSID
      push(load_storage(as<Sequence*>(pop(), "a tuple")->items));
      break;
    case 'R': { // REDUCE
      const auto* arguments = as<Sequence*>(pop(), "a tuple");
      push(call(as<Function>(pop(), "a function"), arguments->items));
      break;
    }
    default:
      throw FormatError("its pickle has the instruction " + std::to_string(opcode) +
                        ", which dictionaries of tensors do not need");
    }
    return false;
  }

  std::string_view take(size_t count) {
    if (count > program_.size() - position_)
      throw FormatError("its pickle ends too early");
    position_ += count;
    return program_.substr(position_ - count, count);
  }

  std::string_view take_line() {
    const auto line = take(std::min(program_.find('\n', position_), program_.size()) - position_);
    take(1);
    return line;
  }

  template <typename Number> Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value); // little-endian by definition
    return value;
  }

  int64_t long_number() {
    const auto bytes = take(number<uint8_t>());
    if (bytes.size() > sizeof(int64_t))
      throw FormatError("its pickle has a number of " + std::to_string(bytes.size()) + " bytes");
    const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  Value known_name() {
    const auto module = std::string(take_line());
    const auto name = module + "." + std::string(take_line());
    const auto found = known_names().find(name);
    if (found == known_names().end())
      throw FormatError("contains the Python object `" + name + "`, which is not read");
    return found->second;
  }

  [[noreturn]] static void fail_missing() {
    throw FormatError("its pickle takes a value that is not there");
  }

  void push(Value value) { stack_.push_back(std::move(value)); }

  Value& top() {
    if (stack_.empty())
      fail_missing();
    return stack_.back();
  }

  Value pop() {
    auto value = std::move(top());
    stack_.pop_back();
    return value;
  }

  template <typename T> static T as(const Value& value, const char* expected) {
    const auto* held = std::get_if<T>(&value);
    if (held == nullptr)
      throw FormatError(std::string("its pickle has another value where ") + expected + " belongs");
    return *held;
  }

  template <typename T> T top(const char* expected) { return as<T>(top(), expected); }

  std::vector<Value> pop_last(size_t count) {
    if (count > stack_.size())
      fail_missing();
    std::vector<Value> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  std::vector<Value> pop_since_mark() {
    const auto is_mark = [](const Value& value) { return std::holds_alternative<Mark>(value); };
    const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), is_mark);
    if (mark == stack_.rend())
      fail_missing();
    auto items = pop_last(static_cast<size_t>(mark - stack_.rbegin()));
    pop();
    return items;
  }

  void push_sequence(std::vector<Value> items) {
    push(&sequences_.emplace_back(Sequence{std::move(items)}));
  }

  const Value& recall(uint32_t index) const {
    const auto found = memo_.find(index);
    if (found == memo_.end())
      fail_missing();
    return found->second;
  }

  /// ("storage", dtype, name of the archive's record, device, number of elements)
  TypedStorage load_storage(const std::vector<Value>& id) {
    if (id.size() != 5)
      throw FormatError("its pickle names no storage");
    const auto dtype = as<torch::ScalarType>(id[1], "a dtype");
    const auto name = "data/" + std::string(as<std::string_view>(id[2], "a name"));
    auto found = storages_.find(name);
    if (found == storages_.end())
      found = storages_.emplace(name, load_(name)).first;
    return {found->second, dtype};
  }

  Value call(Function function, const std::vector<Value>& arguments) {
    switch (function) {
    case Function::kOrderedDict:
      if (!arguments.empty())
        throw FormatError("its pickle fills an OrderedDict in an unknown way");
      return &dictionaries_.emplace_back();
    case Function::kRebuildTensor:
      return rebuild_tensor(arguments);
    case Function::kRebuildParameter:
      if (arguments.empty())
        throw FormatError("its pickle makes a parameter of nothing");
      return as<torch::Tensor>(arguments[0], "a tensor");
    }
    TORCH_INTERNAL_ASSERT(false);
  }

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
    for (const auto& item : as<Sequence*>(value, "a tuple")->items)
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

  std::string_view program_;
  size_t position_ = 0;
  const LoadStorage& load_;
  std::vector<Value> stack_;
  std::unordered_map<uint32_t, Value> memo_;
  std::map<std::string, torch::Storage> storages_;
  // Own all containers: pickled containers may refer to each other in cycles.
  std::deque<Sequence> sequences_;
  std::deque<Dictionary> dictionaries_;
};

/// The entries that are tensors; others, such as the number of an epoch, are left out.
std::vector<std::pair<std::string, torch::Tensor>> tensors_of(const Dictionary& dictionary) {
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
const Dictionary& unwrapped(const Dictionary& dictionary) {
  for (const std::string_view wrapper : {"state_dict", "model_state_dict", "model"}) {
    for (const auto& [key, item] : dictionary.items) {
      const auto* name = std::get_if<std::string_view>(&key);
      const auto* inner = std::get_if<Dictionary*>(&item);
      if (name != nullptr && *name == wrapper && inner != nullptr && !tensors_of(**inner).empty())
        return **inner;
    }
  }
  return dictionary;
}

} // namespace

std::vector<std::pair<std::string, torch::Tensor>> unpickle_tensors(std::string_view program,
                                                                    const LoadStorage& load) {
  Unpickler unpickler(program, load);
  const auto value = unpickler.run();
  const auto* dictionary = std::get_if<Dictionary*>(&value);
  if (dictionary == nullptr)
    throw FormatError("holds another value. Save model.state_dict() with torch.save");
  const auto tensors = tensors_of(unwrapped(**dictionary));
  if (tensors.empty() && !(*dictionary)->items.empty())
    throw FormatError("holds none. Save model.state_dict() with torch.save");
  return tensors;
}

} // namespace ptbert
