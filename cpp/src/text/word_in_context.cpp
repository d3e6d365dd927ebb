#include "word_in_context.h"

#include <algorithm>

#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert::detail {

NeverSplit::NeverSplit(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (!word.empty()) { // empty words are dropped, even if "" is listed
      words_.insert(decode_utf8(word));
      starts_[static_cast<unsigned char>(word[0])] = true;
    }
  }
}

WordInContext::WordInContext(std::string_view text, std::uint32_t first_source, bool do_lower_case,
                             const NeverSplit& never_split) {
  const std::u32string codes = decode_utf8(text);
  source_count_ = static_cast<std::uint32_t>(codes.size());
  Word word;
  for (const char32_t code : codes) {
    if (!clean_text({&code, 1}).empty()) {
      word.push_back({code, first_source});
    }
    ++first_source;
  }
  const auto is_never_split = [&] {
    std::u32string plain;
    for (const Sourced& sourced : word) {
      plain.push_back(sourced.code);
    }
    return never_split.contains(plain);
  };
  if (do_lower_case && !is_never_split()) {
    word = strip_accents(lower(word));
  }
  // Checked again: lower-casing may have made the word equal to an entry.
  tokens_ = is_never_split() ? std::vector<Word>{word} : split_on_punctuation(word);
}

void WordInContext::copy_token(std::size_t number, WordBuffer& token) const {
  token.length = 0;
  for (const Sourced& sourced : tokens_[number]) {
    for (const char byte : encode_utf8({&sourced.code, 1})) {
      token.reserve(token.length + 1);
      token.bytes[token.length] = byte;
      token.sources[token.length] = sourced.source;
      ++token.length;
    }
  }
}

/// to_lower(), keeping sources. Every code point becomes one, except U+0130, which becomes two.
WordInContext::Word WordInContext::lower(const Word& word) {
  std::u32string plain;
  for (const Sourced& sourced : word) {
    plain.push_back(sourced.code);
  }
  const std::u32string lowered = to_lower(plain);
  Word result;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const std::size_t length = to_lower({&word[i].code, 1}).size();
    for (std::size_t j = 0; j < length; ++j) {
      result.push_back({lowered[result.size()], word[i].source});
    }
  }
  return result;
}

/// strip_accents(), keeping sources: decomposes, orders marks (UAX #15), drops nonspacing marks.
WordInContext::Word WordInContext::strip_accents(const Word& word) {
  Word result;
  for (const Sourced& sourced : word) {
    for (const char32_t code : to_nfd({&sourced.code, 1})) {
      result.push_back({code, sourced.source});
    }
  }
  const auto is_mark = [](const Sourced& s) { return combining_class(s.code) != 0; };
  for (auto first = result.begin(); first != result.end();) {
    first = std::find_if(first, result.end(), is_mark);
    const auto last = std::find_if_not(first, result.end(), is_mark);
    std::stable_sort(first, last, [](const Sourced& a, const Sourced& b) {
      return combining_class(a.code) < combining_class(b.code);
    });
    first = last;
  }
  result.erase(std::remove_if(result.begin(), result.end(),
                              [](const Sourced& s) { return is_nonspacing_mark(s.code); }),
               result.end());
  return result;
}

std::vector<WordInContext::Word> WordInContext::split_on_punctuation(const Word& word) {
  std::vector<Word> pieces;
  bool ended = true;
  for (const Sourced& sourced : word) {
    const bool punctuation = is_punctuation(sourced.code);
    if (ended || punctuation) {
      pieces.emplace_back();
    }
    pieces.back().push_back(sourced);
    ended = punctuation;
  }
  return pieces;
}

} // namespace ptbert::detail
