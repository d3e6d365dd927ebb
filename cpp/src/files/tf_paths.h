#pragma once

#include <string>

#include "ptbert/errors.h"

namespace ptbert {

/// The PREFIX that `path` names in one of the ways that TfCheckpoint takes: PREFIX.index exists.
/// Throws FileError when there is none, FormatError when `path` is in the V1 format, when a folder
/// has several, or a file `checkpoint` names none.
std::string find_tf_prefix(const std::string& path);

/// The error of a checkpoint in the V1 format, with the remedy.
FormatError v1_error(const std::string& path);

} // namespace ptbert
