#include "sorted_table.h"

#include <algorithm>

#include "byte_reader.h"
#include "byte_writer.h"
#include "crc32c.h"
#include "snappy.h"

namespace ptbert {
namespace {

constexpr uint64_t kMagic = 0xDB4775248B80FB57;
constexpr size_t kFooterBytes = 48; // two handles, filled up to 40 bytes, and the magic number
constexpr size_t kTrailerBytes = 5; // after a block: its compression, and the checksum of both
constexpr uint8_t kStored = 0, kSnappy = 1;
constexpr size_t kBlockBytes = 4096, kRestartEvery = 16; // of what is written, as in LevelDB
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

/// Builds a block: append_entries() says of what.
class BlockWriter {
public:
  explicit BlockWriter(size_t restart_every) : restart_every_(restart_every) {}

  void add(const std::string& key, const std::string& value) {
    size_t shared = 0;
    if (count_++ % restart_every_ == 0)
      restarts_ += fixed(static_cast<uint32_t>(content_.size()));
    else
      while (shared < std::min(key.size(), last_key_.size()) && key[shared] == last_key_[shared])
        ++shared;
    content_ += varint(shared) + varint(key.size() - shared) + varint(value.size());
    content_.append(key, shared).append(value);
    last_key_ = key;
  }

  size_t size() const { return content_.size(); }
  const std::string& last_key() const { return last_key_; }

  /// Appends the block with its trailer to `file`; returns its handle.
  std::string append_to(std::string& file) const {
    const auto restarts = restarts_.empty() ? fixed(uint32_t{0}) : restarts_; // there is always one
    auto block = content_ + restarts + fixed(static_cast<uint32_t>(restarts.size() / 4));
    const auto handle = varint(file.size()) + varint(block.size());
    block += static_cast<char>(kStored);
    file += block + fixed(masked_crc32c(block));
    return handle;
  }

private:
  size_t restart_every_, count_ = 0;
  std::string content_, restarts_, last_key_;
};

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

std::string write_sorted_table(const TableEntries& entries) {
  std::string file;
  BlockWriter index(1);
  for (size_t i = 0; i < entries.size();) {
    BlockWriter block(kRestartEvery);
    for (; i < entries.size() && block.size() < kBlockBytes; ++i)
      block.add(entries[i].first, entries[i].second);
    index.add(block.last_key(), block.append_to(file));
  }
  auto footer = BlockWriter(1).append_to(file); // the meta-index
  footer += index.append_to(file);
  footer.resize(kFooterBytes - sizeof kMagic);
  return file + footer + fixed(kMagic);
}

} // namespace ptbert
