#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/offset.h"
#include "ptbert/text/vocabulary.h"

namespace ptbert {

namespace detail {
class WordpieceCore;
}

/// A piece of a word: its position in Vocabulary::entries(), or kUnknownPiece for `unk_token`.
using Piece = std::int32_t;
inline constexpr Piece kUnknownPiece = -1;

/// Splits words into pieces of a vocabulary, greedily: from left to right, the longest piece that
/// matches. A piece that does not start its word is looked up with "##" before it.
class WordpieceTokenizer {
public:
  /// Returns whether a UTF-8 piece, "##" included, is in the vocabulary.
  using Contains = std::function<bool(std::string_view)>;

  /// A word that cannot be split into pieces, or has more than `max_input_chars_per_word` code
  /// points, becomes `unk_token`. Throws std::invalid_argument if `vocab` is null.
  explicit WordpieceTokenizer(std::shared_ptr<const Vocabulary> vocab,
                              std::string unk_token = "[UNK]",
                              std::int64_t max_input_chars_per_word = 100);
  /// The same with a function in place of a vocabulary.
  explicit WordpieceTokenizer(Contains contains, std::string unk_token = "[UNK]",
                              std::int64_t max_input_chars_per_word = 100);

  /// Returns the pieces of all white-space separated words of a text. Throws std::invalid_argument
  /// if it is not UTF-8.
  std::vector<std::string> tokenize(std::string_view text) const;
  /// Appends the pieces of one UTF-8 word without white space.
  void append_pieces(std::string_view word, std::vector<std::string>& pieces) const;

  /// The vocabulary; null if a function takes its place.
  const std::shared_ptr<const Vocabulary>& vocab() const { return vocab_; }
  const std::string& unk_token() const { return unk_token_; }
  /// The trie that finds pieces in linear time; null without a vocabulary.
  const detail::WordpieceCore* core() const { return core_.get(); }

private:
  bool append_longest_matches(std::string_view word, std::vector<std::string>& pieces) const;

  std::shared_ptr<const Vocabulary> vocab_;
  std::shared_ptr<const detail::WordpieceCore> core_;
  Contains contains_;
  std::size_t max_piece_bytes_;
  std::string unk_token_;
  std::int64_t max_input_chars_per_word_;
};

} // namespace ptbert
