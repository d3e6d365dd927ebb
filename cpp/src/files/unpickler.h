#pragma once

#include <torch/torch.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptbert {

/// Returns the bytes of an archive's record. Called once for each name.
using LoadStorage = std::function<torch::Storage(const std::string& name)>;

/// Returns the dictionary of tensors, in its order, that torch.save wrote as `program` (pickle
/// protocol 2) and records of bytes. Nothing of Python is imported or run: a pickle that names
/// anything but tensors, or is damaged, is a FormatError, whose text completes "the file must hold
/// a dictionary of tensors, but ...".
std::vector<std::pair<std::string, torch::Tensor>> unpickle_tensors(std::string_view program,
                                                                    const LoadStorage& load);

} // namespace ptbert
