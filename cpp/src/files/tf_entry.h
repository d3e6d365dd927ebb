#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ptbert/files/tf_checkpoint.h"
#include "sorted_table.h"

namespace ptbert {

/// Reads the entry of a variable in an index (BundleEntryProto of tensorflow/core/protobuf/
/// tensor_bundle.proto), and those of its parts from `entries`, the whole index. Throws FormatError
/// when an entry is damaged or does not fit `shard_count`, or parts do not make up the variable.
TfVariable read_tf_entry(const std::string& name, std::string_view entry,
                         const TableEntries& entries, int64_t shard_count);

/// The key of a part in an index: name and place in the encoding of tensorflow/core/lib/strings/
/// ordered_code.h. A length of -1 stands for all that there is.
std::string tf_part_key(const std::string& name, const std::vector<int64_t>& starts,
                        const std::vector<int64_t>& lengths);

/// Bytes of an element; 0 if the type is unknown, or its elements differ in length.
uint64_t tf_element_bytes(const std::string& dtype);

} // namespace ptbert
