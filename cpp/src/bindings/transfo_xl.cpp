#include "ptbert/models/transfo_xl.h"

#include "forward.h"
#include "module.h"

namespace ptbert::python {

void register_transfo_xl(py::module_& m) {
  auto positions = register_module<PositionalEmbeddingImpl>(m, "PositionalEmbedding")
                       .def(py::init<int64_t>(), py::arg("demb"));
  def_forward(positions, "pos_seq", optional_integer("bsz"));

  auto embedding = register_module<AdaptiveEmbeddingImpl>(m, "AdaptiveEmbedding")
                       .def(py::init<int64_t, int64_t, int64_t, std::vector<int64_t>, int64_t>(),
                            py::arg("n_token"), py::arg("d_embed"), py::arg("d_proj"),
                            py::arg("cutoffs"), py::arg("div_val"));
  def_forward(embedding, "inp");
}

} // namespace ptbert::python
