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

  WordInContext(const WordInContext&) = delete; // tokens_ point into codes_
  WordInContext& operator=(const WordInContext&) = delete;

  std::size_t token_count() const { return tokens_.size(); }
  void copy_token(std::size_t number, WordBuffer& token) const;
  /// The number of code points in the word.
  std::uint32_t source_count() const { return source_count_; }

private:
  void lower();
  void strip_accents();

  std::u32string codes_;
  std::vector<std::uint32_t> sources_; // for each code, the index of the one it was made from
  std::vector<std::u32string_view> tokens_;
  std::uint32_t source_count_;
};

} // namespace ptbert::detail
