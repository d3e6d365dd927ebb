#include "ptbert/text/bpe_files.h"

#include <charconv>
#include <cstdio>
#include <future>

#include "ptbert/errors.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

/// Parses a flat JSON object of strings and integers (RFC 8259).
class VocabularyReader {
public:
  VocabularyReader(std::string_view json, const std::string& file)
      : json_(json), file_(file), position_(byte_order_mark_length(json)) {}

  std::vector<Vocabulary::Entry> read() {
    constexpr std::size_t kBytesOfEntry = 16; // a guess, to reserve memory
    std::vector<Vocabulary::Entry> entries;
    entries.reserve(json_.size() / kBytesOfEntry);
    expect('{', "an object");
    if (!skip('}')) {
      do {
        std::string token = read_string();
        expect(':', "a colon");
        entries.push_back({std::move(token), read_integer()});
      } while (skip(','));
      expect('}', "a comma or the object's end");
    }
    skip_space();
    if (position_ != json_.size()) {
      fail("the end of the file");
    }
    return entries;
  }

private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw FormatError("`vocab_file` must be a JSON object of tokens and integer ids, but byte " +
                      std::to_string(position_) + " of " + file_ + " is not " + expected + ".");
  }

  void skip_space() {
    while (position_ < json_.size() && (json_[position_] == ' ' || json_[position_] == '\n' ||
                                        json_[position_] == '\r' || json_[position_] == '\t')) {
      ++position_;
    }
  }

  bool skip(char wanted) {
    skip_space();
    if (position_ == json_.size() || json_[position_] != wanted) {
      return false;
    }
    ++position_;
    return true;
  }

  void expect(char wanted, const char* name) {
    if (!skip(wanted)) {
      fail(name);
    }
  }

  std::int64_t read_integer() {
    skip_space();
    const char* const begin = json_.data() + position_;
    const char* const end = json_.data() + json_.size();
    std::int64_t value = 0;
    const auto [after, error] = std::from_chars(begin, end, value);
    const char* const digits = begin != end && *begin == '-' ? begin + 1 : begin;
    const bool leading_zero = after - digits > 1 && *digits == '0';
    const bool fraction = after != end && (*after == '.' || *after == 'e' || *after == 'E');
    if (error != std::errc() || leading_zero || fraction) {
      fail("an integer of 64 bits");
    }
    position_ += after - begin;
    return value;
  }

  std::string read_string() {
    expect('"', "a string");
    std::string text;
    while (position_ < json_.size()) {
      const std::size_t begin = position_;
      while (position_ < json_.size() && json_[position_] != '"' && json_[position_] != '\\' &&
             static_cast<unsigned char>(json_[position_]) >= 0x20) {
        ++position_;
      }
      text.append(json_, begin, position_ - begin);
      if (skip_byte('"')) {
        return text;
      }
      if (!skip_byte('\\')) {
        break;
      }
      append_escape(text);
    }
    fail("a character of a string");
  }

  bool skip_byte(char wanted) {
    const bool found = position_ < json_.size() && json_[position_] == wanted;
    position_ += found ? 1 : 0;
    return found;
  }

  void append_escape(std::string& text) {
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (skip_byte('u')) {
      append_utf8(text, read_code_point());
      return;
    }
    const std::size_t index =
        position_ < json_.size() ? kNames.find(json_[position_]) : std::string_view::npos;
    if (index == std::string_view::npos) {
      fail("an escape");
    }
    text.push_back(kMeanings[index]);
    ++position_;
  }

  char32_t read_code_point() {
    const char32_t code = read_hexadecimal();
    const bool high = code >= 0xD800 && code < 0xDC00, low = code >= 0xDC00 && code < 0xE000;
    if (low || (high && !(skip_byte('\\') && skip_byte('u')))) {
      fail("a pair of surrogates");
    }
    if (!high) {
      return code;
    }
    const char32_t second = read_hexadecimal();
    if (second < 0xDC00 || second >= 0xE000) {
      fail("a pair of surrogates");
    }
    return 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
  }

  char32_t read_hexadecimal() {
    constexpr std::size_t kDigits = 4;
    const std::string_view digits = json_.substr(position_, kDigits);
    std::uint32_t value = 0;
    const auto [after, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() < kDigits || error != std::errc() || after != digits.data() + kDigits) {
      fail("a hexadecimal number of 4 digits");
    }
    position_ += kDigits;
    return value;
  }

  std::string_view json_;
  const std::string& file_;
  std::size_t position_;
};

/// Returns the two words of a line, separated as by str.split; the first is empty if the line does
/// not have exactly two.
std::pair<std::string_view, std::string_view> two_words(std::string_view line) {
  const std::size_t space = line.find(' ');
  const auto is_plain = [](std::string_view word) {
    for (const char c : word) {
      // Beyond ASCII, only U+0085 and U+00A0 (lead 0xC2) and code points of the lead bytes 0xE1,
      // 0xE2 and 0xE3 may be white space.
      const auto byte = static_cast<unsigned char>(c);
      if (byte <= ' ' || byte == 0xC2 || (byte >= 0xE1 && byte <= 0xE3)) {
        return false;
      }
    }
    return !word.empty();
  };
  if (space != std::string_view::npos && is_plain(line.substr(0, space)) &&
      is_plain(line.substr(space + 1))) {
    return {line.substr(0, space), line.substr(space + 1)};
  }
  const std::u32string codes = decode_utf8(line);
  const std::vector<std::u32string_view> words = split_whitespace(codes);
  if (words.size() != 2) {
    return {};
  }
  // The byte position in the line is the length of what comes before.
  const auto part = [&](std::u32string_view word) {
    const std::size_t before = word.data() - codes.data();
    const std::size_t begin = encode_utf8(std::u32string_view(codes).substr(0, before)).size();
    return line.substr(begin, encode_utf8(word).size());
  };
  return {part(words[0]), part(words[1])};
}

void append_json_string(std::string& json, std::string_view text) {
  json.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kNames = "\"\\bfnrt";
    const std::size_t index = kEscaped.find(c);
    if (index != std::string_view::npos) {
      json.append({'\\', kNames[index]});
    } else if (byte < 0x20) {
      char escape[7];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      json.append(escape);
    } else {
      json.push_back(c);
    }
  }
  json.push_back('"');
}

} // namespace

std::vector<Vocabulary::Entry> parse_vocab_json(std::string_view json, const std::string& file) {
  check_utf8_of_file(json, "vocab_file", file);
  return VocabularyReader(json, file).read();
}

std::vector<Bpe::Merge> parse_merges(std::string_view text, const std::string& file) {
  check_utf8_of_file(text, "merges_file", file);
  constexpr std::size_t kBytesOfLine = 8; // a guess, to reserve memory
  std::vector<Bpe::Merge> merges;
  merges.reserve(text.size() / kBytesOfLine);
  std::string_view line;
  take_line(text, line);
  for (std::uint32_t rank = 0; take_line(text, line); ++rank) {
    const auto [left, right] = two_words(line);
    if (!left.empty()) {
      merges.push_back({left, right, rank});
    }
  }
  return merges;
}

Bpe read_bpe(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file) {
  // Reads both files in parallel if a thread can be started.
  std::string text;
  auto merges = std::async(std::launch::async | std::launch::deferred, [&] {
    text = read_text_file(merges_file, "merges_file");
    return parse_merges(text, merges_file.string());
  });
  const std::string json = read_text_file(vocab_file, "vocab_file");
  const std::vector<Vocabulary::Entry> tokens = parse_vocab_json(json, vocab_file.string());
  return Bpe(tokens, merges.get());
}

void write_bpe_files(const std::filesystem::path& directory, const Bpe& bpe,
                     const std::vector<std::string>& special_tokens) {
  const auto write = [&](const char* name, const std::string& content) {
    write_vocabulary_file(directory / name, content,
                          "an existing directory that can be written to");
  };
  std::string json = "{";
  for (const Bpe::Symbol token : bpe.tokens()) {
    json.append(json.size() == 1 ? "" : ", ");
    append_json_string(json, bpe.text(token));
    json.append(": ").append(std::to_string(bpe.id(token)));
  }
  write(kBpeVocabularyName, json + "}");

  std::string lines = "#version: 0.2\n";
  for (const Bpe::Merge& merge : bpe.merges()) {
    lines.append(merge.left).append(" ").append(merge.right).append("\n");
  }
  write(kMergesName, lines);

  lines.clear();
  for (const std::string& token : special_tokens) {
    lines.append(token).append("\n");
  }
  write(kSpecialTokensName, lines);
}

} // namespace ptbert
