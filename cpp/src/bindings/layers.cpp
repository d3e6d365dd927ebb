#include "ptbert/models/layers.h"

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "forward.h"
#include "module.h"
#include "ptbert/speed/fast_paths.h"
#include "ptbert/speed/linear_products.h"

namespace ptbert::python {
namespace {

/// The context manager `with DefaultDevice(device):` in Python.
class DefaultDeviceContext {
public:
  explicit DefaultDeviceContext(torch::Device device) : device_(device) {}
  void enter() { scope_ = std::make_unique<DefaultDevice>(device_); }
  void exit(const py::args&) { scope_.reset(); }

private:
  torch::Device device_;
  std::unique_ptr<DefaultDevice> scope_;
};

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

void def_activation(py::module_& m, const char* name, Tensor (*function)(const Tensor&)) {
  m.def(
      name,
      [function](const TensorObject& x) {
        return run_released([&, x = to_tensor("x", x)] { return function(x); });
      },
      py::arg("x"));
}

} // namespace

void register_layers(py::module_& m) {
  py::class_<DefaultDeviceContext>(m, "DefaultDevice", "Device of the parameters made in a scope.")
      .def(py::init<torch::Device>(), py::arg("device"))
      .def("__enter__", &DefaultDeviceContext::enter)
      .def("__exit__", &DefaultDeviceContext::exit);
  register_module<LinearImpl>(m, "Linear");
  register_module<EmbeddingImpl>(m, "Embedding");
  register_module<DropoutImpl>(m, "Dropout");
  register_module<TanhImpl>(m, "Tanh");
  register_module<BertLayerNormImpl>(m, "BertLayerNorm");
  ModuleClass<ParameterListImpl>(m, "ParameterList");
  m.def(
      "attributes",
      [](torch::nn::Module& module) {
        py::dict attributes;
        for (const auto& [name, member] : dynamic_cast<Node&>(module).attributes()) {
          if (const auto* number = std::get_if<double*>(&member))
            attributes[py::str(name)] = **number;
          if (const auto* integer = std::get_if<int64_t*>(&member))
            attributes[py::str(name)] = **integer;
          if (const auto* flag = std::get_if<bool*>(&member))
            attributes[py::str(name)] = **flag;
        }
        return attributes;
      },
      py::arg("module"), "The numbers and flags of a module that Python may set.");
  m.def(
      "buffers",
      [](torch::nn::Module& module) {
        py::dict buffers;
        for (const auto& [name, buffer] : dynamic_cast<Node&>(module).own_buffers())
          buffers[py::str(name)] = py::make_tuple(to_python(*buffer.tensor), buffer.persistent);
        return buffers;
      },
      py::arg("module"), "The buffers of a module as (tensor, persistent).");
  m.def(
      "parameter_list",
      [](ParameterListImpl& list) {
        py::list parameters;
        for (size_t i = 0; i < list.size(); ++i)
          parameters.append(to_python(list[i]));
        return parameters;
      },
      py::arg("list"), "The parameters of a list; None for undefined ones.");
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
  def_activation(m, "gelu", ptbert::gelu);
  def_activation(m, "swish", ptbert::swish);
}

} // namespace ptbert::python
