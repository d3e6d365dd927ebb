#include "ptbert/text/symbol_table.h"

#include <limits>
#include <stdexcept>
#include <utility>

#include "hash.h"

namespace ptbert {

SymbolTable::SymbolTable(std::size_t count) : slots_(detail::power_of_two_above(2 * count)) {
  starts_.reserve(count + 1);
}

std::uint32_t SymbolTable::hash_of(std::string_view symbol) {
  return static_cast<std::uint32_t>(detail::hash_bytes(symbol) >> 32);
}

void SymbolTable::prefetch(std::uint32_t hash) const {
  detail::prefetch(&slots_[hash & (slots_.size() - 1)]);
}

std::uint32_t SymbolTable::add(std::string_view symbol, std::uint32_t hash) {
  Slot& slot = slots_[place(symbol, hash)];
  if (slot.number != 0)
    return slot.number - 1;
  if (size() == std::numeric_limits<std::uint32_t>::max() - 1)
    throw std::length_error(
        "`text` must have fewer than 2**32 - 1 different symbols, but has more.");
  characters_.append(symbol);
  starts_.push_back(characters_.size());
  const auto number = static_cast<std::uint32_t>(size());
  slot = {hash, number};
  if (2 * size() > slots_.size())
    grow();
  return number - 1;
}

std::optional<std::uint32_t> SymbolTable::find(std::string_view symbol) const {
  const Slot& slot = slots_[place(symbol, hash_of(symbol))];
  return slot.number == 0 ? std::nullopt : std::optional(slot.number - 1);
}

std::size_t SymbolTable::place(std::string_view symbol, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t place = hash & mask;
  while (slots_[place].number != 0 &&
         (slots_[place].hash != hash || (*this)[slots_[place].number - 1] != symbol)) {
    place = (place + 1) & mask;
  }
  return place;
}

void SymbolTable::grow() {
  std::vector<Slot> slots(2 * slots_.size());
  const std::size_t mask = slots.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.number == 0)
      continue;
    std::size_t place = slot.hash & mask;
    while (slots[place].number != 0)
      place = (place + 1) & mask;
    slots[place] = slot;
  }
  slots_ = std::move(slots);
}

} // namespace ptbert
