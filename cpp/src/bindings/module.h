#pragma once

#include <pybind11/pybind11.h>

/// Each function registers the classes of one file of this folder in the extension `_C`.

namespace ptbert::python {

void register_bert(pybind11::module_& m);
void register_bert_tokenizer(pybind11::module_& m);
void register_bpe_tokenizers(pybind11::module_& m);
void register_bridge(pybind11::module_& m);
void register_checkpoint(pybind11::module_& m);
void register_embedding(pybind11::module_& m);
void register_head_statistics(pybind11::module_& m);
void register_generation(pybind11::module_& m);
void register_gpt2(pybind11::module_& m);
void register_layers(pybind11::module_& m);
void register_node_kinds(pybind11::module_& m);
void register_openai_gpt(pybind11::module_& m);
void register_optim(pybind11::module_& m);
void register_speed(pybind11::module_& m);
void register_transfo_xl(pybind11::module_& m);
void register_transfo_xl_tokenizer(pybind11::module_& m);

} // namespace ptbert::python
