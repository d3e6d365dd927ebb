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

/// Splits words into the longest pieces that a vocabulary holds, from left to right; a piece that
/// does not start its word is looked up with "##" before it.
class WordpieceTokenizer {
public:
  /// Says whether a UTF-8 piece, "##" included, is in the vocabulary.
  using Contains = std::function<bool(std::string_view)>;

  /// A word with a part that matches no piece, or with more than `max_input_chars_per_word`
  /// characters (code points), becomes `unk_token`. std::invalid_argument without a vocabulary.
  explicit WordpieceTokenizer(std::shared_ptr<const Vocabulary> vocab,
                              std::string unk_token = "[UNK]",
                              std::int64_t max_input_chars_per_word = 100);
  /// The same for pieces that are kept elsewhere.
  explicit WordpieceTokenizer(Contains contains, std::string unk_token = "[UNK]",
                              std::int64_t max_input_chars_per_word = 100);

  /// Returns the pieces of all white-space separated words of a UTF-8 text; std::invalid_argument
  /// for anything else.
  std::vector<std::string> tokenize(std::string_view text) const;
  /// Appends the pieces of one UTF-8 word without white space.
  void append_pieces(std::string_view word, std::vector<std::string>& pieces) const;

  /// The vocabulary, or null where pieces are kept elsewhere.
  const std::shared_ptr<const Vocabulary>& vocab() const { return vocab_; }
  const std::string& unk_token() const { return unk_token_; }
  /// What finds pieces in linear time; null where they are kept elsewhere.
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
