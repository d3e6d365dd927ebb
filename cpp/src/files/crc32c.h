#pragma once

#include <cstdint>
#include <string_view>

namespace ptbert {

/// The CRC-32C (Castagnoli) checksum of some bytes, as in RFC 3720, appendix B.4.
uint32_t crc32c(std::string_view bytes);

/// A checksum as LevelDB and TensorFlow store it: rotated by 15 bits, plus a constant, so that the
/// checksum of bytes that hold checksums is a good one.
inline uint32_t masked_crc32c(std::string_view bytes) {
  const auto crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

/// The same by tables, for processors without the instruction; tests compare the two.
uint32_t crc32c_by_tables(std::string_view bytes);

} // namespace ptbert
