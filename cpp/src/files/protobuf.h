#pragma once

#include <string_view>

#include "byte_reader.h"

namespace ptbert {

/// Goes through the fields of a message of protocol buffers
/// (protobuf.dev/programming-guides/encoding). Throws FormatError when the bytes are damaged.
class ProtobufReader {
public:
  enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  explicit ProtobufReader(std::string_view message) : reader_(message) {}

  /// Reads the next field; false after the last one. Its value is in `number` or, of texts and
  /// inner messages, in `bytes`.
  bool next() {
    if (reader_.at_end())
      return false;
    const auto tag = reader_.varint();
    field = tag >> 3;
    wire = static_cast<Wire>(tag & 7);
    number = 0;
    bytes = {};
    switch (wire) {
    case Wire::kVarint:
      number = reader_.varint();
      return true;
    case Wire::kFixed64:
      number = reader_.number<uint64_t>();
      return true;
    case Wire::kBytes:
      bytes = reader_.take(reader_.varint());
      return true;
    case Wire::kFixed32:
      number = reader_.number<uint32_t>();
      return true;
    }
    throw FormatError("it has a field of the unknown kind " + std::to_string(tag & 7));
  }

  /// Whether the field just read is this one.
  bool is(uint64_t expected_field, Wire expected_wire) const {
    return field == expected_field && wire == expected_wire;
  }

  uint64_t field = 0;
  Wire wire = Wire::kVarint;
  uint64_t number = 0;
  std::string_view bytes;

private:
  ByteReader reader_;
};

} // namespace ptbert
