#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Character data of Unicode 15.0, independent of locale and Python version, so that a text has the
// same tokens everywhere. General categories are those of Unicode Standard Annex #44, table 12.

namespace ptbert {

/// U+0009, U+000A, U+000D and category Zs: replaced by a space in clean_text().
bool is_whitespace(char32_t code);
/// Categories Cc, Cf, Cs, Co and Cn, without U+0009, U+000A and U+000D: dropped by clean_text().
bool is_control(char32_t code);
/// Categories Pc, Pd, Ps, Pe, Pi, Pf and Po, and all ASCII characters that are not letters, digits,
/// space or controls.
bool is_punctuation(char32_t code);
/// The blocks CJK Unified Ideographs with its extensions A to E and CJK Compatibility Ideographs
/// with its supplement.
bool is_chinese_char(char32_t code);
/// Category Mn.
bool is_nonspacing_mark(char32_t code);
/// The canonical combining class (UAX #44, 5.7.4), by which normalization orders combining marks; 0
/// for most code points.
std::uint8_t combining_class(char32_t code);
/// Category Zs or bidirectional class WS, B or S (UAX #9): the separators of Python's str.split.
bool is_word_separator(char32_t code);

/// The character classes of GPT-2's regular expression: \p{L} (categories L*), \p{N} (categories
/// N*), \s (the property White_Space of PropList.txt), and everything else.
enum class CharacterClass : std::uint8_t { kLetter, kNumber, kSpace, kOther };
CharacterClass character_class(char32_t code);

/// Splits a text at is_word_separator(). The views point into `text`.
std::vector<std::u32string_view> split_whitespace(std::u32string_view text);

/// Removes every is_word_separator() at both ends, as str.strip does.
std::u32string_view strip_white_space(std::u32string_view text);

/// Full lower-casing without locale (The Unicode Standard, 3.13, R2), including final sigma.
std::u32string to_lower(std::u32string_view text);

/// Normalization Form D (Unicode Standard Annex #15).
std::u32string to_nfd(std::u32string_view text);

} // namespace ptbert
