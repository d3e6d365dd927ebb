#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace ptbert::detail {

/// Returns a size for a hash table of at least `count` slots.
inline std::size_t power_of_two_above(std::size_t count) {
  std::size_t power = 16;
  while (power < count) {
    power *= 2;
  }
  return power;
}

inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15; // 2^64 divided by the golden ratio
  return hash ^ hash >> 32;
}

template <typename Integer> Integer load(const char* bytes) {
  Integer value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// Starts loading memory into the cache that is about to be read.
inline void prefetch(const void* memory) { __builtin_prefetch(memory); }

/// Up to 8 bytes as a number: injective for strings of equal length.
inline std::uint64_t load_short(const char* bytes, std::size_t size) {
  if (size >= 4) {
    return static_cast<std::uint64_t>(load<std::uint32_t>(bytes)) << 32 |
           load<std::uint32_t>(bytes + size - 4);
  }
  if (size == 0) {
    return 0;
  }
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i]));
  };
  return byte(0) << 16 | byte(size / 2) << 8 | byte(size - 1);
}

inline std::uint64_t hash_bytes(std::string_view text) {
  std::uint64_t hash = mix(0, text.size());
  while (text.size() > 8) {
    hash = mix(hash, load<std::uint64_t>(text.data()));
    text.remove_prefix(8);
  }
  return mix(hash, load_short(text.data(), text.size()));
}

} // namespace ptbert::detail
