#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>

namespace ptbert {

/// A look-up of an unknown name, such as a token that is not in the vocabulary. KeyError in Python.
class KeyError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// A file or folder that cannot be read or written. In Python the OSError of `code`, an errno:
/// FileNotFoundError, PermissionError.
class FileError : public std::runtime_error {
public:
  explicit FileError(const std::string& message, int code = ENOENT)
      : runtime_error(message), code_(code) {}
  int code() const { return code_; }

private:
  int code_;
};

/// A file whose content is invalid: truncated, inconsistent or of another format than its name
/// says. ValueError in Python.
class FormatError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace ptbert
