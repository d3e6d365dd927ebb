#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ptbert {

/// A value of plain data: nothing, a number, text, a list of text, or a number for each text, in
/// the order of the file.
using PickledAttribute =
    std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>,
                 std::vector<std::pair<std::string, int64_t>>>;

struct PickledAttributes {
  std::map<std::string, PickledAttribute> values;
  /// Names of attributes of other types, such as objects of Python classes.
  std::vector<std::string> left_out;
};

/// Reads a pickled dictionary, such as the `__dict__` of a tokenizer, written by torch.save in any
/// of its formats or by pickle.dump in protocols 2 to 5. No Python is run, whatever the pickle
/// names. Throws FileError if the file cannot be read, and FormatError if it is damaged or of
/// another format.
PickledAttributes read_pickled_attributes(const std::string& path);

} // namespace ptbert
