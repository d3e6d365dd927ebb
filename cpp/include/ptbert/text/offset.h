#pragma once

#include <cstddef>

namespace ptbert {

/// The span of a token in a text: code points [begin, end), i.e. indices into a Python str.
struct Offset {
  std::size_t begin, end;
};

} // namespace ptbert
