#include "code_points.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert::detail {
namespace {

constexpr char32_t kCapitalSigma = 0x03A3; // its lower case differs at the end of a word

bool is_surrogate(char32_t code) { return code >= 0xD800 && code <= 0xDFFF; }

/// Whether normalization may reorder the code point.
bool may_be_reordered(char32_t code) { return combining_class(code) != 0; }

CodePoint row_of(CodePointRole role, std::u32string_view normalized = {}) {
  const std::string bytes = encode_utf8(normalized);
  if (bytes.size() > CodePoint::kMaxBytes) {
    role = CodePointRole::kInContext;
  }
  CodePoint row{};
  row.role = role;
  row.length = static_cast<std::uint8_t>(std::min(bytes.size(), CodePoint::kMaxBytes));
  bytes.copy(row.bytes, row.length);
  return row;
}

CodePoint make_row(char32_t code, bool do_lower_case) {
  const std::u32string text(1, code);
  const std::u32string cleaned = is_surrogate(code) ? std::u32string() : clean_text(text);
  if (cleaned.empty()) {
    return row_of(CodePointRole::kDropped);
  }
  if (is_word_separator(cleaned[0])) {
    return row_of(CodePointRole::kSpace);
  }
  if (do_lower_case && code == kCapitalSigma) {
    return row_of(CodePointRole::kInContext);
  }
  const std::u32string word = do_lower_case ? strip_accents(to_lower(text)) : text;
  if (word.empty()) {
    return row_of(CodePointRole::kDropped);
  }
  if (do_lower_case && std::any_of(word.begin(), word.end(), may_be_reordered)) {
    return row_of(CodePointRole::kInContext);
  }
  if (word.size() > 1 && std::any_of(word.begin(), word.end(), is_punctuation)) {
    return row_of(CodePointRole::kInContext);
  }
  if (is_chinese_char(code)) {
    return row_of(CodePointRole::kChinese, word);
  }
  return row_of(is_punctuation(word[0]) ? CodePointRole::kPunctuation : CodePointRole::kKept, word);
}

} // namespace

CodePointTable& CodePointTable::of(bool do_lower_case) {
  // Never destroyed: threads may still tokenize while the process exits.
  static auto* const lowered = new CodePointTable(true);
  static auto* const cased = new CodePointTable(false);
  return do_lower_case ? *lowered : *cased;
}

CodePointTable::CodePointTable(bool do_lower_case) : do_lower_case_(do_lower_case) {
  for (char32_t code = 0; code < 0x80; ++code) {
    const CodePoint& row = (*this)[code];
    kept_ascii_[code] = row.role == CodePointRole::kKept ? row.bytes[0] : '\0';
  }
}

const CodePointTable::Block& CodePointTable::make_block(std::size_t number) {
  auto made = std::make_unique<Block>();
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    (*made)[i] = make_row(static_cast<char32_t>(number * kBlockSize + i), do_lower_case_);
  }
  const Block* present = nullptr; // another thread may have been faster
  if (blocks_[number].compare_exchange_strong(present, made.get(), std::memory_order_acq_rel)) {
    present = made.release();
  }
  return *present;
}

} // namespace ptbert::detail
