#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptbert {

/// Keys with their values, in ascending order of the bytes of the keys.
using TableEntries = std::vector<std::pair<std::string, std::string>>;

/// Whether a file ends as a sorted table does.
bool is_sorted_table(std::string_view file);

/// Reads a file in LevelDB's table format (google/leveldb, doc/table_format.md): blocks of entries
/// whose keys leave out what they share with the key before, perhaps compressed by Snappy, each
/// with its CRC-32C; an index block of blocks; a footer. Throws FormatError when the file is
/// damaged; the message completes "the file must be ..., but".
TableEntries read_sorted_table(std::string_view file);

/// The bytes of such a file, without compression. Keys must be in ascending order.
std::string write_sorted_table(const TableEntries& entries);

} // namespace ptbert
