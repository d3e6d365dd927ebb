#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/vocabulary.h"

namespace ptbert {

/// Byte-pair encoding (Sennrich, Haddow and Birch, 2016): a word is a row of symbols, and of all
/// pairs of neighbours the one with the lowest rank is merged, wherever it occurs, until no pair
/// has a rank. A symbol is a string that is in the vocabulary or in a merge, known by its number.
class Bpe {
public:
  using Symbol = std::uint32_t;
  /// Stands for any string that is no symbol; it is merged with nothing.
  static constexpr Symbol kUnknown = 0;

  struct Merge {
    std::string_view left, right;
    std::uint32_t rank;
  };

  /// A part of a word and the number of its bytes.
  struct Piece {
    Symbol symbol;
    std::uint32_t bytes;
  };

  /// The last of several equal tokens gives the id, the first one the place; the last of several
  /// equal merges gives the rank. A merge may refer to strings that are no tokens. `merges` may be
  /// let go afterwards.
  Bpe(const std::vector<Vocabulary::Entry>& tokens, const std::vector<Merge>& merges);

  /// Merges the pieces of one word in place, in n log n time.
  void merge(std::vector<Piece>& pieces) const;

  /// Returns the symbol of a string, or kUnknown.
  Symbol find(std::string_view text) const;
  /// Returns the string of a symbol; "" for kUnknown.
  std::string_view text(Symbol symbol) const;
  /// Returns the id of a symbol, 0 where it is not in the vocabulary.
  std::int64_t id(Symbol symbol) const { return ids_[symbol]; }
  /// Returns the last token that has the id, or kUnknown.
  Symbol symbol_of_id(std::int64_t id) const;

  /// The number of symbols, kUnknown included.
  std::size_t num_symbols() const { return ends_.size(); }
  /// The symbols that are tokens, in the order of the vocabulary.
  const std::vector<Symbol>& tokens() const { return tokens_; }
  /// All merges by rising rank; the views live as long as this object.
  std::vector<Merge> merges() const;

private:
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFF;
  /// What a pair becomes, and when.
  struct Merged {
    std::uint32_t rank = kNoRank;
    Symbol symbol = kUnknown; // kUnknown: the pair is not merged
  };
  struct Pair {
    Symbol left, right;
    Merged merged;
  };
  /// Pairs of symbols below this are found without hashing: those are bytes, or single characters,
  /// of which words consist before anything is merged.
  static constexpr Symbol kDirectSymbols = 257;

  void add_merges(const std::vector<Merge>& merges);
  Symbol intern(std::string_view text, std::uint64_t hash);
  /// Where the search for a text begins. This comes from the upper half of the hash, which is kept:
  /// the table grows without hashing again.
  std::size_t first_slot_of(std::uint64_t hash) const { return hash >> 32 & (slots_.size() - 1); }
  std::size_t slot_of(std::string_view text, std::uint64_t hash) const;
  void grow_slots();
  void add_pair(const Pair& pair);
  static std::uint64_t hash_of_pair(Symbol left, Symbol right);
  std::size_t pair_slot_of(Symbol left, Symbol right, std::uint64_t hash) const;
  std::size_t filter_bit_of(std::uint64_t hash) const {
    return hash >> 32 & (filter_.size() * 64 - 1);
  }
  Merged find_pair(Symbol left, Symbol right) const;
  void index_ids();
  /// Returns false, having done nothing, where merge_long must do it.
  bool merge_short(std::vector<Piece>& pieces) const;
  void merge_long(std::vector<Piece>& pieces) const;

  std::string texts_;                // of all symbols, one after the other
  std::vector<std::size_t> ends_;    // of each symbol in texts_
  std::vector<std::uint64_t> slots_; // hash table: upper half of the hash, then the symbol
  std::vector<Pair> pairs_;          // hash table
  /// A bit for each hash of a pair: most pairs of neighbours have no rank, and this is small enough
  /// to stay in the processor's cache, which pairs_ is not.
  std::vector<std::uint64_t> filter_;
  std::vector<Merged> direct_;    // [kDirectSymbols, kDirectSymbols]
  std::vector<std::int64_t> ids_; // of each symbol
  std::vector<Symbol> tokens_;
  std::vector<Symbol> symbols_of_ids_;                      // where ids are dense,
  std::vector<std::pair<std::int64_t, Symbol>> sparse_ids_; // and by rising id where they are not
};

} // namespace ptbert
