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

/// Basic tokenization in one pass over UTF-8 text: what clean_text, tokenize_chinese_chars,
/// split_whitespace, to_lower, strip_accents and split_on_punctuation make of it one after the
/// other.
///
/// The sink has
///   word(const WordBuffer&), called for each token;
///   mark() and back_to(mark), which forgets the tokens since that mark().
/// `with_sources` has the buffer name the code points that each byte comes from.
/// std::invalid_argument for a text that is not UTF-8.
template <bool with_sources, typename Sink>
void basic_pass(std::string_view text, bool do_lower_case, const NeverSplit& never_split,
                WordBuffer& token, Sink& sink) {
  CodePointTable& table = CodePointTable::of(do_lower_case);
  const std::array<char, 256>& kept_ascii = table.kept_ascii(); // zero for all other bytes

  // A white-space word starts at byte `word_start`, the code point number `word_source` of the
  // text, and has tokens from `word_mark`. It is untouched until something of it is kept.
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
  /// Does the white-space word around `position` again, as a whole.
  const auto take_word_in_context = [&] {
    std::size_t end = position;
    for (Utf8CodePoint next; end < text.size(); end += next.length) {
      next = decode_utf8_at(text, end);
      const CodeKind kind = table[next.code].kind;
      if (kind == CodeKind::kSpace || (kind == CodeKind::kChinese && end > word_start)) {
        break;
      }
      if (kind == CodeKind::kChinese) {
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
    if (row.kind == CodeKind::kChinese) {
      end_token();
      begin_word();
    }
    if (row.kind == CodeKind::kInContext ||
        (untouched && row.kind != CodeKind::kSpace &&
         (never_split.may_start_with(lead) ||
          (row.length > 0 && never_split.may_start_with(row.bytes[0]))))) {
      token.length = 0;
      take_word_in_context();
      continue;
    }
    switch (row.kind) {
    case CodeKind::kKept:
      append(row);
      untouched = false;
      break;
    case CodeKind::kPunctuation:
    case CodeKind::kChinese:
      end_token();
      append(row);
      end_token();
      untouched = false;
      break;
    case CodeKind::kSpace:
      end_token();
      break;
    case CodeKind::kDropped:
    case CodeKind::kInContext:
      break;
    }
    position += next.length;
    source += 1;
    if (row.kind == CodeKind::kSpace || row.kind == CodeKind::kChinese) {
      begin_word();
    }
  }
  end_token();
}

} // namespace ptbert::detail
