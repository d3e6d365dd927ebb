#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace ptbert {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78; // Castagnoli's, bits reversed
constexpr size_t kStep = 8;                  // bytes done at once

using Tables = std::array<std::array<uint32_t, 256>, kStep>;

/// tables[k][b]: the checksum of byte b followed by k zero bytes.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < kStep; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const auto before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

uint64_t load_step(const char* data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof word);
  return word;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_by_instruction(std::string_view bytes) {
  uint64_t crc = 0xFFFFFFFF;
  size_t i = 0;
  for (; i + kStep <= bytes.size(); i += kStep)
    crc = _mm_crc32_u64(crc, load_step(bytes.data() + i));
  auto rest = static_cast<uint32_t>(crc);
  for (; i < bytes.size(); ++i)
    rest = _mm_crc32_u8(rest, static_cast<unsigned char>(bytes[i]));
  return ~rest;
}
#endif

} // namespace

uint32_t crc32c_by_tables(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  size_t i = 0;
  for (; i + kStep <= bytes.size(); i += kStep) {
    const auto word = load_step(bytes.data() + i) ^ crc;
    crc = 0;
    for (size_t k = 0; k < kStep; ++k)
      crc ^= kTables[kStep - 1 - k][(word >> (8 * k)) & 0xFF];
  }
  for (; i < bytes.size(); ++i)
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(bytes[i])) & 0xFF];
  return ~crc;
}

uint32_t crc32c(std::string_view bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2"))
    return crc32c_by_instruction(bytes);
#endif
  return crc32c_by_tables(bytes);
}

} // namespace ptbert
