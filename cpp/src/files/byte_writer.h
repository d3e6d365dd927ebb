#pragma once

#include <cstdint>
#include <string>

namespace ptbert {

/// A number as ByteReader::varint() reads it.
inline std::string varint(uint64_t value) {
  std::string bytes;
  for (; value > 0x7F; value >>= 7)
    bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes += static_cast<char>(value);
}

/// A number of fixed size, little-endian.
template <typename Number> std::string fixed(Number value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

} // namespace ptbert
