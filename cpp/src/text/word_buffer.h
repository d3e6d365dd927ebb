#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/offset.h"

namespace ptbert::detail {

/// Throws std::length_error if the code points of a text may not be counted in 32 bits.
inline void check_numbered_length(std::string_view text) {
  if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error(
        "`text` must have less than 4 GiB for its tokens to be located, but has " +
        std::to_string(text.size()) + " bytes.");
  }
}

/// A token under construction, in memory that is reused for the next one.
struct WordBuffer {
  /// This many bytes after the token may be read.
  static constexpr std::size_t kSlack = 64;

  WordBuffer() { reserve(256); }

  /// Makes room for `size` bytes in all.
  void reserve(std::size_t size) {
    if (size + kSlack > bytes.size()) {
      bytes.resize(2 * (size + kSlack));
      sources.resize(bytes.size());
    }
  }

  /// Frees memory that only a very long token needed.
  void trim() {
    constexpr std::size_t kKept = 1 << 20;
    if (bytes.size() > kKept) {
      *this = WordBuffer();
    }
  }

  std::size_t length = 0;
  std::vector<char> bytes;
  std::vector<std::uint32_t> sources; // for each byte, the index of its code point in the text
};

/// Returns the span of the code point indices [first, last), which are not sorted where combining
/// marks were reordered.
inline Offset offset_of(const std::uint32_t* first, const std::uint32_t* last) {
  const auto [lowest, highest] = std::minmax_element(first, last);
  return {*lowest, *highest + std::size_t{1}};
}

} // namespace ptbert::detail
