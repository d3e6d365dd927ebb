#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "code_points.h"
#include "ptbert/text/utf8.h"
#include "word_buffer.h"
#include "word_in_context.h"

namespace ptbert::detail {

/// Basic tokenization in one pass over UTF-8 text. Equivalent to clean_text,
/// tokenize_chinese_chars, split_whitespace, to_lower, strip_accents and split_on_punctuation in
/// turn (BasicTokenizer::tokenize_by_steps).
///
/// The sink has
///   word(const WordBuffer&), called for each token;
///   mark() and back_to(mark), which removes the tokens added since that mark().
/// `with_sources`: also fill WordBuffer::sources. Throws std::invalid_argument if the text is not
/// UTF-8.
template <bool with_sources, typename Sink>
void basic_pass(std::string_view text, bool do_lower_case, const NeverSplit& never_split,
                WordBuffer& token, Sink& sink) {
  CodePointTable& table = CodePointTable::of(do_lower_case);
  const std::array<char, 256>& kept_ascii = table.kept_ascii(); // zero for all other bytes

  // The current white-space separated word starts at byte `word_start`, code point `word_source`;
  // its tokens follow `word_mark`. `untouched`: none of its characters has been kept so far.
  std::size_t position = 0, word_start = 0;
  std::uint32_t source = 0, word_source = 0;
  auto word_mark = sink.mark();
  bool untouched = true;

  const auto end_token = [&] {
    if (token.length > 0) {
      sink.word(token);
      token.length = 0;
    }
  };
  const auto begin_word = [&] {
    word_start = position;
    word_source = source;
    word_mark = sink.mark();
    untouched = true;
  };
  const auto append = [&](const CodePoint& row) {
    token.reserve(token.length + CodePoint::kMaxBytes);
    std::memcpy(&token.bytes[token.length], row.bytes, CodePoint::kMaxBytes);
    if constexpr (with_sources) {
      std::fill_n(&token.sources[token.length], CodePoint::kMaxBytes, source);
    }
    token.length += row.length;
  };
  const auto append_ascii_run = [&] {
    constexpr std::size_t kLongestRun = 256;
    token.reserve(token.length + kLongestRun);
    const char* first = text.data() + position;
    const char* const end = first + std::min(text.size() - position, kLongestRun);
    char* out = &token.bytes[token.length];
    const char* in = first;
    for (char kept; in != end && (kept = kept_ascii[static_cast<unsigned char>(*in)]) != 0; ++in) {
      *out++ = kept;
    }
    const auto length = static_cast<std::size_t>(in - first);
    if constexpr (with_sources) {
      for (std::size_t i = 0; i < length; ++i) {
        token.sources[token.length + i] = source + static_cast<std::uint32_t>(i);
      }
    }
    token.length += length;
    position += length;
    source += static_cast<std::uint32_t>(length);
  };
  /// Tokenizes the word around `position` again as a whole, by WordInContext.
  const auto take_word_in_context = [&] {
    std::size_t end = position;
    for (Utf8CodePoint next; end < text.size(); end += next.length) {
      next = decode_utf8_at(text, end);
      const CodePointRole role = table[next.code].role;
      if (role == CodePointRole::kSpace || (role == CodePointRole::kChinese && end > word_start)) {
        break;
      }
      if (role == CodePointRole::kChinese) {
        end += next.length;
        break;
      }
    }
    sink.back_to(word_mark);
    const WordInContext word(text.substr(word_start, end - word_start), word_source, do_lower_case,
                             never_split);
    for (std::size_t i = 0; i < word.token_count(); ++i) {
      word.copy_token(i, token);
      end_token();
    }
    position = end;
    source = word_source + word.source_count();
    begin_word();
  };

  token.length = 0;
  while (position < text.size()) {
    const char lead = text[position];
    if (kept_ascii[static_cast<unsigned char>(lead)] != 0 && !untouched) {
      append_ascii_run();
      continue;
    }
    const Utf8CodePoint next = decode_utf8_at(text, position);
    const CodePoint& row = table[next.code];
    if (row.role == CodePointRole::kChinese) {
      end_token();
      begin_word();
    }
    if (row.role == CodePointRole::kInContext ||
        (untouched && row.role != CodePointRole::kSpace &&
         (never_split.may_start_with(lead) ||
          (row.length > 0 && never_split.may_start_with(row.bytes[0]))))) {
      token.length = 0;
      take_word_in_context();
      continue;
    }
    switch (row.role) {
    case CodePointRole::kKept:
      append(row);
      untouched = false;
      break;
    case CodePointRole::kPunctuation:
    case CodePointRole::kChinese:
      end_token();
      append(row);
      end_token();
      untouched = false;
      break;
    case CodePointRole::kSpace:
      end_token();
      break;
    case CodePointRole::kDropped:
    case CodePointRole::kInContext:
      break;
    }
    position += next.length;
    source += 1;
    if (row.role == CodePointRole::kSpace || row.role == CodePointRole::kChinese) {
      begin_word();
    }
  }
  end_token();
}

} // namespace ptbert::detail
