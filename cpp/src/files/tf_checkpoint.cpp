#include "ptbert/files/tf_checkpoint.h"

#include <cstdio>
#include <cstring>

#include "crc32c.h"
#include "mapped_file.h"
#include "protobuf.h"
#include "ptbert/errors.h"
#include "sorted_table.h"
#include "tf_entry.h"
#include "tf_paths.h"

namespace ptbert {
namespace {

using Wire = ProtobufReader::Wire;

/// Copies a part of a variable, which is at `from`, to its place in the whole at `to`.
void copy_part(const TfPart& part, const std::vector<int64_t>& shape, uint64_t element_bytes,
               const char* from, char* to) {
  if (part.bytes.size == 0)
    return;
  if (shape.empty()) {
    std::memcpy(to, from, element_bytes);
    return;
  }
  const size_t last = shape.size() - 1;
  const auto row_bytes = static_cast<uint64_t>(part.shape[last]) * element_bytes;
  std::vector<int64_t> at(shape.size()); // of a row, within the part
  for (const char* end = from + part.bytes.size; from < end; from += row_bytes) {
    uint64_t element = 0;
    for (size_t i = 0; i < shape.size(); ++i)
      element =
          element * static_cast<uint64_t>(shape[i]) + static_cast<uint64_t>(part.start[i] + at[i]);
    std::memcpy(to + element * element_bytes, from, row_bytes);
    for (size_t i = last; i-- > 0 && ++at[i] == part.shape[i];)
      at[i] = 0;
  }
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
  for (const auto& variable : variables_) {
    if (variable.parts.empty())
      open_shard(variable.name, variable.bytes);
    for (const auto& part : variable.parts)
      open_shard(variable.name, part.bytes);
  }
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
      variables_.push_back(read_tf_entry(name, entry, entries, shard_count_));
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

/// Opens the file that these bytes of a variable are in. Throws FormatError if it has fewer.
void TfCheckpoint::open_shard(const std::string& name, const TfBytes& bytes) {
  auto& file = shards_[bytes.shard];
  const auto path = shard_path(bytes.shard);
  if (file == nullptr)
    file = std::make_unique<MappedFile>(path);
  if (bytes.offset > file->size() || bytes.size > file->size() - bytes.offset) {
    throw FormatError("`" + path + "` must hold `" + name + "` in " + std::to_string(bytes.size) +
                      " bytes from byte " + std::to_string(bytes.offset) +
                      ", as the index says, but has " + std::to_string(file->size()) +
                      " bytes: it is truncated, or of another checkpoint than `" + prefix_ +
                      ".index`. Copy or download both again.");
  }
}

std::string TfCheckpoint::shard_path(int64_t shard) const {
  char ending[64];
  std::snprintf(ending, sizeof ending, ".data-%05lld-of-%05lld", static_cast<long long>(shard),
                static_cast<long long>(shard_count_));
  return prefix_ + ending;
}

/// Where these bytes of a variable are mapped. Throws FormatError if their checksum is another.
char* TfCheckpoint::checked(const std::string& name, const TfBytes& bytes) const {
  char* data = shards_.at(bytes.shard)->data() + bytes.offset;
  if (masked_crc32c({data, bytes.size}) != bytes.checksum) {
    throw FormatError("`" + shard_path(bytes.shard) + "` must hold `" + name +
                      "` with the checksum that the index notes, but does not: it is damaged, or "
                      "of another checkpoint than `" +
                      prefix_ + ".index`. Copy or download both again.");
  }
  return data;
}

char* TfCheckpoint::data(const TfVariable& variable) const {
  return checked(variable.name, variable.bytes);
}

std::vector<char> TfCheckpoint::joined(const TfVariable& variable) const {
  uint64_t needed = 0, present = 0;
  for (const auto& part : variable.parts)
    needed += part.bytes.size;
  for (const auto& [number, file] : shards_)
    present += file->size();
  if (needed > present) { // as parts may be the same bytes
    throw FormatError(index_rule(prefix_) + "the parts of `" + variable.name + "` have " +
                      std::to_string(needed) + " bytes, and all files " + std::to_string(present) +
                      ". Copy or download it again.");
  }
  std::vector<char> whole(needed);
  const auto element_bytes = tf_element_bytes(variable.dtype);
  for (const auto& part : variable.parts)
    copy_part(part, variable.shape, element_bytes, checked(variable.name, part.bytes),
              whole.data());
  return whole;
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
