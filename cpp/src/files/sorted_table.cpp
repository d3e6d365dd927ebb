#include "sorted_table.h"

#include "byte_reader.h"
#include "crc32c.h"
#include "snappy.h"

namespace ptbert {
namespace {

constexpr uint64_t kMagic = 0xDB4775248B80FB57;
constexpr size_t kFooterBytes = 48; // two handles, filled up to 40 bytes, and the magic number
constexpr size_t kTrailerBytes = 5; // after a block: its compression, and the checksum of both
constexpr uint8_t kStored = 0, kSnappy = 1;
// A few bytes may stand for a long key, so a small file could ask for much memory.
constexpr size_t kLongestKey = 4096;

/// Where a block is.
struct Handle {
  uint64_t offset, size;
};

Handle read_handle(ByteReader& reader) {
  try {
    const auto offset = reader.varint();
    return {offset, reader.varint()};
  } catch (const FormatError& error) {
    throw FormatError(std::string("the place of a block in it is damaged: ") + error.what());
  }
}

/// The entries of a block with the numbers of restarts behind them; in `uncompressed` if the file
/// has them compressed.
std::string_view block_of(std::string_view file, const Handle& handle, std::string& uncompressed) {
  if (handle.offset > file.size() || file.size() - handle.offset < kTrailerBytes ||
      handle.size > file.size() - handle.offset - kTrailerBytes)
    throw FormatError("it lies outside of the file");
  const auto block = file.substr(handle.offset, handle.size);
  ByteReader trailer(file.substr(handle.offset + handle.size, kTrailerBytes));
  const auto compression = trailer.number<uint8_t>();
  if (trailer.number<uint32_t>() != masked_crc32c(file.substr(handle.offset, handle.size + 1)))
    throw FormatError("its checksum is not the one noted behind it");
  if (compression == kStored)
    return block;
  if (compression != kSnappy)
    throw FormatError("it is compressed in the unknown way " + std::to_string(compression));
  return uncompressed = uncompress_snappy(block);
}

/// Appends the entries of a block to `entries`. Each is the length of what its key shares with the
/// one before, the lengths of the rest and of the value, the rest, the value.
void append_entries(std::string_view block, TableEntries& entries) {
  uint32_t restarts; // places at which a key is whole, for searching; not needed here
  if (block.size() < sizeof restarts)
    throw FormatError("it ends too early");
  restarts = ByteReader(block.substr(block.size() - sizeof restarts)).number<uint32_t>();
  const auto restart_bytes = (uint64_t{restarts} + 1) * sizeof restarts;
  if (restart_bytes > block.size())
    throw FormatError("it is too short for its " + std::to_string(restarts) + " restarts");
  ByteReader reader(block.substr(0, block.size() - restart_bytes));
  std::string key;
  while (!reader.at_end()) {
    const auto shared = reader.varint();
    const auto rest = reader.varint();
    const auto value = reader.varint();
    if (shared > key.size())
      throw FormatError("a key shares more than the one before has");
    if (rest > kLongestKey - shared)
      throw FormatError("a key has more than " + std::to_string(kLongestKey) + " bytes");
    key.resize(shared);
    key += reader.take(rest);
    if (!entries.empty() && entries.back().first >= key)
      throw FormatError("its keys are not in order");
    entries.emplace_back(key, reader.take(value));
  }
}

void append_block(std::string_view file, const Handle& handle, TableEntries& entries) {
  try {
    std::string uncompressed;
    append_entries(block_of(file, handle, uncompressed), entries);
  } catch (const FormatError& error) {
    throw FormatError("the block of " + std::to_string(handle.size) + " bytes at byte " +
                      std::to_string(handle.offset) + " is damaged: " + error.what());
  }
}

} // namespace

bool is_sorted_table(std::string_view file) {
  return file.size() >= kFooterBytes &&
         ByteReader(file.substr(file.size() - sizeof kMagic)).number<uint64_t>() == kMagic;
}

TableEntries read_sorted_table(std::string_view file) {
  if (!is_sorted_table(file))
    throw FormatError("it does not end as one: it is truncated or of another format");
  ByteReader footer(file.substr(file.size() - kFooterBytes, kFooterBytes - sizeof kMagic));
  read_handle(footer); // of the meta-index block, which has nothing for us
  TableEntries blocks, entries;
  append_block(file, read_handle(footer), blocks);
  for (const auto& [last_key, handle] : blocks) {
    ByteReader reader(handle);
    append_block(file, read_handle(reader), entries);
  }
  return entries;
}

} // namespace ptbert
