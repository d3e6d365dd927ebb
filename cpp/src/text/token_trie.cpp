#include "token_trie.h"

#include <algorithm>

#include "ptbert/text/utf8.h"

namespace ptbert::detail {
namespace {

constexpr std::size_t kBytes = 256;

struct Token {
  std::string_view text;
  std::int32_t position;
};

std::vector<Token> sorted_tokens(const Vocabulary& vocab) {
  std::vector<Token> tokens;
  tokens.reserve(vocab.size());
  for (std::size_t i = 0; i < vocab.size(); ++i) {
    const std::string_view text = vocab.entries()[i].token;
    if (find_invalid_utf8(text) == std::string_view::npos) {
      tokens.push_back({text, static_cast<std::int32_t>(i)});
    }
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const Token& a, const Token& b) { return a.text < b.text; });
  return tokens;
}

} // namespace

/// Builds the trie from sorted tokens, node by node. Free cells form a doubly linked ring in index
/// order, with cell 0, the root, as its head.
class TokenTrie::Builder {
public:
  explicit Builder(std::vector<Cell>& cells) : cells_(cells) {
    grow();
    take(kRoot);
  }

  void build(const std::vector<Token>& tokens) {
    std::vector<Range> ranges = {{kRoot, 0, tokens.size(), 0}};
    while (!ranges.empty()) {
      const Range range = ranges.back();
      ranges.pop_back();
      place_children(tokens, range, ranges);
    }
  }

private:
  /// The tokens [first, last) share the prefix of `depth` bytes that leads to `node`.
  struct Range {
    Node node;
    std::size_t first, last, depth;
  };

  void place_children(const std::vector<Token>& tokens, Range range, std::vector<Range>& ranges) {
    if (range.first < range.last && tokens[range.first].text.size() == range.depth) {
      cells_[range.node].token = tokens[range.first++].position;
    }
    const std::size_t children = ranges.size();
    bytes_.clear();
    while (range.first < range.last) {
      const char byte = tokens[range.first].text[range.depth];
      std::size_t end = range.first + 1;
      while (end < range.last && tokens[end].text[range.depth] == byte) {
        ++end;
      }
      bytes_.push_back(static_cast<unsigned char>(byte));
      ranges.push_back({kNone, range.first, end, range.depth + 1});
      range.first = end;
    }
    if (bytes_.empty()) {
      return;
    }
    const std::int32_t base = find_base();
    cells_[range.node].base = base;
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      const Node child = base + bytes_[i];
      take(child);
      cells_[child].parent = range.node;
      ranges[children + i].node = child;
    }
  }

  /// Returns a base at which the cells of all bytes_ are free. Tries a limited number of free
  /// cells, so that building takes linear time.
  std::int32_t find_base() {
    constexpr int kTries = 32;
    Node cell = next_[kRoot];
    for (int tries = 0; tries < kTries && cell != kRoot; ++tries, cell = next_[cell]) {
      const std::int32_t base = cell - bytes_.front();
      if (base >= 0 && base + static_cast<std::int32_t>(kBytes) <= size() && fits(base)) {
        return base;
      }
    }
    const std::int32_t base = size();
    grow();
    return base;
  }

  bool fits(std::int32_t base) const {
    return std::all_of(bytes_.begin(), bytes_.end(),
                       [&](unsigned char byte) { return next_[base + byte] != kNone; });
  }

  std::int32_t size() const { return static_cast<std::int32_t>(cells_.size()); }

  void grow() {
    const Node first = size();
    const Node last = first + static_cast<Node>(kBytes);
    cells_.resize(last);
    next_.resize(last);
    previous_.resize(last);
    for (Node cell = first; cell < last; ++cell) {
      const Node before = previous_[kRoot];
      next_[before] = cell;
      previous_[cell] = before;
      next_[cell] = kRoot;
      previous_[kRoot] = cell;
    }
  }

  void take(Node cell) {
    if (cell == kRoot) {
      return;
    }
    next_[previous_[cell]] = next_[cell];
    previous_[next_[cell]] = previous_[cell];
    next_[cell] = kNone;
  }

  std::vector<Cell>& cells_;
  std::vector<Node> next_, previous_; // next_ is kNone for a cell in use
  std::vector<unsigned char> bytes_;
};

TokenTrie::TokenTrie(const Vocabulary& vocab) {
  Builder(cells_).build(sorted_tokens(vocab));
  cells_.shrink_to_fit();
}

TokenTrie::Node TokenTrie::find(std::string_view text) const {
  Node node = kRoot;
  for (std::size_t i = 0; i < text.size() && node != kNone; ++i) {
    node = child(node, text[i]);
  }
  return node;
}

TokenTrie::Match TokenTrie::longest_match(Node node, std::string_view text) const {
  Match longest{kNone, 0};
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = child(node, text[i]);
    if (node == kNone) {
      break;
    }
    if (cells_[node].token != kNone) {
      longest = {cells_[node].token, i + 1};
    }
  }
  return longest;
}

} // namespace ptbert::detail
