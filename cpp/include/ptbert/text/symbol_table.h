#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptbert {

/// Distinct strings, numbered from 0 in the order in which they were added: a hash table with open
/// addressing, whose characters are in one buffer.
class SymbolTable {
public:
  /// Makes room for `count` symbols; the table grows if there are more.
  explicit SymbolTable(std::size_t count = 0);

  /// Returns the number of a symbol; adds it if it is new.
  std::uint32_t add(std::string_view symbol) { return add(symbol, hash_of(symbol)); }
  std::optional<std::uint32_t> find(std::string_view symbol) const;
  /// Returns a symbol, valid until the next one is added. `index` must be below size().
  std::string_view operator[](std::size_t index) const {
    return std::string_view(characters_)
        .substr(starts_[index], starts_[index + 1] - starts_[index]);
  }
  std::size_t size() const { return starts_.size() - 1; }

  // For callers that add many symbols: with prefetches of several, each need not wait for memory.

  static std::uint32_t hash_of(std::string_view symbol);
  /// Starts loading what add() will read.
  void prefetch(std::uint32_t hash) const;
  /// `hash` must be that of the symbol.
  std::uint32_t add(std::string_view symbol, std::uint32_t hash);

private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t number = 0; // index + 1; 0 if the slot is free
  };

  /// Returns the index of the symbol's slot, or of the free slot to insert it in.
  std::size_t place(std::string_view symbol, std::uint32_t hash) const;
  void grow();

  std::string characters_;
  std::vector<std::size_t> starts_{0}; // in characters_; size() + 1 entries
  std::vector<Slot> slots_;            // a power of two, at most half of them taken
};

} // namespace ptbert
