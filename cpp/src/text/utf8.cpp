#include "ptbert/text/utf8.h"

#include <cstdint>
#include <cstdio>
#include <stdexcept>

#include "hash.h"

namespace ptbert {
namespace {

/// Returns the length of the longest prefix of ill-formed text that could begin a well-formed
/// sequence; at least 1.
std::size_t maximal_subpart(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0xC2 || lead > 0xF4 ? 1
                             : lead >= 0xF0             ? 4
                             : lead >= 0xE0             ? 3
                                                        : 2;
  std::size_t part = 1;
  for (; part < length && part < text.size(); ++part) {
    const auto byte = static_cast<unsigned char>(text[part]);
    // The second byte of some leads has a narrower range (table 3-7).
    const bool second = part == 1;
    const unsigned first = second && lead == 0xE0 ? 0xA0 : second && lead == 0xF0 ? 0x90 : 0x80;
    const unsigned last = second && lead == 0xED ? 0x9F : second && lead == 0xF4 ? 0x8F : 0xBF;
    if (byte < first || byte > last) {
      break;
    }
  }
  return part;
}

} // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  std::size_t position = 0;
  while (position < text.size()) {
    if (position + 8 <= text.size() &&
        (detail::load<std::uint64_t>(text.data() + position) & kHighBits) == 0) {
      position += 8; // ASCII
      continue;
    }
    const std::size_t length = peek_utf8(text, position).length;
    if (length == 0) {
      return position;
    }
    position += length;
  }
  return std::string_view::npos;
}

void check_utf8(std::string_view text) {
  const std::size_t invalid = find_invalid_utf8(text);
  if (invalid != std::string_view::npos) {
    throw_invalid_utf8(text, invalid);
  }
}

void throw_invalid_utf8(std::string_view text, std::size_t position) {
  char byte[5];
  std::snprintf(byte, sizeof byte, "0x%02X", static_cast<unsigned char>(text[position]));
  throw std::invalid_argument("`text` must be UTF-8, but byte " + std::to_string(position) + " (" +
                              byte + ") is not.");
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const Utf8CodePoint decoded = decode_utf8_at(text, position);
    codes.push_back(decoded.code);
    position += decoded.length;
  }
  return codes;
}

void append_utf8(std::string& text, char32_t code) {
  const auto append = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    append(code);
  } else if (code < 0x800) {
    append(0xC0 | code >> 6);
    append(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    append(0xE0 | code >> 12);
    append(0x80 | (code >> 6 & 0x3F));
    append(0x80 | (code & 0x3F));
  } else {
    append(0xF0 | code >> 18);
    append(0x80 | (code >> 12 & 0x3F));
    append(0x80 | (code >> 6 & 0x3F));
    append(0x80 | (code & 0x3F));
  }
}

std::string encode_utf8(std::u32string_view text) {
  std::string encoded;
  encoded.reserve(text.size());
  for (const char32_t code : text) {
    append_utf8(encoded, code);
  }
  return encoded;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (;;) {
    const std::size_t invalid = find_invalid_utf8(bytes);
    text.append(bytes.substr(0, invalid));
    if (invalid == std::string_view::npos) {
      return text;
    }
    bytes.remove_prefix(invalid);
    append_utf8(text, 0xFFFD);
    bytes.remove_prefix(maximal_subpart(bytes));
  }
}

} // namespace ptbert
