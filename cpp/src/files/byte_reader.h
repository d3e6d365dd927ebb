#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "ptbert/errors.h"

namespace ptbert {

/// Reads bytes one part after the other. Every call throws FormatError when there are too few; the
/// message completes "..., but".
class ByteReader {
public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }

  std::string_view take(uint64_t count) {
    if (count > bytes_.size())
      throw FormatError("it ends too early");
    const auto part = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return part;
  }

  /// A little-endian number of fixed size.
  template <typename Number> Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  /// A number in groups of 7 bits, lowest first, the last without the high bit: protocol buffers'
  /// and LevelDB's varint.
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = number<uint8_t>();
      value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80)
        return value;
    }
    throw FormatError("it has a number of more than 64 bits");
  }

private:
  std::string_view bytes_;
};

} // namespace ptbert
