#pragma once

#include <string>
#include <string_view>

namespace ptbert {

/// Returns what was compressed into `bytes` by Snappy, without its framing
/// (google/snappy, format_description.txt). Throws FormatError when they are damaged; the message
/// completes "..., but".
std::string uncompress_snappy(std::string_view bytes);

} // namespace ptbert
