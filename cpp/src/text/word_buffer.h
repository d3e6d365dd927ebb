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

/// Where code points of a text are numbered in 32 bits: std::length_error for a text too long.
inline void check_numbered_length(std::string_view text) {
  if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error(
        "a text must have less than 4 GiB for its tokens to be located, but has " +
        std::to_string(text.size()) + " bytes.");
  }
}

/// A token under construction, in memory that is used again for the next one.
struct WordBuffer {
  /// So many bytes behind the token may be read.
  static constexpr std::size_t kSlack = 64;

  WordBuffer() { reserve(256); }

  /// Makes room for `size` bytes in all.
  void reserve(std::size_t size) {
    if (size + kSlack > bytes.size()) {
      bytes.resize(2 * (size + kSlack));
      sources.resize(bytes.size());
    }
  }

  /// Gives the memory of a very long token back.
  void trim() {
    constexpr std::size_t kKept = 1 << 20;
    if (bytes.size() > kKept) {
      *this = WordBuffer();
    }
  }

  std::size_t length = 0;
  std::vector<char> bytes;
  std::vector<std::uint32_t> sources; // for each byte the number of its code point in the text
};

/// Returns the place of what comes from the code points [first, last), which are not in order where
/// marks have changed places.
inline Offset place_of(const std::uint32_t* first, const std::uint32_t* last) {
  const auto [lowest, highest] = std::minmax_element(first, last);
  return {*lowest, *highest + std::size_t{1}};
}

} // namespace ptbert::detail
