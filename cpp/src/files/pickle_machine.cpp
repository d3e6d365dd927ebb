#include "pickle_machine.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ptbert {
namespace {

[[noreturn]] void fail_missing() {
  throw FormatError("its pickle takes a value that is not there");
}

} // namespace

PickledValue PickleMachine::run() {
  stack_.clear();
  memo_.clear();
  while (!step()) {
  }
  return pop();
}

/// Runs one instruction; true after the last one.
bool PickleMachine::step() {
  switch (const auto opcode = number<uint8_t>()) {
  case 0x80: // PROTO
    take(1);
    break;
  case 0x95: // FRAME
    take(8);
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
    push(big_endian_double());
    break;
  case 'X': // BINUNICODE
    push(take(number<uint32_t>()));
    break;
  case 0x8c: // SHORT_BINUNICODE
    push(take(number<uint8_t>()));
    break;
  case 0x8d: // BINUNICODE8
    push(take(number<uint64_t>()));
    break;
  case 'U': // SHORT_BINSTRING
  case 'C': // SHORT_BINBYTES
    take(number<uint8_t>());
    push(ForeignObject());
    break;
  case 'B': // BINBYTES
    take(number<uint32_t>());
    push(ForeignObject());
    break;
  case 0x8e: // BINBYTES8
    take(number<uint64_t>());
    push(ForeignObject());
    break;
  case 'c': { // GLOBAL
    const auto module = std::string(take_line());
    push(named(module + "." + std::string(take_line())));
    break;
  }
  case 0x93: { // STACK_GLOBAL
    const auto name = std::string(as<std::string_view>(pop(), "a name"));
    push(named(std::string(as<std::string_view>(pop(), "a name")) + "." + name));
    break;
  }
  case '(': // MARK
    push(PickleMark());
    break;
  case ')':  // EMPTY_TUPLE
  case ']':  // EMPTY_LIST
  case 0x8f: // EMPTY_SET
    push_sequence({});
    break;
  case 0x85: // TUPLE1
  case 0x86: // TUPLE2
  case 0x87: // TUPLE3
    push_sequence(pop_last(opcode - 0x84));
    break;
  case 't':  // TUPLE
  case 0x91: // FROZENSET
    push_sequence(pop_since_mark());
    break;
  case 'a': // APPEND
    append(pop_last(1));
    break;
  case 'e':  // APPENDS
  case 0x90: // ADDITEMS
    append(pop_since_mark());
    break;
  case '}': // EMPTY_DICT
    push(new_dictionary());
    break;
  case 's': // SETITEM
    set_items(pop_last(2));
    break;
  case 'u': // SETITEMS
    set_items(pop_since_mark());
    break;
  case 'b': // BUILD: attributes of a dictionary, such as `_metadata` of a state dict
    pop();
    if (!std::holds_alternative<ForeignObject>(top()))
      top<PickledDictionary*>("a dictionary");
    break;
  case 'q': // BINPUT
    memo_[number<uint8_t>()] = top();
    break;
  case 'r': // LONG_BINPUT
    memo_[number<uint32_t>()] = top();
    break;
  case 0x94: // MEMOIZE
    memo_[static_cast<uint32_t>(memo_.size())] = top();
    break;
  case 'h': // BINGET
    push(recall(number<uint8_t>()));
    break;
  case 'j': // LONG_BINGET
    push(recall(number<uint32_t>()));
    break;
  case 'Q': // BINPERSID
    push(stored(as<PickledSequence*>(pop(), "a tuple")->items));
    break;
  case 0x92: // NEWOBJ_EX, with named arguments
    pop();
    [[fallthrough]];
  case 'R':  // REDUCE
  case 0x81: // NEWOBJ
    reduce();
    break;
  default:
    throw FormatError("its pickle has the instruction " + std::to_string(opcode) +
                      ", which plain data and tensors do not need");
  }
  return false;
}

std::string_view PickleMachine::take(size_t count) {
  if (count > program_.size() - position_)
    throw FormatError("its pickle ends too early");
  position_ += count;
  return program_.substr(position_ - count, count);
}

std::string_view PickleMachine::take_line() {
  const auto line = take(std::min(program_.find('\n', position_), program_.size()) - position_);
  take(1);
  return line;
}

template <typename Number> Number PickleMachine::number() {
  Number value;
  std::memcpy(&value, take(sizeof value).data(), sizeof value); // little-endian by definition
  return value;
}

int64_t PickleMachine::long_number() {
  const auto bytes = take(number<uint8_t>());
  if (bytes.size() > sizeof(int64_t))
    throw FormatError("its pickle has a number of " + std::to_string(bytes.size()) + " bytes");
  const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  int64_t value = negative ? -1 : 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

double PickleMachine::big_endian_double() {
  uint64_t bits = 0;
  for (const auto byte : take(sizeof bits))
    bits = bits << 8 | static_cast<uint8_t>(byte);
  return std::bit_cast<double>(bits);
}

PickledValue& PickleMachine::top() {
  if (stack_.empty())
    fail_missing();
  return stack_.back();
}

PickledValue PickleMachine::pop() {
  auto value = std::move(top());
  stack_.pop_back();
  return value;
}

std::vector<PickledValue> PickleMachine::pop_last(size_t count) {
  if (count > stack_.size())
    fail_missing();
  std::vector<Value> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return items;
}

std::vector<PickledValue> PickleMachine::pop_since_mark() {
  const auto is_mark = [](const Value& value) { return std::holds_alternative<PickleMark>(value); };
  const auto mark = std::find_if(stack_.rbegin(), stack_.rend(), is_mark);
  if (mark == stack_.rend())
    fail_missing();
  auto items = pop_last(static_cast<size_t>(mark - stack_.rbegin()));
  pop();
  return items;
}

void PickleMachine::push_sequence(std::vector<Value> items) {
  push(&sequences_.emplace_back(PickledSequence{std::move(items)}));
}

void PickleMachine::append(const std::vector<Value>& items) {
  if (std::holds_alternative<ForeignObject>(top()))
    return;
  auto& list = top<PickledSequence*>("a list")->items;
  list.insert(list.end(), items.begin(), items.end());
}

void PickleMachine::set_items(const std::vector<Value>& items) {
  if (std::holds_alternative<ForeignObject>(top()))
    return;
  auto& dictionary = top<PickledDictionary*>("a dictionary")->items;
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    dictionary.emplace_back(items[i], items[i + 1]);
}

const PickledValue& PickleMachine::recall(uint32_t index) const {
  const auto found = memo_.find(index);
  if (found == memo_.end())
    fail_missing();
  return found->second;
}

void PickleMachine::reduce() {
  const auto* arguments = as<PickledSequence*>(pop(), "a tuple");
  const auto called = pop();
  if (std::holds_alternative<ForeignObject>(called))
    push(ForeignObject());
  else
    push(call(as<PickledFunction>(called, "a function"), arguments->items));
}

} // namespace ptbert
