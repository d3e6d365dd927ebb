#include "ptbert/text/line_symbols.h"

#include <algorithm>
#include <array>
#include <utility>

#include "parallel_for.h"
#include "ptbert/errors.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

enum class ByteClass : std::uint8_t { kOther, kSeparator, kLeadOfSeparator };

/// The ASCII separators of str.split, and the lead bytes of all others: U+0085 and U+00A0 (C2),
/// U+1680 (E1), U+2000 to U+205F (E2) and U+3000 (E3).
std::array<ByteClass, 256> byte_classes() {
  std::array<ByteClass, 256> classes{};
  for (char32_t code = 0; code < 0x80; ++code) {
    if (is_word_separator(code))
      classes[code] = ByteClass::kSeparator;
  }
  for (const int lead : {0xC2, 0xE1, 0xE2, 0xE3})
    classes[lead] = ByteClass::kLeadOfSeparator;
  return classes;
}

const std::array<ByteClass, 256> kByteClasses = byte_classes();

/// Returns the length in bytes of the separator at a position, 0 if there is none.
std::size_t separator_length(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[position + i]));
  };
  const ByteClass byte_class = kByteClasses[byte(0)];
  if (byte_class != ByteClass::kLeadOfSeparator)
    return byte_class == ByteClass::kSeparator ? 1 : 0;
  if (byte(0) == 0xC2)
    return is_word_separator((byte(0) & 0x1F) << 6 | (byte(1) & 0x3F)) ? 2 : 0;
  const char32_t code = (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  return is_word_separator(code) ? 3 : 0;
}

std::string_view strip(std::string_view text) {
  std::size_t first = text.size(), last = 0;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t separator = separator_length(text, position);
    if (separator == 0) {
      first = std::min(first, position);
      last = position + 1;
    }
    position += std::max<std::size_t>(separator, 1);
  }
  return text.substr(first, last - std::min(first, last));
}

template <typename Add> void split_at_white_space(std::string_view text, Add add) {
  const std::size_t size = text.size();
  for (std::size_t position = 0; position < size;) {
    if (const std::size_t separator = separator_length(text, position)) {
      position += separator;
      continue;
    }
    const std::size_t first = position;
    while (position < size && separator_length(text, position) == 0)
      ++position;
    add(text.substr(first, position - first));
  }
}

template <typename Add>
void split_at_delimiter(std::string_view text, std::string_view delimiter, Add add) {
  for (;;) {
    const std::size_t end = text.find(delimiter);
    add(text.substr(0, end));
    if (end == std::string_view::npos)
      return;
    text.remove_prefix(end + delimiter.size());
  }
}

template <typename Add> void split_characters(std::string_view text, Add add) {
  for (auto first = text.begin(); first != text.end();) {
    const auto last = std::find_if(first + 1, text.end(), starts_code_point);
    add(text.substr(first - text.begin(), last - first));
    first = last;
  }
}

std::string lower(std::string_view text) {
  if (!is_ascii(text))
    return encode_utf8(to_lower(decode_utf8(text)));
  std::string lowered(text);
  for (char& byte : lowered)
    byte = static_cast<char>('A' <= byte && byte <= 'Z' ? byte + ('a' - 'A') : byte);
  return lowered;
}

/// Calls `add` for every symbol of a line of well-formed UTF-8. The views are valid during the
/// call.
template <typename Add>
void for_each_symbol(std::string_view line, const LineFormat& format, Add add) {
  std::string lowered;
  if (format.lower_case) {
    lowered = lower(line);
    line = lowered;
  }
  if (format.add_double_eos)
    add(kDoubleEos);
  if (!format.delimiter) {
    split_at_white_space(line, add);
  } else if (format.delimiter->empty()) {
    split_characters(strip(line), add);
  } else {
    split_at_delimiter(strip(line), *format.delimiter, add);
  }
  if (format.add_double_eos) {
    add(kDoubleEos);
  } else if (format.add_eos) {
    add(kEos);
  }
}

void append_line(std::string_view line, const LineFormat& format, IndexedLines& lines) {
  for_each_symbol(line, format, [&lines](std::string_view symbol) {
    lines.indices.push_back(lines.symbols.add(symbol));
  });
  lines.line_ends.push_back(lines.indices.size());
}

void append_lines(const IndexedLines& more, IndexedLines& lines) {
  std::vector<std::uint32_t> renumbered;
  for (std::size_t i = 0; i < more.symbols.size(); ++i)
    renumbered.push_back(lines.symbols.add(more.symbols[i]));
  const std::size_t start = lines.indices.size();
  for (const std::uint32_t index : more.indices)
    lines.indices.push_back(renumbered[index]);
  for (const std::size_t end : more.line_ends)
    lines.line_ends.push_back(start + end);
}

} // namespace

std::vector<std::string> split_line(std::string_view line, const LineFormat& format) {
  check_utf8(line);
  std::vector<std::string> symbols;
  for_each_symbol(line, format, [&](std::string_view symbol) { symbols.emplace_back(symbol); });
  return symbols;
}

SymbolCounts count_symbols(const std::filesystem::path& path, const LineFormat& format,
                           const ReadProgress& progress) {
  SymbolCounts result;
  LineReader reader(path, "path", progress);
  for (std::string_view line; reader.next(line);) {
    for_each_symbol(line, format, [&result](std::string_view symbol) {
      const std::uint32_t index = result.symbols.add(symbol);
      if (index == result.counts.size())
        result.counts.push_back(0);
      ++result.counts[index];
    });
  }
  return result;
}

std::vector<std::int64_t> IndexedLines::counts() const {
  std::vector<std::int64_t> counts(symbols.size());
  for (const std::uint32_t index : indices)
    ++counts[index];
  return counts;
}

std::size_t IndexedLines::first_line_of(std::uint32_t index) const {
  const auto found = std::find(indices.begin(), indices.end(), index);
  if (found == indices.end())
    return 0;
  const auto position = static_cast<std::size_t>(found - indices.begin());
  const auto line = std::upper_bound(line_ends.begin(), line_ends.end(), position);
  return static_cast<std::size_t>(line - line_ends.begin()) + 1;
}

IndexedLines index_lines(const std::filesystem::path& path, const LineFormat& format,
                         const ReadProgress& progress) {
  IndexedLines result;
  LineReader reader(path, "path", progress);
  for (std::string_view line; reader.next(line);)
    append_line(line, format, result);
  return result;
}

IndexedLines index_lines(const std::vector<std::string_view>& lines, const LineFormat& format,
                         std::size_t num_threads) {
  const std::size_t parts = detail::thread_count(num_threads, lines);
  const auto index_part = [&](std::size_t part) {
    IndexedLines result;
    for (std::size_t i = lines.size() * part / parts; i < lines.size() * (part + 1) / parts; ++i) {
      check_utf8(lines[i]);
      append_line(lines[i], format, result);
    }
    return result;
  };
  if (parts == 1)
    return index_part(0);
  std::vector<IndexedLines> indexed(parts);
  detail::parallel_for(parts, parts, [&](std::size_t part) { indexed[part] = index_part(part); });
  IndexedLines result = std::move(indexed[0]);
  for (std::size_t part = 1; part < parts; ++part)
    append_lines(indexed[part], result);
  return result;
}

SymbolTable read_first_words(const std::filesystem::path& vocab_file) {
  SymbolTable words;
  LineReader reader(vocab_file, "vocab_file");
  for (std::string_view line; reader.next(line);) {
    const std::vector<std::string> symbols = split_line(line, {});
    if (symbols.empty())
      throw FormatError(reader.message("hold one token a line", "is blank"));
    words.add(symbols.front());
  }
  return words;
}

} // namespace ptbert
