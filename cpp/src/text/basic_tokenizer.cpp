#include "ptbert/text/basic_tokenizer.h"

#include <algorithm>

#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {

std::vector<std::string> whitespace_tokenize(std::string_view text) {
  const std::u32string codes = decode_utf8(text);
  std::vector<std::string> words;
  for (const std::u32string_view word : split_whitespace(codes)) {
    words.push_back(encode_utf8(word));
  }
  return words;
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

BasicTokenizer::BasicTokenizer(bool do_lower_case, const std::vector<std::string>& never_split)
    : do_lower_case_(do_lower_case) {
  for (const std::string& token : never_split) {
    if (!token.empty()) { // a word that loses all its characters is dropped, whatever the caller
                          // lists
      never_split_.insert(decode_utf8(token));
    }
  }
}

std::vector<std::string> BasicTokenizer::tokenize(std::string_view text) const {
  const std::u32string spaced = tokenize_chinese_chars(clean_text(decode_utf8(text)));
  std::vector<std::string> tokens;
  for (std::u32string_view word : split_whitespace(spaced)) {
    std::u32string normalized;
    if (do_lower_case_ && !is_never_split(word)) {
      normalized = strip_accents(to_lower(word));
      word = normalized;
    }
    // Asked again: lower-casing may have made the word equal to an entry.
    if (is_never_split(word)) {
      tokens.push_back(encode_utf8(word));
      continue;
    }
    for (const std::u32string_view piece : split_on_punctuation(word)) {
      tokens.push_back(encode_utf8(piece));
    }
  }
  return tokens;
}

bool BasicTokenizer::is_never_split(std::u32string_view word) const {
  return !never_split_.empty() && never_split_.count(std::u32string(word)) > 0;
}

} // namespace ptbert
