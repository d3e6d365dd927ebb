#pragma once

#include <cstddef>

namespace ptbert {

/// Where a token stands in a text: the code points [begin, end), counted as Python does.
struct Offset {
  std::size_t begin, end;
};

} // namespace ptbert
