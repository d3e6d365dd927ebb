#include "word_in_context.h"

#include <algorithm>
#include <utility>

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
  for (const char32_t code : codes) {
    if (!clean_text({&code, 1}).empty()) {
      codes_.push_back(code);
      sources_.push_back(first_source);
    }
    ++first_source;
  }
  if (do_lower_case && !never_split.contains(codes_)) {
    lower();
    strip_accents();
  }
  // Checked again: lower-casing may have made the word equal to an entry.
  tokens_ = never_split.contains(codes_) ? std::vector<std::u32string_view>{codes_}
                                         : split_on_punctuation(codes_);
}

void WordInContext::copy_token(std::size_t number, WordBuffer& token) const {
  token.length = 0;
  const std::uint32_t* source = &sources_[tokens_[number].data() - codes_.data()];
  for (const char32_t code : tokens_[number]) {
    for (const char byte : encode_utf8({&code, 1})) {
      token.reserve(token.length + 1);
      token.bytes[token.length] = byte;
      token.sources[token.length] = *source;
      ++token.length;
    }
    ++source;
  }
}

/// to_lower(), keeping sources. Every code point becomes one, except U+0130, which becomes two.
void WordInContext::lower() {
  std::vector<std::uint32_t> sources;
  for (std::size_t i = 0; i < codes_.size(); ++i) {
    sources.insert(sources.end(), to_lower({&codes_[i], 1}).size(), sources_[i]);
  }
  codes_ = to_lower(codes_);
  sources_ = std::move(sources);
}

/// strip_accents(), keeping sources: decomposes, orders marks (UAX #15), drops nonspacing marks.
void WordInContext::strip_accents() {
  struct Sourced {
    char32_t code;
    std::uint32_t source;
  };
  std::vector<Sourced> decomposed;
  for (std::size_t i = 0; i < codes_.size(); ++i) {
    for (const char32_t code : to_nfd({&codes_[i], 1})) {
      decomposed.push_back({code, sources_[i]});
    }
  }
  const auto is_mark = [](const Sourced& s) { return combining_class(s.code) != 0; };
  for (auto first = decomposed.begin(); first != decomposed.end();) {
    first = std::find_if(first, decomposed.end(), is_mark);
    const auto last = std::find_if_not(first, decomposed.end(), is_mark);
    std::stable_sort(first, last, [](const Sourced& a, const Sourced& b) {
      return combining_class(a.code) < combining_class(b.code);
    });
    first = last;
  }
  codes_.clear();
  sources_.clear();
  for (const auto& [code, source] : decomposed) {
    if (!is_nonspacing_mark(code)) {
      codes_.push_back(code);
      sources_.push_back(source);
    }
  }
}

} // namespace ptbert::detail
