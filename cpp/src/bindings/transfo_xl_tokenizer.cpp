#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "module.h"
#include "ptbert/text/line_symbols.h"
#include "tensors.h"
#include "text.h"

namespace py = pybind11;

namespace ptbert::python {
namespace {

using Ids = std::vector<std::int64_t>;

py::str to_str(std::string_view text) { return py::str(text.data(), text.size()); }

LineFormat line_format(bool lower_case, const py::object& delimiter) {
  LineFormat format;
  format.lower_case = lower_case;
  if (!delimiter.is_none())
    format.delimiter = std::string(utf8(delimiter, "delimiter"));
  return format;
}

/// Calls `progress(bytes)` where there is one, and lets the user interrupt.
ReadProgress read_progress(const py::object& progress) {
  return [&progress](std::size_t bytes) {
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0)
      throw py::error_already_set();
    if (!progress.is_none())
      progress(bytes);
  };
}

py::list to_list(const SymbolTable& symbols) {
  py::list list(symbols.size());
  for (std::size_t i = 0; i < symbols.size(); ++i)
    list[i] = to_str(symbols[i]);
  return list;
}

/// {symbol: count} in the order of appearance.
py::dict to_dict(const SymbolTable& symbols, const std::vector<std::int64_t>& counts) {
  py::dict dict;
  for (std::size_t i = 0; i < symbols.size(); ++i)
    dict[to_str(symbols[i])] = counts[i];
  return dict;
}

/// The lines as lists of str, one object for all occurrences of a symbol.
py::list sentences(const IndexedLines& lines) {
  const py::list symbols = to_list(lines.symbols);
  py::list result(lines.line_ends.size());
  std::size_t position = 0;
  for (std::size_t i = 0; i < lines.line_ends.size(); ++i) {
    const std::size_t start = position, end = lines.line_ends[i];
    py::list line(end - start);
    for (; position < end; ++position) {
      PyObject* symbol = PyList_GET_ITEM(symbols.ptr(), lines.indices[position]);
      PyList_SET_ITEM(line.ptr(), static_cast<Py_ssize_t>(position - start), Py_NewRef(symbol));
    }
    result[i] = std::move(line);
  }
  return result;
}

void check_ids(const IndexedLines& lines, const Ids& ids) {
  if (ids.size() != lines.symbols.size()) {
    throw std::invalid_argument("`ids` must hold one id for each of " +
                                std::to_string(lines.symbols.size()) + " symbols, but holds " +
                                std::to_string(ids.size()) + ".");
  }
}

/// Returns the ids of the symbols from `start` to `end`, `[tokens]`.
Tensor encode_range(const IndexedLines& lines, const Ids& ids, std::size_t start, std::size_t end) {
  auto encoded = torch::empty({static_cast<std::int64_t>(end - start)}, torch::kLong);
  auto* id = encoded.data_ptr<std::int64_t>();
  for (std::size_t position = start; position < end; ++position)
    *id++ = ids[lines.indices[position]];
  return encoded;
}

Tensor encode(const IndexedLines& lines, const Ids& ids) {
  check_ids(lines, ids);
  return encode_range(lines, ids, 0, lines.indices.size());
}

std::vector<Tensor> encode_lines(const IndexedLines& lines, const Ids& ids) {
  check_ids(lines, ids);
  std::vector<Tensor> encoded;
  encoded.reserve(lines.line_ends.size());
  std::size_t start = 0;
  for (const std::size_t end : lines.line_ends) {
    encoded.push_back(encode_range(lines, ids, start, end));
    start = end;
  }
  return encoded;
}

void register_functions(py::module_& m) {
  m.def(
      "split_line",
      [](const py::object& line, bool lower_case, const py::object& delimiter, bool add_eos,
         bool add_double_eos) {
        LineFormat format = line_format(lower_case, delimiter);
        format.add_eos = add_eos;
        format.add_double_eos = add_double_eos;
        return split_line(utf8(line, "line"), format);
      },
      py::arg("line"), py::arg("lower_case"), py::arg("delimiter"), py::arg("add_eos"),
      py::arg("add_double_eos"), "The symbols of a line.");
  m.def(
      "count_symbols",
      [](const py::object& path, bool lower_case, const py::object& delimiter, bool add_eos,
         const py::object& progress) {
        const auto file = path.cast<std::filesystem::path>();
        LineFormat format = line_format(lower_case, delimiter);
        format.add_eos = add_eos;
        const SymbolCounts counted = [&] {
          const py::gil_scoped_release release;
          return count_symbols(file, format, read_progress(progress));
        }();
        return py::typing::Dict<py::str, py::int_>(to_dict(counted.symbols, counted.counts));
      },
      py::arg("path"), py::arg("lower_case"), py::arg("delimiter"), py::arg("add_eos"),
      py::arg("progress"), "How often a file has each symbol, in the order of appearance.");
  m.def(
      "read_first_words",
      [](const py::object& vocab_file) {
        const SymbolTable words = read_first_words(vocab_file.cast<std::filesystem::path>());
        return py::typing::List<py::str>(to_list(words));
      },
      py::arg("vocab_file"), "The first word of every line, each different one once.");
}

} // namespace

void register_transfo_xl_tokenizer(py::module_& m) {
  register_functions(m);
  py::class_<IndexedLines>(m, "IndexedLines", "The lines of a file as numbers of symbols.")
      .def(py::init([](const py::object& path, bool lower_case, const py::object& delimiter,
                       bool add_eos, bool add_double_eos, const py::object& progress) {
             const auto file = path.cast<std::filesystem::path>();
             LineFormat format = line_format(lower_case, delimiter);
             format.add_eos = add_eos;
             format.add_double_eos = add_double_eos;
             const py::gil_scoped_release release;
             return index_lines(file, format, read_progress(progress));
           }),
           py::arg("path"), py::arg("lower_case"), py::arg("delimiter"), py::arg("add_eos"),
           py::arg("add_double_eos"), py::arg("progress"))
      .def("symbols",
           [](const IndexedLines& lines) {
             return py::typing::List<py::str>(to_list(lines.symbols));
           })
      .def("counts",
           [](const IndexedLines& lines) {
             return py::typing::Dict<py::str, py::int_>(to_dict(lines.symbols, lines.counts()));
           })
      .def("sentences",
           [](const IndexedLines& lines) {
             return py::typing::List<py::typing::List<py::str>>(sentences(lines));
           })
      .def(
          "encode",
          [](const IndexedLines& lines, const Ids& ids) {
            return run_released([&] { return encode(lines, ids); });
          },
          py::arg("ids"), "All lines in one tensor, `ids` being those of the symbols.")
      .def(
          "encode_lines",
          [](const IndexedLines& lines, const Ids& ids) {
            return run_released([&] { return encode_lines(lines, ids); });
          },
          py::arg("ids"), "A tensor for each line, `ids` being those of the symbols.")
      .def("first_line_of", &IndexedLines::first_line_of, py::arg("index"))
      .def("__len__", [](const IndexedLines& lines) { return lines.line_ends.size(); })
      .def("__repr__", [](const IndexedLines& lines) {
        return "IndexedLines of " + std::to_string(lines.line_ends.size()) + " lines and " +
               std::to_string(lines.indices.size()) + " tokens";
      });
}

} // namespace ptbert::python
