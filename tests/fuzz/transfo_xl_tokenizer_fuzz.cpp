// Transformer-XL's tokenizer: the symbols of lines beside their definition, corpora and vocabulary
// files.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz_support.h"
#include "ptbert/errors.h"
#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/transfo_xl_tokenizer.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert::fuzz {
namespace {

using Strings = std::vector<std::string>;
using Ids = std::vector<std::int64_t>;

struct Choices {
  bool lower_case, add_eos, add_double_eos, vocab_file, special;
  std::optional<std::string> delimiter;
};

Strings lines_of(std::string_view text) {
  Strings lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(text.substr(0, 2) == "\r\n" ? 2 : text.empty() ? 0 : 1);
  }
  return lines;
}

std::string strip(const std::string& line) {
  const std::u32string codes = decode_utf8(line);
  const auto words = split_whitespace(codes);
  return words.empty() ? ""
                       : encode_utf8(std::u32string(words.front().begin(), words.back().end()));
}

/// The symbols of a line one step after the other.
Strings split_by_steps(const std::string& line, const Choices& choices) {
  const std::string lowered = choices.lower_case ? encode_utf8(to_lower(decode_utf8(line))) : line;
  Strings symbols;
  if (!choices.delimiter) {
    symbols = whitespace_tokenize(lowered);
  } else if (choices.delimiter->empty()) {
    for (const char32_t code : decode_utf8(strip(lowered))) {
      symbols.push_back(encode_utf8({&code, 1}));
    }
  } else {
    const std::string stripped = strip(lowered);
    std::size_t begin = 0;
    for (std::size_t end; (end = stripped.find(*choices.delimiter, begin)) != std::string::npos;
         begin = end + choices.delimiter->size()) {
      symbols.push_back(stripped.substr(begin, end - begin));
    }
    symbols.push_back(stripped.substr(begin));
  }
  if (choices.add_double_eos) {
    symbols.insert(symbols.begin(), std::string(kDoubleEos));
    symbols.emplace_back(kDoubleEos);
  } else if (choices.add_eos) {
    symbols.emplace_back(kEos);
  }
  return symbols;
}

TransfoXLTokenizer make_tokenizer(const Choices& choices, const std::filesystem::path& file,
                                  std::uint8_t limits) {
  TransfoXLTokenizerOptions options;
  options.lower_case = choices.lower_case;
  options.delimiter = choices.delimiter;
  options.min_freq = limits % 4;
  if (limits & 4) {
    options.max_size = limits / 8;
  }
  if (choices.special) {
    options.special = {"<unk>", "<eos>", "the"};
  }
  if (choices.vocab_file) {
    options.vocab_file = file;
  }
  TransfoXLTokenizer tokenizer(options);
  tokenizer.count_file(file, choices.add_eos);
  tokenizer.build_vocab();
  return tokenizer;
}

void check(Input input) {
  static const TemporaryFolder folder;
  const unsigned bits = input.byte();
  Choices choices{.lower_case = (bits & 1) != 0,
                  .add_eos = (bits & 2) != 0,
                  .add_double_eos = (bits & 4) != 0,
                  .vocab_file = (bits & 8) != 0,
                  .special = (bits & 16) != 0,
                  .delimiter = {}};
  if (bits & 32) {
    choices.delimiter = replace_invalid_utf8(input.part());
  }
  const std::uint8_t limits = input.byte();
  const std::string_view bytes = input.rest();
  const auto file = folder.write("corpus.txt", bytes);
  const TransfoXLTokenizer tokenizer = make_tokenizer(choices, file, limits);
  require(find_invalid_utf8(bytes) == std::string_view::npos, "a file must be UTF-8");
  for (std::size_t id = 0; id < tokenizer.size(); ++id) {
    const auto number = static_cast<std::int64_t>(id);
    require(tokenizer.id(tokenizer.symbol(number)) == number, "a symbol has its own id");
  }

  const auto encode = [&](std::string_view line) {
    return tokenizer.encode(line, choices.add_eos, choices.add_double_eos);
  };
  const auto encode_file = [&] {
    return tokenizer.encode_file(file, choices.add_eos, choices.add_double_eos);
  };
  Ids ids;
  for (const std::string& line : lines_of(bytes)) {
    require(tokenizer.tokenize(line, choices.add_eos, choices.add_double_eos) ==
                split_by_steps(line, choices),
            "symbols are those of the steps");
    if (throws<KeyError>([&] { encode(line); })) {
      require(throws<FormatError>(encode_file), "a symbol without id is none in a file either");
      return;
    }
    const Ids more = encode(line);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  require(encode_file() == ids, "a file has the ids of its lines");
}

} // namespace
} // namespace ptbert::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    ptbert::fuzz::check({data, size});
  } catch (const ptbert::FormatError&) {
    // A file that is refused.
  }
  return 0;
}
