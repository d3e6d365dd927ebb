#include "ptbert/text/unicode.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace ptbert {
namespace {

struct LowerMapping {
  char32_t code, lower;
};

struct Decomposition {
  char32_t code;
  char32_t full[4]; // padded with zeros
};

struct CombiningClass {
  char32_t code;
  std::uint8_t value;
};

#include "unicode_tables.inc"

// Must be in the same order as in tools/generate_unicode_tables.py.
enum Property : std::uint16_t {
  kControl = 1 << 0,
  kSpaceSeparator = 1 << 1,
  kWordSeparator = 1 << 2,
  kPunctuation = 1 << 3,
  kNonspacingMark = 1 << 4,
  kCased = 1 << 5, // and not case-ignorable
  kCaseIgnorable = 1 << 6,
  kLowers = 1 << 7,
  kNormalizes = 1 << 8, // has a decomposition or a combining class
  kLetter = 1 << 9,
  kNumber = 1 << 10,
  kWhiteSpaceProperty = 1 << 11,
};

constexpr char32_t kLastCodePoint = 0x10FFFF;
constexpr std::size_t kBlockSize = 256;
static_assert(std::size(kPropertyBlocks) * kBlockSize == kLastCodePoint + 1);

std::uint16_t properties_of(char32_t code) {
  if (code > kLastCodePoint) {
    return kControl;
  }
  const std::size_t block = kPropertyBlocks[code / kBlockSize];
  return kProperties[block * kBlockSize + code % kBlockSize];
}

bool has(char32_t code, std::uint16_t properties) {
  return (properties_of(code) & properties) != 0;
}

/// Returns the row of `code` in a table sorted by code point, or nullptr.
template <typename Row, std::size_t rows>
const Row* find_row(const Row (&table)[rows], char32_t code) {
  const Row* row = std::lower_bound(std::begin(table), std::end(table), code,
                                    [](const Row& r, char32_t c) { return r.code < c; });
  return row != std::end(table) && row->code == code ? row : nullptr;
}

bool in_range(char32_t code, char32_t first, char32_t last) {
  return first <= code && code <= last;
}

/// The condition Final_Sigma of SpecialCasing.txt: skipping case-ignorable characters, a cased
/// letter comes before and none comes after.
bool is_final_sigma(std::u32string_view text, std::size_t position) {
  const auto ignorable = [](char32_t code) { return has(code, kCaseIgnorable); };
  const std::u32string_view before = text.substr(0, position), after = text.substr(position + 1);
  const auto previous = std::find_if_not(before.rbegin(), before.rend(), ignorable);
  const auto next = std::find_if_not(after.begin(), after.end(), ignorable);
  return previous != before.rend() && has(*previous, kCased) &&
         (next == after.end() || !has(*next, kCased));
}

// Hangul syllables: The Unicode Standard, 3.12, "Conjoining Jamo Behavior".
constexpr char32_t kSBase = 0xAC00, kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7;
constexpr char32_t kVCount = 21, kTCount = 28, kSCount = 19 * kVCount * kTCount;

void append_decomposition(std::u32string& text, char32_t code) {
  if (in_range(code, kSBase, kSBase + kSCount - 1)) {
    const char32_t index = code - kSBase;
    text.push_back(kLBase + index / (kVCount * kTCount));
    text.push_back(kVBase + index % (kVCount * kTCount) / kTCount);
    if (index % kTCount != 0) {
      text.push_back(kTBase + index % kTCount);
    }
  } else if (const Decomposition* row = find_row(kDecompositions, code)) {
    for (std::size_t i = 0; i < std::size(row->full) && row->full[i] != 0; ++i) {
      text.push_back(row->full[i]);
    }
  } else {
    text.push_back(code);
  }
}

/// The Canonical Ordering Algorithm (The Unicode Standard, 3.11, D109).
void order_marks(std::u32string& text) {
  const auto is_mark = [](char32_t code) { return combining_class(code) != 0; };
  for (auto first = text.begin(); first != text.end();) {
    first = std::find_if(first, text.end(), is_mark);
    const auto last = std::find_if_not(first, text.end(), is_mark);
    std::stable_sort(first, last, [](char32_t a, char32_t b) {
      return combining_class(a) < combining_class(b);
    });
    first = last;
  }
}

} // namespace

bool is_whitespace(char32_t code) {
  return code == U'\t' || code == U'\n' || code == U'\r' || has(code, kSpaceSeparator);
}

bool is_control(char32_t code) {
  return code != U'\t' && code != U'\n' && code != U'\r' && has(code, kControl);
}

bool is_punctuation(char32_t code) {
  return in_range(code, 33, 47) || in_range(code, 58, 64) || in_range(code, 91, 96) ||
         in_range(code, 123, 126) || has(code, kPunctuation);
}

bool is_chinese_char(char32_t code) {
  return in_range(code, 0x4E00, 0x9FFF) || in_range(code, 0x3400, 0x4DBF) ||
         in_range(code, 0x20000, 0x2A6DF) || in_range(code, 0x2A700, 0x2B73F) ||
         in_range(code, 0x2B740, 0x2B81F) || in_range(code, 0x2B820, 0x2CEAF) ||
         in_range(code, 0xF900, 0xFAFF) || in_range(code, 0x2F800, 0x2FA1F);
}

bool is_nonspacing_mark(char32_t code) { return has(code, kNonspacingMark); }

std::uint8_t combining_class(char32_t code) {
  const CombiningClass* row = has(code, kNormalizes) ? find_row(kCombiningClasses, code) : nullptr;
  return row == nullptr ? 0 : row->value;
}

bool is_word_separator(char32_t code) { return has(code, kWordSeparator); }

CharacterClass character_class(char32_t code) {
  const std::uint16_t properties = properties_of(code);
  return (properties & kLetter) != 0               ? CharacterClass::kLetter
         : (properties & kNumber) != 0             ? CharacterClass::kNumber
         : (properties & kWhiteSpaceProperty) != 0 ? CharacterClass::kSpace
                                                   : CharacterClass::kOther;
}

std::vector<std::u32string_view> split_whitespace(std::u32string_view text) {
  std::vector<std::u32string_view> words;
  for (auto first = text.begin(); first != text.end();) {
    first = std::find_if_not(first, text.end(), is_word_separator);
    const auto last = std::find_if(first, text.end(), is_word_separator);
    if (first != last) {
      words.push_back(text.substr(first - text.begin(), last - first));
    }
    first = last;
  }
  return words;
}

std::u32string_view strip_white_space(std::u32string_view text) {
  const auto first = std::find_if_not(text.begin(), text.end(), is_word_separator);
  const auto last =
      std::find_if_not(text.rbegin(), std::make_reverse_iterator(first), is_word_separator).base();
  return text.substr(first - text.begin(), last - first);
}

std::u32string to_lower(std::u32string_view text) {
  std::u32string lowered;
  lowered.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t code = text[i];
    if (code < 0x80) {
      lowered.push_back(in_range(code, U'A', U'Z') ? code + (U'a' - U'A') : code);
    } else if (!has(code, kLowers)) {
      lowered.push_back(code);
    } else if (code == 0x0130) { // SpecialCasing.txt: the only lower-casing to two code points
      lowered.append(U"i\u0307");
    } else if (code == 0x03A3) {
      lowered.push_back(is_final_sigma(text, i) ? 0x03C2 : 0x03C3);
    } else {
      lowered.push_back(find_row(kLowerMappings, code)->lower);
    }
  }
  return lowered;
}

std::u32string to_nfd(std::u32string_view text) {
  const auto normalizes = [](char32_t code) { return has(code, kNormalizes); };
  if (std::none_of(text.begin(), text.end(), normalizes)) {
    return std::u32string(text);
  }
  std::u32string decomposed;
  decomposed.reserve(text.size() * 2);
  for (const char32_t code : text) {
    append_decomposition(decomposed, code);
  }
  order_marks(decomposed);
  return decomposed;
}

} // namespace ptbert
