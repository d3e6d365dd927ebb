#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ptbert/text/vocabulary.h"

namespace ptbert::detail {

/// The tokens of a vocabulary as a double-array trie (J. Aoe, "An Efficient Digital Search
/// Algorithm by Using a Double-Array Structure", 1989): the child of node n by byte b is the cell
/// base[n] + b, if that cell names n as its parent.
class TokenTrie {
public:
  using Node = std::int32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = -1;

  /// Skips tokens that are not UTF-8, so that no match ends inside a character of a text.
  explicit TokenTrie(const Vocabulary& vocab);

  Node child(Node node, char byte) const {
    const Node next = cells_[node].base + static_cast<unsigned char>(byte);
    return cells_[next].parent == node ? next : kNone;
  }
  /// Returns the node reached by a text from the root, or kNone if no token starts with it.
  Node find(std::string_view text) const;

  struct Match {
    std::int32_t token; // position in Vocabulary::entries(), or kNone
    std::size_t length; // bytes of `text`
  };
  /// Follows `text` from `node` and returns the longest token on the way (at least one byte).
  Match longest_match(Node node, std::string_view text) const;

private:
  struct Cell {
    std::int32_t base = 0;
    Node parent = kNone;
    std::int32_t token = kNone;
  };
  class Builder;

  std::vector<Cell> cells_;
};

} // namespace ptbert::detail
