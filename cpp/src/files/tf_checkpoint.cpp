#include "ptbert/files/tf_checkpoint.h"

#include <cstdio>

#include "crc32c.h"
#include "mapped_file.h"
#include "protobuf.h"
#include "ptbert/errors.h"
#include "sorted_table.h"
#include "tf_paths.h"
#include "tf_types.h"

namespace ptbert {
namespace {

using Wire = ProtobufReader::Wire;

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

/// Throws FormatError unless a variable has as many bytes as its shape needs.
void check_size(const TfVariable& variable, uint64_t element_bytes) {
  uint64_t bytes = element_bytes;
  for (const auto extent : variable.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes))
      throw FormatError("its shape needs more than 2^64 bytes");
  }
  if (bytes != variable.size)
    throw FormatError("its shape needs " + std::to_string(bytes) + " bytes, but it has " +
                      std::to_string(variable.size));
}

std::string index_rule(const std::string& prefix) {
  return "`" + prefix + ".index` must be the index of a TensorFlow checkpoint, but ";
}

} // namespace

TfCheckpoint::TfCheckpoint(const std::string& path) : prefix_(find_tf_prefix(path)) {
  try {
    read_index();
  } catch (const FormatError& error) {
    throw FormatError(index_rule(prefix_) + error.what() + ". Copy or download it again.");
  }
  open_shards();
}

TfCheckpoint::~TfCheckpoint() = default;

void TfCheckpoint::read_index() {
  const MappedFile index(prefix_ + ".index");
  const auto entries = read_sorted_table(index.bytes());
  if (entries.empty() || !entries.front().first.empty())
    throw FormatError("its first entry is not the header");
  read_header(entries.front().second);
  for (size_t i = 1; i < entries.size(); ++i) {
    const auto& [name, entry] = entries[i];
    if (name.front() == '\0') // a part of a partitioned variable, which has an entry of its own
      continue;
    try {
      add_variable(name, entry);
    } catch (const FormatError& error) {
      throw FormatError("the entry of `" + name + "` is damaged: " + error.what());
    }
  }
}

/// BundleHeaderProto: 1 number of shards, 2 endianness.
void TfCheckpoint::read_header(std::string_view message) {
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.is(1, Wire::kBytes))
      throw FormatError("it is in the older V1 format");
    if (fields.is(1, Wire::kVarint))
      shard_count_ = static_cast<int64_t>(fields.number);
    if (fields.is(2, Wire::kVarint) && fields.number != 0)
      throw FormatError("it was written on a big-endian machine");
  }
}

/// BundleEntryProto: 1 type, 2 shape, 3 shard, 4 offset, 5 size, 6 checksum, 7 slices.
void TfCheckpoint::add_variable(const std::string& name, std::string_view entry) {
  TfVariable variable;
  variable.name = name;
  uint64_t type = 0;
  ProtobufReader fields(entry);
  while (fields.next()) {
    if (fields.is(1, Wire::kVarint))
      type = fields.number;
    else if (fields.is(2, Wire::kBytes))
      variable.shape = read_shape(fields.bytes);
    else if (fields.is(3, Wire::kVarint))
      variable.shard = static_cast<int64_t>(fields.number);
    else if (fields.is(4, Wire::kVarint))
      variable.offset = fields.number;
    else if (fields.is(5, Wire::kVarint))
      variable.size = fields.number;
    else if (fields.is(6, Wire::kFixed32))
      variable.checksum = static_cast<uint32_t>(fields.number);
    else if (fields.is(7, Wire::kBytes))
      variable.is_partitioned = true;
  }
  const bool known = type < std::size(kTfTypes);
  variable.dtype = known ? kTfTypes[type].name : "type " + std::to_string(type);
  if (known && kTfTypes[type].bytes > 0 && !variable.is_partitioned)
    check_size(variable, kTfTypes[type].bytes);
  if (variable.shard < 0 || variable.shard >= shard_count_)
    throw FormatError("it is in shard " + std::to_string(variable.shard) + " of " +
                      std::to_string(shard_count_));
  variables_.push_back(std::move(variable));
}

void TfCheckpoint::open_shards() {
  for (const auto& variable : variables_) {
    if (variable.is_partitioned)
      continue;
    auto& file = shards_[variable.shard];
    const auto path = shard_path(variable.shard);
    if (file == nullptr)
      file = std::make_unique<MappedFile>(path);
    if (variable.offset > file->size() || variable.size > file->size() - variable.offset) {
      throw FormatError("`" + path + "` must hold `" + variable.name + "` in " +
                        std::to_string(variable.size) + " bytes from byte " +
                        std::to_string(variable.offset) + ", as the index says, but has " +
                        std::to_string(file->size()) +
                        " bytes: it is truncated, or of another checkpoint than `" + prefix_ +
                        ".index`. Copy or download both again.");
    }
  }
}

std::string TfCheckpoint::shard_path(int64_t shard) const {
  char ending[64];
  std::snprintf(ending, sizeof ending, ".data-%05lld-of-%05lld", static_cast<long long>(shard),
                static_cast<long long>(shard_count_));
  return prefix_ + ending;
}

char* TfCheckpoint::data(const TfVariable& variable) const {
  if (variable.is_partitioned)
    throw FormatError("`" + variable.name + "` of `" + prefix_ +
                      "` must be saved in one piece, but was saved in parts, by a partitioner. "
                      "Load and save the checkpoint without partitioner in TensorFlow.");
  char* data = shards_.at(variable.shard)->data() + variable.offset;
  if (masked_crc32c({data, variable.size}) != variable.checksum) {
    throw FormatError("`" + shard_path(variable.shard) + "` must hold `" + variable.name +
                      "` with the checksum that the index notes, but does not: it is damaged, or "
                      "of another checkpoint than `" +
                      prefix_ + ".index`. Copy or download both again.");
  }
  return data;
}

bool is_tf_checkpoint(const std::string& path) {
  try {
    find_tf_prefix(path);
    return true;
  } catch (const FileError&) {
    return false;
  } catch (const FormatError&) { // one of them that cannot be read
    return true;
  }
}

} // namespace ptbert
