#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ptbert {

/// Returns the position of the first byte that starts no well-formed UTF-8 sequence (The Unicode
/// Standard, table 3-7: no surrogate, no overlong form, nothing above U+10FFFF), or
/// std::string_view::npos.
std::size_t find_invalid_utf8(std::string_view text);

/// Returns the code points of UTF-8 text; std::invalid_argument where it is not well-formed.
std::u32string decode_utf8(std::string_view text);

/// Returns the UTF-8 form of code points, which must not be surrogates.
std::string encode_utf8(std::u32string_view text);

/// Puts U+FFFD for every maximal part that is not well-formed (The Unicode Standard, 3.9, U+FFFD
/// Substitution of Maximal Subparts), as Python's errors="replace" does.
std::string replace_invalid_utf8(std::string_view bytes);

} // namespace ptbert
