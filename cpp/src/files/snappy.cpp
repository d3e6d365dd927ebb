#include "snappy.h"

#include "byte_reader.h"

namespace ptbert {
namespace {

// The most that one byte can stand for: a copy of 64 bytes takes 3.
constexpr uint64_t kMostPerByte = 22;

/// A number of 1 to 4 bytes, little-endian.
uint64_t number_of(ByteReader& reader, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value |= uint64_t{reader.number<uint8_t>()} << (8 * i);
  return value;
}

} // namespace

std::string uncompress_snappy(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto size = reader.varint();
  if (size > bytes.size() * kMostPerByte)
    throw FormatError("it is too short for the " + std::to_string(size) +
                      " bytes that it should have");
  std::string text;
  text.reserve(size);
  while (!reader.at_end()) {
    const auto tag = reader.number<uint8_t>();
    const unsigned kind = tag & 3U, argument = tag >> 2;
    if (kind == 0) { // a literal; 60 to 63 say how many bytes its length takes
      const auto length =
          argument < 60 ? argument : number_of(reader, static_cast<int>(argument) - 59);
      text += reader.take(length + 1);
    } else { // a copy of what stands some bytes before, which may go on into the copy itself
      const uint64_t length = kind == 1 ? (argument & 7U) + 4 : argument + 1;
      const uint64_t back = kind == 1 ? (uint64_t{tag} >> 5 << 8) | reader.number<uint8_t>()
                                      : number_of(reader, kind == 2 ? 2 : 4);
      if (back == 0 || back > text.size() || length > size - text.size())
        throw FormatError("it copies bytes that are not there");
      for (uint64_t i = 0; i < length; ++i)
        text += text[text.size() - back];
    }
    if (text.size() > size)
      break;
  }
  if (text.size() != size)
    throw FormatError("it does not have the " + std::to_string(size) + " bytes that it should");
  return text;
}

} // namespace ptbert
