#include "ptbert/files/checkpoint.h"

#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "module.h"
#include "tensors.h"

namespace ptbert::python {
namespace {

NamedTensors to_named_tensors(const py::dict& state_dict) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : state_dict) {
    const auto key = name.cast<std::string>();
    tensors.emplace_back(key, to_tensor(key.c_str(), tensor));
  }
  return tensors;
}

} // namespace

void register_checkpoint(py::module_& m) {
  m.def(
      "load_safetensors",
      [](const std::filesystem::path& path) { // a str, whatever bytes it stands for
        py::dict state_dict;
        for (const auto& [name, tensor] : load_safetensors(path.string())) {
          state_dict[py::str(name)] = to_python(tensor);
        }
        return state_dict;
      },
      py::arg("path"), "Reads a .safetensors file.");
  m.def(
      "load_weights",
      [](const py::dict& model, const py::dict& checkpoint, const std::string& family) {
        const auto report =
            load_weights(to_named_tensors(model), to_named_tensors(checkpoint), key_map(family));
        return py::make_tuple(report.missing, report.unused);
      },
      py::arg("model"), py::arg("checkpoint"), py::arg("family"),
      "Copies a checkpoint into the tensors of a model; returns missing and unused names.");
}

} // namespace ptbert::python
