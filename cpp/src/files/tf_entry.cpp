#include "tf_entry.h"

#include <algorithm>

#include "protobuf.h"
#include "ptbert/errors.h"
#include "tf_types.h"

namespace ptbert {
namespace {

using Wire = ProtobufReader::Wire;

/// TensorSliceProto: where a part begins in each dimension, and its length; -1 for all.
struct Slice {
  std::vector<int64_t> starts, lengths;
};

/// BundleEntryProto.
struct Entry {
  std::string dtype;
  std::vector<int64_t> shape;
  TfBytes bytes;
  std::vector<Slice> slices;
};

/// BundleEntryProto.shape. Throws FormatError unless every extent is a number from 0.
std::vector<int64_t> read_shape(std::string_view message) {
  std::vector<int64_t> shape;
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.is(3, Wire::kVarint) && fields.number != 0)
      throw FormatError("its shape is unknown");
    if (!fields.is(2, Wire::kBytes))
      continue;
    int64_t extent = 0;
    ProtobufReader dimension(fields.bytes);
    while (dimension.next()) {
      if (dimension.is(1, Wire::kVarint))
        extent = static_cast<int64_t>(dimension.number);
    }
    if (extent < 0)
      throw FormatError("its shape has an extent of " + std::to_string(extent));
    shape.push_back(extent);
  }
  return shape;
}

/// Repeated extents of 1 start, 2 length.
Slice read_slice(std::string_view message) {
  Slice slice;
  ProtobufReader fields(message);
  while (fields.next()) {
    if (!fields.is(1, Wire::kBytes))
      continue;
    int64_t start = 0, length = -1;
    ProtobufReader extent(fields.bytes);
    while (extent.next()) {
      if (extent.is(1, Wire::kVarint))
        start = static_cast<int64_t>(extent.number);
      else if (extent.is(2, Wire::kVarint))
        length = static_cast<int64_t>(extent.number);
    }
    slice.starts.push_back(start);
    slice.lengths.push_back(length);
  }
  return slice;
}

/// 1 type, 2 shape, 3 shard, 4 offset, 5 size, 6 checksum, 7 slices.
Entry read_entry(std::string_view message, int64_t shard_count) {
  Entry entry;
  uint64_t type = 0;
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.is(1, Wire::kVarint))
      type = fields.number;
    else if (fields.is(2, Wire::kBytes))
      entry.shape = read_shape(fields.bytes);
    else if (fields.is(3, Wire::kVarint))
      entry.bytes.shard = static_cast<int64_t>(fields.number);
    else if (fields.is(4, Wire::kVarint))
      entry.bytes.offset = fields.number;
    else if (fields.is(5, Wire::kVarint))
      entry.bytes.size = fields.number;
    else if (fields.is(6, Wire::kFixed32))
      entry.bytes.checksum = static_cast<uint32_t>(fields.number);
    else if (fields.is(7, Wire::kBytes))
      entry.slices.push_back(read_slice(fields.bytes));
  }
  entry.dtype = type < std::size(kTfTypes) ? kTfTypes[type].name : "type " + std::to_string(type);
  if (entry.bytes.shard < 0 || entry.bytes.shard >= shard_count)
    throw FormatError("it is in shard " + std::to_string(entry.bytes.shard) + " of " +
                      std::to_string(shard_count));
  return entry;
}

/// How many bytes a shape needs. Throws FormatError if their number does not fit into 64 bits.
uint64_t bytes_of(const std::vector<int64_t>& shape, uint64_t element_bytes) {
  uint64_t bytes = element_bytes;
  for (const auto extent : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes))
      throw FormatError("its shape needs more than 2^64 bytes");
  }
  return bytes;
}

void check_size(const Entry& entry) {
  const auto element_bytes = tf_element_bytes(entry.dtype);
  const auto bytes = bytes_of(entry.shape, element_bytes);
  if (element_bytes > 0 && bytes != entry.bytes.size)
    throw FormatError("its shape needs " + std::to_string(bytes) + " bytes, but it has " +
                      std::to_string(entry.bytes.size));
}

/// The part that a slice says, with its entry.
TfPart read_part(const TfVariable& whole, const Slice& slice, const TableEntries& entries,
                 int64_t shard_count) {
  if (slice.starts.size() != whole.shape.size())
    throw FormatError("it has a part of " + std::to_string(slice.starts.size()) + " dimensions");
  TfPart part{slice.starts, slice.lengths, {}};
  for (size_t i = 0; i < part.shape.size(); ++i) {
    if (part.shape[i] == -1 && part.start[i] == 0)
      part.shape[i] = whole.shape[i];
    if (part.start[i] < 0 || part.start[i] > whole.shape[i] || part.shape[i] < 0 ||
        part.shape[i] > whole.shape[i] - part.start[i])
      throw FormatError("it has a part of " + std::to_string(part.shape[i]) + " from " +
                        std::to_string(part.start[i]) + " on in a dimension of " +
                        std::to_string(whole.shape[i]));
  }
  const auto key = tf_part_key(whole.name, slice.starts, slice.lengths);
  const auto found =
      std::lower_bound(entries.begin(), entries.end(), key,
                       [](const auto& entry, const auto& wanted) { return entry.first < wanted; });
  if (found == entries.end() || found->first != key)
    throw FormatError("it has a part that the index has no entry for");
  const auto entry = read_entry(found->second, shard_count);
  if (entry.dtype != whole.dtype || entry.shape != part.shape)
    throw FormatError("it has a part of another type or shape than its entry");
  check_size(entry);
  part.bytes = entry.bytes;
  return part;
}

bool overlap(const TfPart& left, const TfPart& right) {
  for (size_t i = 0; i < left.start.size(); ++i) {
    if (std::max(left.start[i], right.start[i]) >=
        std::min(left.start[i] + left.shape[i], right.start[i] + right.shape[i]))
      return false;
  }
  return true;
}

/// Throws FormatError unless every element of a variable is in one of its parts, and in one alone.
void check_parts(const TfVariable& variable) {
  uint64_t elements = 0;
  for (size_t i = 0; i < variable.parts.size(); ++i) {
    elements += bytes_of(variable.parts[i].shape, 1);
    for (size_t j = 0; j < i; ++j) {
      if (overlap(variable.parts[i], variable.parts[j]))
        throw FormatError("it has parts that overlap");
    }
  }
  if (elements != bytes_of(variable.shape, 1))
    throw FormatError("its parts have " + std::to_string(elements) + " elements together, but it " +
                      "has " + std::to_string(bytes_of(variable.shape, 1)));
}

/// OrderedCode::WriteNumIncreasing: how many bytes, and these, highest first.
std::string number_code(uint64_t value) {
  std::string code;
  for (; value > 0; value >>= 8)
    code.insert(code.begin(), static_cast<char>(value & 0xFF));
  return static_cast<char>(code.size()) + code;
}

/// OrderedCode::WriteString: bytes 0 and 255 with one that says so behind them, and an end.
std::string string_code(const std::string& text) {
  std::string code;
  for (const char byte : text) {
    code += byte;
    if (byte == '\0')
      code += '\xFF';
    else if (byte == '\xFF')
      code += '\0';
  }
  return code + '\0' + '\1';
}

/// OrderedCode::WriteSignedNumIncreasing of a number from -1: of `length` bytes, highest first, the
/// upper `length` bits are 1 and the next one 0. -1 has these bits the other way round.
std::string signed_code(int64_t value) {
  if (value < 0)
    return "\x7F";
  const auto number = static_cast<uint64_t>(value);
  size_t length = 1;
  while (length < 10 && number >> (7 * length - 1) > 0)
    ++length;
  std::string code(length, '\0');
  for (size_t i = 0; i < std::min<size_t>(length, 8); ++i)
    code[length - 1 - i] = static_cast<char>(number >> (8 * i));
  for (size_t bit = 0; bit < length; ++bit)
    code[bit / 8] = static_cast<char>(code[bit / 8] | 0x80 >> bit % 8);
  return code;
}

} // namespace

uint64_t tf_element_bytes(const std::string& dtype) {
  for (const auto& type : kTfTypes) {
    if (dtype == type.name)
      return type.bytes;
  }
  return 0;
}

std::string tf_part_key(const std::string& name, const std::vector<int64_t>& starts,
                        const std::vector<int64_t>& lengths) {
  auto key = number_code(0) + string_code(name) + number_code(starts.size());
  for (size_t i = 0; i < starts.size(); ++i)
    key += signed_code(starts[i]) + signed_code(lengths[i]);
  return key;
}

TfVariable read_tf_entry(const std::string& name, std::string_view entry,
                         const TableEntries& entries, int64_t shard_count) {
  const auto read = read_entry(entry, shard_count);
  TfVariable variable{name, read.dtype, read.shape, read.bytes, {}};
  if (read.slices.empty()) {
    check_size(read);
    return variable;
  }
  for (const auto& slice : read.slices)
    variable.parts.push_back(read_part(variable, slice, entries, shard_count));
  check_parts(variable);
  return variable;
}

} // namespace ptbert
