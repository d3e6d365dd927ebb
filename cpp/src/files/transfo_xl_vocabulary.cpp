#include "ptbert/files/transfo_xl_vocabulary.h"

#include <cerrno>
#include <filesystem>

#include "ptbert/errors.h"
#include "ptbert/files/pickled_attributes.h"

namespace ptbert {
namespace {

/// The attribute `name`, or nullptr if it is missing or of another type.
template <typename T> const T* find(const PickledAttributes& attributes, const char* name) {
  const auto found = attributes.values.find(name);
  return found == attributes.values.end() ? nullptr : std::get_if<T>(&found->second);
}

TransfoXLTokenizer tokenizer_of(const PickledAttributes& attributes, const std::string& path) {
  const auto* symbols = find<std::vector<std::string>>(attributes, "idx2sym");
  if (symbols == nullptr)
    throw FormatError("`" + path + "` must hold a list `idx2sym` of symbols, but does not.");
  TransfoXLTokenizerOptions options;
  if (const auto* special = find<std::vector<std::string>>(attributes, "special"))
    options.special = *special;
  if (const auto* lower_case = find<bool>(attributes, "lower_case"))
    options.lower_case = *lower_case;
  if (const auto* delimiter = find<std::string>(attributes, "delimiter"))
    options.delimiter = *delimiter;
  TransfoXLTokenizer tokenizer(std::move(options));
  tokenizer.set_vocabulary(*symbols);
  return tokenizer;
}

} // namespace

TransfoXLTokenizer load_transfo_xl_tokenizer(const std::string& path) {
  namespace fs = std::filesystem;
  auto file = fs::path(path);
  if (fs::is_directory(file)) {
    for (const auto* name : {"vocab.bin", "vocab.pkl", "vocab.txt"}) {
      file = fs::path(path) / name;
      if (fs::exists(file))
        break;
    }
    if (!fs::exists(file))
      throw FileError("`" + path + "` must hold vocab.bin, vocab.pkl or vocab.txt, but does not.",
                      ENOENT);
  }
  if (file.extension() != ".txt")
    return tokenizer_of(read_pickled_attributes(file.string()), file.string());
  TransfoXLTokenizer tokenizer({.vocab_file = file});
  tokenizer.build_vocab();
  return tokenizer;
}

} // namespace ptbert
