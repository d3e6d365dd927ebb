#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/symbol_table.h"
#include "ptbert/text/vocabulary.h"

namespace ptbert {

/// Byte-pair encoding (Sennrich, Haddow and Birch, 2016, arXiv 1508.07909): a word starts as a
/// sequence of symbols; the pair of neighbours with the lowest rank is merged everywhere in it,
/// until no pair has a rank. A symbol is the number of a string in the vocabulary or in a merge.
class Bpe {
public:
  using Symbol = std::uint32_t;
  /// The symbol of every string that has none; it is never merged.
  static constexpr Symbol kUnknown = 0;

  struct Merge {
    std::string_view left, right;
    std::uint32_t rank;
  };

  /// A symbol in a word, and how many bytes of the word it covers.
  struct Piece {
    Symbol symbol;
    std::uint32_t bytes;
  };

  /// If tokens repeat, the first gives the position and the last the id; if merges repeat, the last
  /// gives the rank. Merges may contain strings that are not tokens. `merges` is not kept.
  Bpe(const std::vector<Vocabulary::Entry>& tokens, const std::vector<Merge>& merges);

  /// Merges the pieces of one word in place, in O(n log n).
  void merge(std::vector<Piece>& pieces) const;

  /// Returns the symbol of a string, or kUnknown.
  Symbol find(std::string_view text) const {
    const auto number = strings_.find(text);
    return number ? *number + 1 : kUnknown;
  }
  /// Returns the string of a symbol; "" for kUnknown.
  std::string_view text(Symbol symbol) const {
    return symbol == kUnknown ? std::string_view() : strings_[symbol - 1];
  }
  /// Returns the id of a symbol, 0 if it is not in the vocabulary.
  std::int64_t id(Symbol symbol) const { return ids_[symbol]; }
  /// Returns the last token that has the id, or kUnknown.
  Symbol symbol_of_id(std::int64_t id) const;

  /// The number of symbols, kUnknown included.
  std::size_t num_symbols() const { return strings_.size() + 1; }
  /// The symbols that are tokens, in the order of the vocabulary.
  const std::vector<Symbol>& tokens() const { return tokens_; }
  /// All merges by increasing rank; the views are valid as long as this object.
  std::vector<Merge> merges() const;

private:
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;
  /// The symbol that a pair merges into, and the rank of the merge.
  struct Merged {
    std::uint32_t rank = kNoRank;
    Symbol symbol = kUnknown; // kUnknown: the pair is not merged
  };
  struct Pair {
    Symbol left, right;
    Merged merged;
  };
  /// Pairs of symbols below this are looked up without hashing. Low symbols are single bytes or
  /// characters, of which a word consists before any merge.
  static constexpr Symbol kDirectSymbols = 257;

  void add_merges(const std::vector<Merge>& merges);
  void add_pair(const Pair& pair);
  static std::uint64_t hash_of_pair(Symbol left, Symbol right);
  std::size_t pair_slot_of(Symbol left, Symbol right, std::uint64_t hash) const;
  std::size_t filter_bit_of(std::uint64_t hash) const {
    return hash >> 32 & (filter_.size() * 64 - 1);
  }
  Merged find_pair(Symbol left, Symbol right) const;
  void index_ids();
  /// Returns false, leaving `pieces` unchanged, if merge_long() is needed.
  bool merge_short(std::vector<Piece>& pieces) const;
  void merge_long(std::vector<Piece>& pieces) const;

  SymbolTable strings_;     // the string of symbol i has the number i - 1
  std::vector<Pair> pairs_; // hash table
  /// A bit per pair hash. Most pairs have no rank; unlike pairs_ this fits into the processor's
  /// cache and rules most of them out.
  std::vector<std::uint64_t> filter_;
  std::vector<Merged> direct_;    // [kDirectSymbols, kDirectSymbols]
  std::vector<std::int64_t> ids_; // of each symbol
  std::vector<Symbol> tokens_;
  std::vector<Symbol> symbols_of_ids_;                      // indexed by id, if ids are dense
  std::vector<std::pair<std::int64_t, Symbol>> sparse_ids_; // otherwise, sorted by id
};

} // namespace ptbert
