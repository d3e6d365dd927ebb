#include "ptbert/models/layers.h"

#include <memory>
#include <string>

#include "forward.h"
#include "module.h"
#include "ptbert/models/initial_weights.h"

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

/// The context manager `with DeferredWeights() as deferred:` in Python.
class DeferredWeightsContext {
public:
  void enter() { scope_ = std::make_unique<DeferredWeights>(); }
  void exit(const py::args&) { scope_.reset(); }
  DeferredWeights& scope() { return *scope_; }

private:
  std::unique_ptr<DeferredWeights> scope_;
};

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
  py::class_<DeferredWeightsContext>(m, "DeferredWeights", "New weights are filled later.")
      .def(py::init())
      .def("__enter__",
           [](DeferredWeightsContext& self) -> DeferredWeightsContext& {
             self.enter();
             return self;
           })
      .def("__exit__", &DeferredWeightsContext::exit)
      .def(
          "fill",
          [](DeferredWeightsContext& self, const std::vector<TensorObject>& weights) {
            std::vector<Tensor> tensors;
            for (const auto& weight : weights)
              tensors.push_back(to_tensor("weights", weight));
            self.scope().fill(tensors);
          },
          py::arg("weights"), "Fills those that no checkpoint has filled.");
  register_module<LinearImpl>(m, "Linear");
  register_module<EmbeddingImpl>(m, "Embedding");
  register_module<DropoutImpl>(m, "Dropout");
  register_module<Dropout2dImpl>(m, "Dropout2d");
  register_module<TanhImpl>(m, "Tanh");
  register_module<ReLUImpl>(m, "ReLU");
  auto conv1d =
      register_module<Conv1DImpl>(m, "Conv1D")
          .def(py::init<int64_t, int64_t>(), py::arg("out_features"), py::arg("in_features"));
  def_forward(conv1d, "x");
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
  m.def(
      "resized_embedding",
      [](const TensorObject& weight, int64_t kept, int64_t rows, double standard_deviation) {
        return run_released([&, weight = to_tensor("weight", weight)] {
          return resized_embedding(weight, kept, rows, standard_deviation);
        });
      },
      py::arg("weight"), py::arg("kept"), py::arg("rows"), py::arg("standard_deviation"),
      "The first `kept` rows of an embedding's weight, and new ones up to `rows`.");
  def_activation(m, "gelu", ptbert::gelu);
  def_activation(m, "gelu_tanh", ptbert::gelu_tanh);
  def_activation(m, "swish", ptbert::swish);
}

} // namespace ptbert::python
