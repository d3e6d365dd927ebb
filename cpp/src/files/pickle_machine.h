#pragma once

#include <torch/torch.h>

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "ptbert/errors.h"

/// The stack machine of Python's pickle format (described in Lib/pickletools.py), for what holds
/// plain data and tensors, in protocols 2 to 5. No Python is imported or run: what a pickle names
/// is looked up among what the derived class knows.

namespace ptbert {

/// What may be called.
enum class PickledFunction { kOrderedDict, kCounter, kRebuildTensor, kRebuildParameter };

/// The bytes of one or more tensors.
struct TypedStorage {
  torch::Storage bytes;
  torch::ScalarType dtype;
};

struct PickleMark {};
/// A Python object that is not read, or what was made of one.
struct ForeignObject {};
struct PickledSequence;
struct PickledDictionary;
using PickledValue =
    std::variant<std::monostate, PickleMark, ForeignObject, bool, int64_t, double, std::string_view,
                 PickledFunction, torch::ScalarType, TypedStorage, torch::Tensor, PickledSequence*,
                 PickledDictionary*>;
/// A tuple, a list or a set.
struct PickledSequence {
  std::vector<PickledValue> items;
};
struct PickledDictionary {
  std::vector<std::pair<PickledValue, PickledValue>> items;
};

class PickleMachine {
public:
  explicit PickleMachine(std::string_view program) : program_(program) {}
  virtual ~PickleMachine() = default;

  /// The next pickled value, which lives as long as this object. Throws FormatError, whose message
  /// completes "..., but", if the pickle is damaged or holds what is not read.
  PickledValue run();

protected:
  using Value = PickledValue;

  /// What stands for "module.name".
  virtual Value named(const std::string& name) = 0;
  virtual Value call(PickledFunction function, const std::vector<Value>& arguments) = 0;
  /// What is stored beside the pickle.
  virtual Value stored(const std::vector<Value>& id) = 0;

  PickledDictionary* new_dictionary() { return &dictionaries_.emplace_back(); }

  template <typename T> static T as(const Value& value, const char* expected) {
    const auto* held = std::get_if<T>(&value);
    if (held == nullptr)
      throw FormatError(std::string("its pickle has another value where ") + expected + " belongs");
    return *held;
  }

private:
  bool step();
  std::string_view take(size_t count);
  std::string_view take_line();
  template <typename Number> Number number();
  int64_t long_number();
  double big_endian_double();

  void push(Value value) { stack_.push_back(std::move(value)); }
  Value& top();
  template <typename T> T top(const char* expected) { return as<T>(top(), expected); }
  Value pop();
  std::vector<Value> pop_last(size_t count);
  std::vector<Value> pop_since_mark();
  void push_sequence(std::vector<Value> items);
  void set_items(const std::vector<Value>& items);
  void append(const std::vector<Value>& items);
  const Value& recall(uint32_t index) const;
  void reduce();

  std::string_view program_;
  size_t position_ = 0;
  std::vector<Value> stack_;
  std::unordered_map<uint32_t, Value> memo_;
  // Own all containers: pickled containers may refer to each other in cycles.
  std::deque<PickledSequence> sequences_;
  std::deque<PickledDictionary> dictionaries_;
};

} // namespace ptbert
