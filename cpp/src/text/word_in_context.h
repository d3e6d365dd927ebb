#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "word_buffer.h"

namespace ptbert::detail {

/// The words that basic tokenization must not change. may_start_with() is a cheap test of a word's
/// first byte that rules most other words out.
class NeverSplit {
public:
  explicit NeverSplit(const std::vector<std::string>& words);

  bool contains(std::u32string_view word) const {
    return !words_.empty() && words_.count(std::u32string(word)) > 0;
  }
  bool may_start_with(char byte) const { return starts_[static_cast<unsigned char>(byte)]; }

private:
  std::unordered_set<std::u32string> words_;
  std::array<bool, 256> starts_{};
};

/// The tokens of one white-space separated word that cannot be handled code point by code point: it
/// may be in `never_split`, has a capital sigma (its lower case depends on its neighbours), or has
/// combining marks that normalization may reorder.
class WordInContext {
public:
  /// `word` is UTF-8; its first code point has the index `first_source` in the text.
  WordInContext(std::string_view word, std::uint32_t first_source, bool do_lower_case,
                const NeverSplit& never_split);

  std::size_t token_count() const { return tokens_.size(); }
  void copy_token(std::size_t number, WordBuffer& token) const;
  /// The number of code points in the word.
  std::uint32_t source_count() const { return source_count_; }

private:
  /// A code point, and the index in the text of the code point that it was made from.
  struct Sourced {
    char32_t code;
    std::uint32_t source;
  };
  using Word = std::vector<Sourced>;

  static Word lower(const Word& word);
  static Word strip_accents(const Word& word);
  static std::vector<Word> split_on_punctuation(const Word& word);

  std::vector<Word> tokens_;
  std::uint32_t source_count_;
};

} // namespace ptbert::detail
