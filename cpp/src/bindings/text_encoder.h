#pragma once

#include <pybind11/pybind11.h>

namespace ptbert::python {

/// After BasicTokenizer and WordpieceTokenizer.
void register_text_encoder(pybind11::module_& m);

} // namespace ptbert::python
