#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ptbert/text/offset.h"

namespace ptbert::detail {

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
