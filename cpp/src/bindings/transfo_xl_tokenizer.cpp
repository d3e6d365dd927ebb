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

#include "encoded_text.h"
#include "module.h"
#include "ptbert/text/line_symbols.h"
#include "text/mapped.h"

namespace py = pybind11;

namespace ptbert::python {
namespace {

using Ids = std::vector<std::int64_t>;

py::str to_str(std::string_view text) { return py::str(text.data(), text.size()); }

LineFormat line_format(bool lower_case, const py::object& delimiter, bool add_eos,
                       bool add_double_eos) {
  LineFormat format{lower_case, std::nullopt, add_eos, add_double_eos};
  if (!delimiter.is_none())
    format.delimiter = std::string(utf8(delimiter, "delimiter"));
  return format;
}

/// Calls `progress(bytes)` unless it is None, and raises a pending KeyboardInterrupt.
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
  return make_list(symbols.size(), [&](std::size_t i) { return to_str(symbols[i]); });
}

/// {symbol: count}, in the order of appearance.
py::dict to_dict(const SymbolTable& symbols, const std::vector<std::int64_t>& counts) {
  py::dict dict;
  for (std::size_t i = 0; i < symbols.size(); ++i)
    dict[to_str(symbols[i])] = counts[i];
  return dict;
}

void check_ids(const IndexedLines& lines, std::size_t count) {
  if (count != lines.symbols.size()) {
    throw std::invalid_argument("`ids` must hold one id for each of " +
                                std::to_string(lines.symbols.size()) + " symbols, but holds " +
                                std::to_string(count) + ".");
  }
}

/// A list for each line with objects[i] in place of symbol i, shared by all its occurrences.
py::list line_lists(const IndexedLines& lines, const py::list& objects) {
  check_ids(lines, objects.size());
  std::size_t start = 0;
  return make_list(lines.line_ends.size(), [&](std::size_t i) {
    const std::size_t first = std::exchange(start, lines.line_ends[i]);
    return make_list(start - first, [&](std::size_t j) -> py::object {
      return objects[lines.indices[first + j]];
    });
  });
}

/// Returns the ids of the symbols in [start, end) as a tensor [tokens].
Tensor encode_range(const IndexedLines& lines, const Ids& ids, std::size_t start, std::size_t end) {
  auto encoded = torch::empty({static_cast<std::int64_t>(end - start)}, torch::kLong);
  auto* id = encoded.data_ptr<std::int64_t>();
  for (std::size_t position = start; position < end; ++position)
    *id++ = ids[lines.indices[position]];
  return encoded;
}

Tensor encode(const IndexedLines& lines, const Ids& ids) {
  check_ids(lines, ids.size());
  return encode_range(lines, ids, 0, lines.indices.size());
}

std::vector<Tensor> encode_lines(const IndexedLines& lines, const Ids& ids) {
  check_ids(lines, ids.size());
  std::size_t start = 0;
  return detail::mapped(lines.line_ends, [&](std::size_t end) {
    return encode_range(lines, ids, std::exchange(start, end), end);
  });
}

void register_functions(py::module_& m) {
  m.def(
      "split_line",
      [](const py::object& line, bool lower_case, const py::object& delimiter, bool add_eos,
         bool add_double_eos) {
        return split_line(utf8(line, "line"),
                          line_format(lower_case, delimiter, add_eos, add_double_eos));
      },
      py::arg("line"), py::arg("lower_case"), py::arg("delimiter"), py::arg("add_eos"),
      py::arg("add_double_eos"), "The symbols of a line.");
  m.def(
      "count_symbols",
      [](const py::object& path, const LineFormat& format, const py::object& progress) {
        const auto file = path.cast<std::filesystem::path>();
        const SymbolCounts counted = [&] {
          const py::gil_scoped_release release;
          return count_symbols(file, format, read_progress(progress));
        }();
        return py::typing::Dict<py::str, py::int_>(to_dict(counted.symbols, counted.counts));
      },
      py::arg("path"), py::arg("format"), py::arg("progress"),
      "How often a file has each symbol, in the order of appearance.");
  m.def(
      "read_first_words",
      [](const py::object& vocab_file) {
        const SymbolTable words = read_first_words(vocab_file.cast<std::filesystem::path>());
        return py::typing::List<py::str>(to_list(words));
      },
      py::arg("vocab_file"), "The first word of every line, without repetitions.");
}

} // namespace

void register_transfo_xl_tokenizer(py::module_& m) {
  py::class_<LineFormat>(m, "LineFormat", "How a line is split into symbols.")
      .def(py::init(&line_format), py::arg("lower_case"), py::arg("delimiter"), py::arg("add_eos"),
           py::arg("add_double_eos"));
  register_functions(m);
  py::class_<IndexedLines>(m, "IndexedLines", "Lines as indices into a table of symbols.")
      .def(py::init(
               [](const py::object& path, const LineFormat& format, const py::object& progress) {
                 const auto file = path.cast<std::filesystem::path>();
                 const py::gil_scoped_release release;
                 return index_lines(file, format, read_progress(progress));
               }),
           py::arg("path"), py::arg("format"), py::arg("progress"))
      .def_static(
          "of_texts",
          [](const py::typing::Iterable<py::str>& texts, const LineFormat& format,
             std::int64_t num_threads) {
            std::vector<py::object> keep;
            const std::vector<std::string_view> text_views = views(texts, "texts[...]", keep);
            const std::size_t threads = not_negative(num_threads, "num_threads");
            const py::gil_scoped_release release;
            return index_lines(text_views, format, threads);
          },
          py::arg("texts"), py::arg("format"), py::arg("num_threads"))
      .def(
          "id_lists",
          [](const IndexedLines& lines, const py::typing::List<py::int_>& ids) {
            return py::typing::List<py::typing::List<py::int_>>(line_lists(lines, ids));
          },
          py::arg("ids"), "A list of ids for each line; `ids` has the id of each symbol.")
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
             return py::typing::List<py::typing::List<py::str>>(
                 line_lists(lines, to_list(lines.symbols)));
           })
      .def(
          "encode",
          [](const IndexedLines& lines, const Ids& ids) {
            return run_released([&] { return encode(lines, ids); });
          },
          py::arg("ids"), "The ids of all lines in one tensor; `ids` has the id of each symbol.")
      .def(
          "encode_lines",
          [](const IndexedLines& lines, const Ids& ids) {
            return run_released([&] { return encode_lines(lines, ids); });
          },
          py::arg("ids"), "A tensor of ids for each line; `ids` has the id of each symbol.")
      .def("first_line_of", &IndexedLines::first_line_of, py::arg("index"))
      .def("__len__", [](const IndexedLines& lines) { return lines.line_ends.size(); })
      .def("__repr__", [](const IndexedLines& lines) {
        return "IndexedLines of " + std::to_string(lines.line_ends.size()) + " lines and " +
               std::to_string(lines.indices.size()) + " tokens";
      });
}

} // namespace ptbert::python
