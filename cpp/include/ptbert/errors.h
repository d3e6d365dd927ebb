#pragma once

#include <stdexcept>

namespace ptbert {

/// A look-up of an unknown name, such as a token that is not in the vocabulary. KeyError in Python.
class KeyError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// A file or folder that cannot be read. FileNotFoundError in Python.
class FileError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// A file whose content is invalid: truncated, inconsistent or of another format than its name
/// says. ValueError in Python.
class FormatError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace ptbert
