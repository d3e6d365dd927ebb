#pragma once

#include <pybind11/pybind11.h>

namespace ptbert::python {

/// Call after BasicTokenizer and WordpieceTokenizer are registered.
void register_bert_text_encoder(pybind11::module_& m);

} // namespace ptbert::python
