#include <cerrno>
#include <cstring>

#include "byte_writer.h"
#include "crc32c.h"
#include "ptbert/errors.h"
#include "ptbert/files/tf_checkpoint.h"
#include "sorted_table.h"
#include "tf_types.h"

namespace ptbert {
namespace {

/// A field of a protocol buffer that is a number; as there, 0 goes without saying.
std::string number_field(uint64_t field, uint64_t value) {
  return value == 0 ? "" : varint(field << 3) + varint(value);
}

std::string bytes_field(uint64_t field, const std::string& value) {
  return varint(field << 3 | 2) + varint(value.size()) + value;
}

std::string fixed32_field(uint64_t field, uint32_t value) {
  return varint(field << 3 | 5) + fixed(value);
}

uint64_t number_of_type(const std::string& dtype) {
  for (uint64_t type = 0; type < std::size(kTfTypes); ++type) {
    if (dtype == kTfTypes[type].name)
      return type;
  }
  throw FormatError("`dtype` must be one that TensorFlow has, but is " + dtype + ".");
}

void check_written(const std::ostream& file, const std::string& path) {
  if (!file) {
    const int code = errno;
    throw FileError("`" + path + "` must be a file that can be written, but writing it fails: " +
                        std::strerror(code) + ".",
                    code);
  }
}

} // namespace

TfCheckpointWriter::TfCheckpointWriter(const std::string& prefix)
    : prefix_(prefix), data_(prefix + ".data-00000-of-00001", std::ios::binary) {
  check_written(data_, prefix_ + ".data-00000-of-00001");
  // BundleHeaderProto: 1 number of shards, 3 version, with 1 the least reader it needs.
  entries_[""] = number_field(1, 1) + bytes_field(3, number_field(1, 1));
}

/// BundleEntryProto: 1 type, 2 shape, 4 offset, 5 size, 6 checksum.
void TfCheckpointWriter::add(const std::string& name, const std::string& dtype,
                             const std::vector<int64_t>& shape, std::string_view bytes) {
  std::string dimensions;
  for (const auto extent : shape)
    dimensions += bytes_field(2, number_field(1, static_cast<uint64_t>(extent)));
  const auto entry = number_field(1, number_of_type(dtype)) + bytes_field(2, dimensions) +
                     number_field(4, position_) + number_field(5, bytes.size()) +
                     fixed32_field(6, masked_crc32c(bytes));
  if (!entries_.emplace(name, entry).second)
    throw FormatError("`" + name + "` must be added once, but is there already.");
  data_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  check_written(data_, prefix_ + ".data-00000-of-00001");
  position_ += bytes.size();
}

void TfCheckpointWriter::finish() {
  data_.close();
  check_written(data_, prefix_ + ".data-00000-of-00001");
  const auto path = prefix_ + ".index";
  std::ofstream index(path, std::ios::binary);
  index << write_sorted_table({entries_.begin(), entries_.end()});
  index.close();
  check_written(index, path);
}

} // namespace ptbert
