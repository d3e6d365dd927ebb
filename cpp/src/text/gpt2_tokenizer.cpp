#include "ptbert/text/gpt2_tokenizer.h"

#include <utility>

#include "ptbert/text/bpe_files.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

using Class = CharacterClass;

constexpr std::array<Class, 128> kAsciiClasses = [] {
  std::array<Class, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    classes[c] = letter                 ? Class::kLetter
                 : c >= '0' && c <= '9' ? Class::kNumber
                 : space                ? Class::kSpace
                                        : Class::kOther;
  }
  return classes;
}();

bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }

struct Character {
  Class character_class;
  std::size_t bytes;
};

/// The character at a position of well-formed text.
Character character_at(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) -> char32_t {
    return static_cast<unsigned char>(text[position + i]);
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    return {kAsciiClasses[lead], 1};
  }
  if (lead < 0xE0) {
    return {character_class((lead & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  }
  if (lead < 0xF0) {
    return {character_class((lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)), 3};
  }
  return {character_class((lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
                          (byte(3) & 0x3F)),
          4};
}

/// Returns the end of the run of class `run` that contains `position`.
std::size_t end_of_run(std::string_view text, std::size_t position, Class run) {
  while (position < text.size()) {
    if (is_ascii(text[position])) {
      if (kAsciiClasses[static_cast<unsigned char>(text[position])] != run) {
        break;
      }
      ++position;
      continue;
    }
    const Character character = character_at(text, position);
    if (character.character_class != run) {
      break;
    }
    position += character.bytes;
  }
  return position;
}

/// Returns the length of the contraction ('s, 't, 're, 've, 'm, 'll, 'd) at a quote, or 0.
std::size_t contraction_bytes(std::string_view text) {
  const char first = text.size() > 1 ? text[1] : '\0', second = text.size() > 2 ? text[2] : '\0';
  if (first == 's' || first == 't' || first == 'm' || first == 'd') {
    return 2;
  }
  const bool two_letters =
      ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
  return two_letters ? 3 : 0;
}

/// White space at the end of the text is one word. Elsewhere its last character belongs to the next
/// word, unless it is the only one.
std::size_t end_of_white_space(std::string_view text, std::size_t begin) {
  const std::size_t end = end_of_run(text, begin, Class::kSpace);
  std::size_t last = end - 1;
  while (!starts_code_point(text[last])) {
    --last;
  }
  return end == text.size() || last == begin ? end : last;
}

std::size_t end_of_word(std::string_view text, std::size_t begin) {
  if (text[begin] == '\'') {
    if (const std::size_t bytes = contraction_bytes(text.substr(begin))) {
      return begin + bytes;
    }
  }
  const std::size_t after_space = begin + (text[begin] == ' ' && begin + 1 < text.size() ? 1 : 0);
  const Character first = character_at(text, after_space);
  return first.character_class == Class::kSpace
             ? end_of_white_space(text, begin)
             : end_of_run(text, after_space + first.bytes, first.character_class);
}

/// Calls `use` for every word.
template <typename Use> void for_each_word(std::string_view text, Use use) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = end_of_word(text, begin);
    use(text.substr(begin, end - begin));
    begin = end;
  }
}

bool is_visible_latin1(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

const std::array<std::string, 256>& byte_texts() {
  static const std::array<std::string, 256> texts = [] {
    std::array<std::string, 256> made;
    for (unsigned byte = 0; byte < 256; ++byte) {
      made[byte] = encode_utf8(std::u32string(1, gpt2_byte_character(byte)));
    }
    return made;
  }();
  return texts;
}

constexpr int kNoByte = -1;
/// Maps code points of the byte alphabet, all below U+0144, to bytes; others to kNoByte.
const std::array<std::int16_t, 0x144>& bytes_of_characters() {
  static const std::array<std::int16_t, 0x144> table = [] {
    std::array<std::int16_t, 0x144> made;
    made.fill(kNoByte);
    for (unsigned byte = 0; byte < 256; ++byte) {
      made[gpt2_byte_character(byte)] = static_cast<std::int16_t>(byte);
    }
    return made;
  }();
  return table;
}

} // namespace

std::vector<std::string_view> split_gpt2_words(std::string_view text) {
  std::vector<std::string_view> words;
  for_each_word(text, [&](std::string_view word) { words.push_back(word); });
  return words;
}

char32_t gpt2_byte_character(unsigned char byte) {
  if (is_visible_latin1(byte)) {
    return byte;
  }
  // All other bytes in order: 0x00 to 0x20, 0x7F to 0xA0, 0xAD.
  return 0x100 + (byte <= 0x20 ? byte : byte <= 0xA0 ? byte - 0x7F + 0x21 : 0x43);
}

GPT2Tokenizer::GPT2Tokenizer(const std::filesystem::path& vocab_file,
                             const std::filesystem::path& merges_file,
                             const std::vector<std::string>& special_tokens,
                             std::optional<std::int64_t> max_len)
    : GPT2Tokenizer(read_bpe(vocab_file, merges_file), max_len) {
  set_special_tokens(special_tokens);
}

GPT2Tokenizer::GPT2Tokenizer(Bpe bpe, std::optional<std::int64_t> max_len)
    : BpeTokenizer(std::move(bpe), "", max_len) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    symbols_of_bytes_[byte] = this->bpe().find(byte_texts()[byte]);
  }
}

void GPT2Tokenizer::append_symbols(std::string_view text, detail::BpeWorkspace& workspace,
                                   Symbols& symbols) const {
  for_each_word(text, [&](std::string_view word) { append_word(word, workspace, symbols); });
}

void GPT2Tokenizer::append_offsets(std::string_view text, detail::BpeWorkspace& workspace,
                                   std::vector<Offset>& offsets) const {
  std::vector<std::uint32_t> sources;
  sources.reserve(text.size());
  std::uint32_t characters = 0;
  for (const char byte : text) {
    characters += starts_code_point(byte) ? 1 : 0;
    sources.push_back(characters - 1);
  }
  for_each_word(text, [&](std::string_view word) {
    append_word_offsets(word, &sources[word.data() - text.data()], workspace, offsets);
  });
}

void GPT2Tokenizer::append_pieces(std::string_view word, std::vector<Bpe::Piece>& pieces) const {
  for (const char byte : word) {
    pieces.push_back({symbols_of_bytes_[static_cast<unsigned char>(byte)], 1});
  }
}

std::string GPT2Tokenizer::unknown_text(std::string_view piece, bool) const {
  return byte_texts()[static_cast<unsigned char>(piece[0])];
}

std::string GPT2Tokenizer::bytes_of(std::string_view joined) const {
  const auto& table = bytes_of_characters();
  std::string bytes;
  bytes.reserve(joined.size());
  for (std::size_t position = 0; position < joined.size();) {
    const auto lead = static_cast<unsigned char>(joined[position]);
    const bool two = lead >= 0xC2 && lead < 0xE0 && position + 1 < joined.size();
    const char32_t code = two ? (lead & 0x1F) << 6 | (joined[position + 1] & 0x3F) : lead;
    const std::size_t size = two ? 2 : 1;
    const bool known = (two || lead < 0x80) && code < table.size() && table[code] != kNoByte;
    if (known) {
      bytes.push_back(static_cast<char>(table[code]));
    } else {
      bytes.append(joined.substr(position, size));
    }
    position += size;
  }
  return bytes;
}

std::vector<std::string> GPT2Tokenizer::words_of(std::string_view text) const {
  std::vector<std::string> words;
  for_each_word(text, [&](std::string_view word) {
    std::string& encoded = words.emplace_back();
    for (const char byte : word) {
      encoded += byte_texts()[static_cast<unsigned char>(byte)];
    }
  });
  return words;
}

} // namespace ptbert
