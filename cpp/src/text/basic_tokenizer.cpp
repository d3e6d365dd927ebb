#include "ptbert/text/basic_tokenizer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "basic_pass.h"
#include "mapped.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"
#include "word_in_context.h"

namespace ptbert {

std::vector<std::string> whitespace_tokenize(std::string_view text) {
  const std::u32string codes = decode_utf8(text);
  return detail::mapped(split_whitespace(codes), encode_utf8);
}

std::u32string clean_text(std::u32string_view text) {
  constexpr char32_t kReplacementCharacter = 0xFFFD;
  std::u32string cleaned;
  cleaned.reserve(text.size());
  for (const char32_t code : text) {
    if (is_whitespace(code)) {
      cleaned.push_back(U' ');
    } else if (code != 0 && code != kReplacementCharacter && !is_control(code)) {
      cleaned.push_back(code);
    }
  }
  return cleaned;
}

std::u32string tokenize_chinese_chars(std::u32string_view text) {
  std::u32string spaced;
  spaced.reserve(text.size());
  for (const char32_t code : text) {
    if (is_chinese_char(code)) {
      spaced.append({U' ', code, U' '});
    } else {
      spaced.push_back(code);
    }
  }
  return spaced;
}

std::u32string strip_accents(std::u32string_view text) {
  std::u32string stripped = to_nfd(text);
  stripped.erase(std::remove_if(stripped.begin(), stripped.end(), is_nonspacing_mark),
                 stripped.end());
  return stripped;
}

std::vector<std::u32string_view> split_on_punctuation(std::u32string_view word) {
  std::vector<std::u32string_view> pieces;
  for (auto first = word.begin(); first != word.end();) {
    const auto last =
        is_punctuation(*first) ? first + 1 : std::find_if(first, word.end(), is_punctuation);
    pieces.push_back(word.substr(first - word.begin(), last - first));
    first = last;
  }
  return pieces;
}

namespace {

/// A sink for basic_pass that collects tokens as strings.
struct StringSink {
  std::vector<std::string> tokens;

  std::size_t mark() const { return tokens.size(); }
  void back_to(std::size_t mark) { tokens.resize(mark); }
  void word(const detail::WordBuffer& token) {
    tokens.emplace_back(token.bytes.data(), token.length);
  }
};

} // namespace

BasicTokenizer::BasicTokenizer(bool do_lower_case, const std::vector<std::string>& never_split)
    : do_lower_case_(do_lower_case),
      never_split_(std::make_shared<const detail::NeverSplit>(never_split)) {}

std::vector<std::string> BasicTokenizer::tokenize(std::string_view text) const {
  detail::WordBuffer token;
  StringSink sink;
  detail::basic_pass<false>(text, do_lower_case_, *never_split_, token, sink);
  return std::move(sink.tokens);
}

std::vector<std::string> BasicTokenizer::tokenize_by_steps(std::string_view text) const {
  const std::u32string spaced = tokenize_chinese_chars(clean_text(decode_utf8(text)));
  std::vector<std::string> tokens;
  for (std::u32string_view word : split_whitespace(spaced)) {
    std::u32string normalized;
    if (do_lower_case_ && !never_split_->contains(word)) {
      normalized = strip_accents(to_lower(word));
      word = normalized;
    }
    // Checked again: lower-casing may have made the word equal to an entry.
    if (never_split_->contains(word)) {
      tokens.push_back(encode_utf8(word));
      continue;
    }
    for (const std::u32string_view piece : split_on_punctuation(word)) {
      tokens.push_back(encode_utf8(piece));
    }
  }
  return tokens;
}

} // namespace ptbert
