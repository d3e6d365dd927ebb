#pragma once

#include <torch/torch.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptbert {

/// Returns the bytes of the archive's record `name`. Called once for each name.
using LoadStorage = std::function<torch::Storage(const std::string& name)>;

/// Returns the entries of a dictionary of tensors that torch.save wrote as the pickle `program`
/// (protocol 2) and records of bytes. No Python is imported or run. Throws FormatError if the
/// pickle is damaged or refers to anything but tensors; the message completes "the file must hold a
/// dictionary of tensors, but ...".
std::vector<std::pair<std::string, torch::Tensor>> unpickle_tensors(std::string_view program,
                                                                    const LoadStorage& load);

} // namespace ptbert
