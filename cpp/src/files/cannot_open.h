#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include "ptbert/errors.h"

namespace ptbert {

/// The error of a file that could not be opened, for the reason in errno.
inline FileError cannot_open(const std::string& path) {
  const int code = errno;
  return FileError("`" + path + "` must be a file that can be read, but opening it fails: " +
                       std::strerror(code) + ".",
                   code);
}

} // namespace ptbert
