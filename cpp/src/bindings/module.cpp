#include "module.h"

#include <torch/csrc/utils/pybind.h>
#include <torch/version.h>

#include "ptbert/errors.h"

namespace py = pybind11;

namespace {

/// As PyErr_SetString(), of a text that may name a file: its path need not be UTF-8.
void set_error(PyObject* type, const char* text) {
  const auto message = py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(text));
  PyErr_SetObject(type, message.ptr());
}

PyObject* type_of(const ptbert::FileError& error) {
  switch (error.code()) {
  case ENOENT:
    return PyExc_FileNotFoundError;
  case EACCES:
  case EPERM:
    return PyExc_PermissionError;
  default:
    return PyExc_OSError;
  }
}

} // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "The C++ core of ptbert. Private: use the classes of the package.";
  m.attr("torch_version") = TORCH_VERSION;
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer)
        std::rethrow_exception(pointer);
    } catch (const ptbert::KeyError& error) {
      PyErr_SetString(PyExc_KeyError, error.what());
    } catch (const ptbert::FileError& error) {
      set_error(type_of(error), error.what());
    } catch (const ptbert::FormatError& error) {
      set_error(PyExc_ValueError, error.what());
    }
  });
  ptbert::python::register_layers(m);
  ptbert::python::register_bert(m);
  ptbert::python::register_openai_gpt(m);
  ptbert::python::register_gpt2(m);
  ptbert::python::register_transfo_xl(m);
  ptbert::python::register_node_kinds(m);
  ptbert::python::register_bridge(m);
  ptbert::python::register_embedding(m);
  ptbert::python::register_head_statistics(m);
  ptbert::python::register_generation(m);
  ptbert::python::register_checkpoint(m);
  ptbert::python::register_optim(m);
  ptbert::python::register_speed(m);
  ptbert::python::register_bert_tokenizer(m);
  ptbert::python::register_bpe_tokenizers(m);
  ptbert::python::register_transfo_xl_tokenizer(m);
}
