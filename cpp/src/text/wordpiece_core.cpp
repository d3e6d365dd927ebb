#include "wordpiece_core.h"

#include <algorithm>

#include "ptbert/text/utf8.h"

namespace ptbert::detail {
void WordpieceCore::append_pieces(std::string_view word, std::vector<Piece>& pieces,
                                  std::vector<std::size_t>* ends) const {
  const std::size_t before = pieces.size();
  const auto characters = std::count_if(word.begin(), word.end(), starts_code_point);
  std::size_t start = 0;
  TokenTrie::Node from = TokenTrie::kRoot;
  while (start < word.size() && from != TokenTrie::kNone &&
         characters <= max_input_chars_per_word_) {
    const TokenTrie::Match match = trie_.longest_match(from, word.substr(start));
    if (match.token == TokenTrie::kNone) {
      break;
    }
    start += match.length;
    pieces.push_back(match.token);
    if (ends != nullptr) {
      ends->push_back(start);
    }
    from = continuation_;
  }
  if (start < word.size() || characters > max_input_chars_per_word_) {
    pieces.resize(before);
    pieces.push_back(kUnknownPiece);
    if (ends != nullptr) {
      ends->assign(1, word.size());
    }
  }
}

} // namespace ptbert::detail
