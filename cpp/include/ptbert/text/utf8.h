#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ptbert {

/// Returns the position of the first byte that does not start a well-formed UTF-8 sequence (The
/// Unicode Standard, table 3-7: no surrogates, overlong forms or code points above U+10FFFF), or
/// std::string_view::npos.
std::size_t find_invalid_utf8(std::string_view text);

/// The bytes of U+FEFF as a byte order mark, which editors put before the text of a file.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Returns the number of bytes of the byte order mark that a text starts with: 0 or 3.
inline std::size_t byte_order_mark_length(std::string_view text) {
  return text.substr(0, kByteOrderMark.size()) == kByteOrderMark ? kByteOrderMark.size() : 0;
}

/// Whether a byte of well-formed UTF-8 is the first of its code point.
inline bool starts_code_point(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

/// A code point and its length in bytes.
struct Utf8CodePoint {
  char32_t code;
  std::size_t length; // 0 if the text is not well-formed
};

/// Returns the code point that starts at `position`, which must be within the text.
inline Utf8CodePoint peek_utf8(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[position + i]); };
  const auto is_tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const auto tail = [&](std::size_t i) { return static_cast<char32_t>(byte(i) & 0x3F); };
  const std::size_t left = text.size() - position;
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    return {lead, 1};
  }
  if (lead >= 0xC2 && lead < 0xE0 && left >= 2 && is_tail(1)) {
    return {(lead & 0x1F) << 6 | tail(1), 2};
  }
  if (lead >= 0xE0 && lead < 0xF0 && left >= 3 && is_tail(1) && is_tail(2)) {
    const char32_t code = (lead & 0x0F) << 12 | tail(1) << 6 | tail(2);
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < 0x800 || surrogate ? Utf8CodePoint{0, 0} : Utf8CodePoint{code, 3};
  }
  if (lead >= 0xF0 && lead < 0xF5 && left >= 4 && is_tail(1) && is_tail(2) && is_tail(3)) {
    const char32_t code = (lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3);
    return code < 0x10000 || code > 0x10FFFF ? Utf8CodePoint{0, 0} : Utf8CodePoint{code, 4};
  }
  return {0, 0};
}

/// Throws std::invalid_argument: the byte at `position` does not start a code point.
[[noreturn]] void throw_invalid_utf8(std::string_view text, std::size_t position);

/// Throws std::invalid_argument if a text is not well-formed.
void check_utf8(std::string_view text);

/// Returns the code point that starts at `position`; throws std::invalid_argument if none does.
inline Utf8CodePoint decode_utf8_at(std::string_view text, std::size_t position) {
  const Utf8CodePoint decoded = peek_utf8(text, position);
  if (decoded.length == 0) {
    throw_invalid_utf8(text, position);
  }
  return decoded;
}

/// Returns the code points of UTF-8 text; throws std::invalid_argument if it is not well-formed.
std::u32string decode_utf8(std::string_view text);

/// Appends the UTF-8 form of a code point, which must not be a surrogate.
void append_utf8(std::string& text, char32_t code);

/// Returns the UTF-8 form of code points, which must not be surrogates.
std::string encode_utf8(std::u32string_view text);

/// Replaces every maximal ill-formed subpart by U+FFFD (The Unicode Standard, 3.9, U+FFFD
/// Substitution of Maximal Subparts), as Python's errors="replace" does.
std::string replace_invalid_utf8(std::string_view bytes);

} // namespace ptbert
