#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace ptbert::detail {

/// The pieces of words met before. A word has one slot, its hash's, which the newest word takes, so
/// the size is bounded: 1 MiB. Belongs to one thread at a time.
class WordCache {
public:
  static constexpr std::size_t kMaxBytes = 24;
  static constexpr std::size_t kMaxPieces = 7;

  /// A short word, as numbers that are fast to compare: zeros follow its bytes.
  struct Key {
    std::uint64_t parts[3];
    std::uint32_t length;

    bool operator==(const Key& other) const {
      return ((parts[0] ^ other.parts[0]) | (parts[1] ^ other.parts[1]) |
              (parts[2] ^ other.parts[2]) | (length ^ other.length)) == 0;
    }
  };

  struct alignas(64) Slot {
    Key key;
    std::uint32_t count; // of pieces
    std::int32_t pieces[kMaxPieces];
  };

  static_assert(sizeof(Slot) == 64, "a slot is a cache line");

  WordCache() : slots_(kSlots) {}

  /// Reads kMaxBytes bytes at `word`, of which `length` > 0 are the word.
  static Key key_of(const char* word, std::size_t length) {
    Key key;
    std::memcpy(key.parts, word, kMaxBytes);
    for (std::size_t i = 0; i < 3; ++i) {
      key.parts[i] &= first_bytes(length > i * 8 ? length - i * 8 : 0);
    }
    key.length = static_cast<std::uint32_t>(length);
    return key;
  }

  Slot& slot_of(const Key& key) {
    constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15; // 2^64 / golden ratio
    std::uint64_t hash = (key.parts[0] ^ key.length) * kMultiplier;
    hash = (hash ^ (hash >> 32) ^ key.parts[1]) * kMultiplier;
    hash = (hash ^ (hash >> 32) ^ key.parts[2]) * kMultiplier;
    return slots_[hash >> (64 - kSlotBits)];
  }

private:
  static constexpr int kSlotBits = 14;
  static constexpr std::size_t kSlots = std::size_t{1} << kSlotBits;

  static std::uint64_t first_bytes(std::size_t count) {
    return count >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (count * 8)) - 1;
  }

  std::vector<Slot> slots_;
};

} // namespace ptbert::detail
