#include "ptbert/files/pickled_attributes.h"

#include <caffe2/serialize/inline_container.h>

#include <optional>

#include "mapped_file.h"
#include "pickle_machine.h"

namespace ptbert {
namespace {

using namespace std::string_view_literals;

/// How files by torch before 1.6 begin: a pickled number. Pickles of the format's version, of the
/// machine and of the value follow.
constexpr auto kLegacyBeginning = "\x80\x02\x8a\x0al\xfc\x9c"
                                  "F\xf9 j\xa8P\x19."sv;

/// For dictionaries and text; what else a pickle names is foreign.
class PlainUnpickler : public PickleMachine {
public:
  using PickleMachine::PickleMachine;

protected:
  Value named(const std::string& name) override {
    if (name == "collections.OrderedDict")
      return PickledFunction::kOrderedDict;
    if (name == "collections.Counter")
      return PickledFunction::kCounter;
    return ForeignObject();
  }

  Value stored(const std::vector<Value>&) override { return ForeignObject(); }

  /// Both are made of a dictionary, or of a list of pairs. What they are given is not copied: it
  /// may be given a thousand times.
  Value call(PickledFunction, const std::vector<Value>& arguments) override {
    if (arguments.empty())
      return new_dictionary();
    if (const auto* given = std::get_if<PickledDictionary*>(&arguments.front()))
      return *given;
    auto* made = new_dictionary();
    const auto items = std::move(as<PickledSequence*>(arguments.front(), "a list")->items);
    for (const auto& item : items) {
      const auto& pair = as<PickledSequence*>(item, "a pair")->items;
      if (pair.size() != 2)
        throw FormatError("its pickle has another value where a pair belongs");
      made->items.emplace_back(pair[0], pair[1]);
    }
    return made;
  }
};

/// Copies values of plain data, of which a small pickle may hold the same text any number of times.
class AttributeMaker {
public:
  explicit AttributeMaker(size_t pickle_size) : bytes_left_(kLargestGrowth * pickle_size) {}

  /// Nothing for a value of another type.
  std::optional<PickledAttribute> operator()(const PickledValue& value) {
    if (std::holds_alternative<std::monostate>(value))
      return PickledAttribute();
    if (const auto* truth = std::get_if<bool>(&value))
      return *truth;
    if (const auto* number = std::get_if<int64_t>(&value))
      return *number;
    if (const auto* number = std::get_if<double>(&value))
      return *number;
    if (const auto* text = std::get_if<std::string_view>(&value))
      return copied(*text);
    if (const auto* sequence = std::get_if<PickledSequence*>(&value))
      return texts_of(**sequence);
    if (const auto* dictionary = std::get_if<PickledDictionary*>(&value))
      return numbers_of(**dictionary);
    return std::nullopt;
  }

private:
  /// A tokenizer has every symbol three times: in idx2sym, sym2idx and counter.
  static constexpr size_t kLargestGrowth = 16;

  std::string copied(std::string_view text) {
    if (text.size() >= bytes_left_)
      throw FormatError("repeats its texts too often");
    bytes_left_ -= text.size() + 1;
    return std::string(text);
  }

  std::optional<PickledAttribute> texts_of(const PickledSequence& sequence) {
    std::vector<std::string> texts;
    for (const auto& item : sequence.items) {
      const auto* text = std::get_if<std::string_view>(&item);
      if (text == nullptr)
        return std::nullopt;
      texts.push_back(copied(*text));
    }
    return texts;
  }

  std::optional<PickledAttribute> numbers_of(const PickledDictionary& dictionary) {
    std::vector<std::pair<std::string, int64_t>> numbers;
    for (const auto& [key, item] : dictionary.items) {
      const auto* text = std::get_if<std::string_view>(&key);
      const auto* number = std::get_if<int64_t>(&item);
      if (text == nullptr || number == nullptr)
        return std::nullopt;
      numbers.emplace_back(copied(*text), *number);
    }
    return numbers;
  }

  size_t bytes_left_;
};

PickledAttributes unpickle(std::string_view program) {
  const bool is_legacy = program.starts_with(kLegacyBeginning);
  PlainUnpickler unpickler(is_legacy ? program.substr(kLegacyBeginning.size()) : program);
  if (is_legacy) {
    unpickler.run(); // the version
    unpickler.run(); // the machine
  }
  const auto value = unpickler.run();
  const auto* dictionary = std::get_if<PickledDictionary*>(&value);
  if (dictionary == nullptr)
    throw FormatError("holds another value");
  PickledAttributes result;
  AttributeMaker attribute_of(program.size());
  for (const auto& [key, item] : (*dictionary)->items) {
    const auto* name = std::get_if<std::string_view>(&key);
    if (name == nullptr)
      throw FormatError("has a key that is no text");
    if (auto attribute = attribute_of(item))
      result.values.insert_or_assign(std::string(*name), std::move(*attribute));
    else
      result.left_out.emplace_back(*name);
  }
  return result;
}

} // namespace

PickledAttributes read_pickled_attributes(const std::string& path) {
  const MappedFile file(path);
  const auto fail = [&path](const std::string& why) {
    return FormatError("`" + path + "` must hold a dictionary of plain data, saved by torch.save " +
                       "or pickle, but " + why + ".");
  };
  try {
    if (!file.bytes().starts_with("PK\x03\x04"))
      return unpickle(file.bytes());
    caffe2::serialize::PyTorchStreamReader archive(path);
    const auto [program, size] = archive.getRecord("data.pkl");
    return unpickle({static_cast<const char*>(program.get()), size});
  } catch (const FormatError& error) {
    throw fail(error.what());
  } catch (const c10::Error& error) {
    throw fail("is truncated or damaged (" + std::string(error.what_without_backtrace()) + ")");
  } catch (const std::exception& error) { // such as a version number that is not a number
    throw fail("is damaged (" + std::string(error.what()) + ")");
  }
}

} // namespace ptbert
