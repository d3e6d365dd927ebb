#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "module.h"
#include "ptbert/speed/fast_paths.h"
#include "ptbert/speed/linear_products.h"
#include "tensors.h"

namespace ptbert::python {
namespace {

/// The choices that PathRecorder records during `run()`, as tuples (step, path, reason, times).
std::vector<std::tuple<std::string, std::string, std::string, int64_t>>
record_paths(const std::function<void()>& run) {
  const PathRecorder recorder;
  run();
  std::vector<std::tuple<std::string, std::string, std::string, int64_t>> tuples;
  for (const auto& [step, path, reason, times] : recorder.choices())
    tuples.emplace_back(step, path, reason, times);
  return tuples;
}

} // namespace

void register_speed(py::module_& m) {
  m.def("enable_fast_paths", &enable_fast_paths, py::arg("enabled"),
        "Allows or forbids fast paths; see ptbert.utils.");
  m.def("fast_paths_enabled", &fast_paths_enabled, "Whether fast paths are allowed.");
  m.def(
      "use_product_library",
      [](const std::string& library) {
        static const std::map<std::string, ProductLibrary> libraries = {
            {"measured", ProductLibrary::kMeasured},
            {"ATen", ProductLibrary::kAten},
            {"oneDNN", ProductLibrary::kOneDnn},
            {"ptbert", ProductLibrary::kPtbert}};
        const auto known = libraries.find(library);
        TORCH_CHECK_VALUE(known != libraries.end(),
                          R"(`library` must be "measured", "ATen", "oneDNN" or "ptbert", but is ")",
                          library, "\".");
        use_product_library(known->second);
      },
      py::arg("library"), "Makes linear layers use a library; see ptbert.utils.");
  m.def(
      "record_paths", [](const py::function& run) { return record_paths([&run] { run(); }); },
      py::arg("run"),
      "The choices of fast paths during `run()` as (step, path, reason, times); see "
      "ptbert.utils.explain.");
}

} // namespace ptbert::python
