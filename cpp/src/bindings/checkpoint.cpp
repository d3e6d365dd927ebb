#include "ptbert/files/checkpoint.h"

#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "module.h"
#include "ptbert/files/pickled_attributes.h"
#include "ptbert/files/tf_checkpoint.h"
#include "ptbert/files/tf_weights.h"
#include "tensors.h"

namespace ptbert::python {
namespace {

/// A name in a file; bytes that are not UTF-8 as "\xff".
py::str to_str(const std::string& name) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "backslashreplace"));
}

NamedTensors to_named_tensors(const py::dict& state_dict) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : state_dict) {
    const auto key = name.cast<std::string>();
    tensors.emplace_back(key, to_tensor(key.c_str(), tensor));
  }
  return tensors;
}

py::dict to_dict(const NamedTensors& tensors) {
  py::dict state_dict;
  for (const auto& [name, tensor] : tensors)
    state_dict[to_str(name)] = to_python(tensor);
  return state_dict;
}

/// Numbers of texts as a dict.
py::object attribute_to_python(const PickledAttribute& attribute) {
  using Numbers = std::vector<std::pair<std::string, int64_t>>;
  const auto* numbers = std::get_if<Numbers>(&attribute);
  if (numbers == nullptr)
    return py::cast(attribute);
  py::dict result;
  for (const auto& [text, number] : *numbers)
    result[py::str(text)] = number;
  return result;
}

void register_tf_checkpoint(py::module_& m) {
  m.def(
      "is_tf_checkpoint",
      [](const std::filesystem::path& path) { return is_tf_checkpoint(path.string()); },
      py::arg("path"), "Whether a path names a TensorFlow checkpoint.");
  m.def(
      "list_tf_variables",
      [](const std::filesystem::path& path) {
        py::list variables;
        const TfCheckpoint checkpoint(path.string());
        for (const auto& variable : checkpoint.variables())
          variables.append(py::make_tuple(to_str(variable.name), variable.dtype, variable.shape));
        return variables;
      },
      py::arg("path"), "Lists names, types and shapes in a TensorFlow checkpoint.");
  m.def(
      "load_tf_variables",
      [](const std::filesystem::path& path) { return to_dict(load_tf_variables(path.string())); },
      py::arg("path"), "Reads the variables of a TensorFlow checkpoint.");
  m.def(
      "save_tf_weights",
      [](const std::filesystem::path& prefix, const py::dict& weights, const std::string& family,
         const std::vector<int64_t>& cutoffs) {
        return save_tf_weights(prefix.string(), to_named_tensors(weights), family, cutoffs);
      },
      py::arg("prefix"), py::arg("weights"), py::arg("family"), py::arg("cutoffs"),
      "Writes a TensorFlow checkpoint; returns the names of weights it has no variable for.");
  m.def(
      "assign_tf_variables",
      [](const py::dict& weights, const std::string& family, const std::vector<int64_t>& cutoffs) {
        std::vector<std::string> left_out;
        py::dict variables;
        for (const auto& [variable, layout, assigned] :
             assign_tf_variables(to_named_tensors(weights), family, cutoffs, left_out)) {
          py::list tensors;
          for (const auto& weight : assigned)
            tensors.append(to_python(weight));
          variables[to_str(variable)] = tensors;
        }
        return variables;
      },
      py::arg("weights"), py::arg("family"), py::arg("cutoffs"),
      "The weights that are written to each variable of TensorFlow.");
  m.def("tf_family", &tf_family, py::arg("variables"),
        "The family that knows most of these variables; empty if none knows any.");
  m.def(
      "sort_tf_variables",
      [](const py::dict& variables, const std::string& family) {
        const auto sorted = sort_tf_variables(to_named_tensors(variables), family);
        return py::make_tuple(to_dict(sorted.weights), sorted.variables, sorted.training_state,
                              sorted.unknown);
      },
      py::arg("variables"), py::arg("family"),
      "Renames TensorFlow's variables; returns weights, the variable of each, variables of the "
      "training, and unknown ones.");
  m.def(
      "left_out_projections",
      [](const py::dict& model, const py::dict& found, const std::string& family) {
        return to_dict(
            left_out_projections(to_named_tensors(model), to_named_tensors(found), family));
      },
      py::arg("model"), py::arg("found"), py::arg("family"),
      "Identity projections of a Transformer-XL, which TensorFlow leaves out.");
}

} // namespace

void register_checkpoint(py::module_& m) {
  m.def(
      "load_safetensors",
      [](const std::filesystem::path& path) { // a str, whatever bytes it stands for
        return to_dict(load_safetensors(path.string()));
      },
      py::arg("path"), "Reads a .safetensors file.");
  m.def(
      "read_pickled_attributes",
      [](const std::filesystem::path& path) {
        const auto attributes = read_pickled_attributes(path.string());
        py::dict values;
        for (const auto& [name, value] : attributes.values)
          values[py::str(name)] = attribute_to_python(value);
        return py::make_tuple(values, attributes.left_out);
      },
      py::arg("path"),
      "Reads a pickled dict of plain data; returns it and the names of what is none.");
  m.def(
      "load_weights",
      [](const py::dict& model, const py::dict& checkpoint, const std::string& family) {
        const auto report =
            load_weights(to_named_tensors(model), to_named_tensors(checkpoint), key_map(family));
        return py::make_tuple(report.missing, report.unused);
      },
      py::arg("model"), py::arg("checkpoint"), py::arg("family"),
      "Copies a checkpoint into the tensors of a model; returns missing and unused names.");
  m.def(
      "match_weights",
      [](const py::dict& model, const py::dict& checkpoint, const std::string& family) {
        const auto matched =
            match_weights(to_named_tensors(model), to_named_tensors(checkpoint), key_map(family));
        return py::make_tuple(to_dict(matched.weights), matched.missing, matched.unused);
      },
      py::arg("model"), py::arg("checkpoint"), py::arg("family"),
      "Renames a checkpoint by the tensors of a model; returns it, missing and unused names.");
  register_tf_checkpoint(m);
}

} // namespace ptbert::python
