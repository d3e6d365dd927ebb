#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/typing.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ptbert/text/bpe_files.h"
#include "ptbert/text/bpe_tokenizer.h"
#include "text.h"
#include "text/mapped.h"

/// The dicts and ids of Python that byte-pair encoding is made of.

namespace ptbert::python {

using Entries = std::vector<Vocabulary::Entry>;
using TokenTable = py::typing::Dict<py::str, py::int_>;
using IdTable = py::typing::Dict<py::int_, py::str>;

inline std::int64_t integer(const py::handle& object, const char* name) {
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
  if (!index) {
    PyErr_Clear();
    throw py::type_error("`" + std::string(name) + "` must be an int, but is " +
                         type_with_article(object) + ".");
  }
  const std::int64_t value = PyLong_AsLongLong(index.ptr());
  if (value == -1 && PyErr_Occurred() != nullptr) {
    throw py::error_already_set();
  }
  return value;
}

inline BpeTokenizer::Ids integers(const py::typing::Iterable<py::int_>& objects) {
  return detail::mapped(objects, [](py::handle object) { return integer(object, "ids[...]"); });
}

inline Entries entries(const TokenTable& table, const char* name) {
  return detail::mapped(table, [name](const auto& item) {
    return Vocabulary::Entry{std::string(utf8(item.first, name)), integer(item.second, name)};
  });
}

inline Entries entries_by_id(const IdTable& table) {
  return detail::mapped(table, [](const auto& item) {
    const char* name = "special_tokens_decoder[...]";
    return Vocabulary::Entry{std::string(utf8(item.second, name)), integer(item.first, name)};
  });
}

/// As in the 2019 library, tuples of another length than 2 have no effect.
inline Bpe bpe_from_tables(const TokenTable& encoder, const py::dict& bpe_ranks) {
  std::vector<Bpe::Merge> merges;
  for (const auto& [pair, rank] : bpe_ranks) {
    if (!py::isinstance<py::tuple>(pair)) {
      throw py::type_error("`bpe_ranks` must have pairs of symbols for keys, but has " +
                           type_with_article(pair) + ".");
    }
    const auto symbols = py::cast<std::vector<py::object>>(pair);
    const std::int64_t value = integer(rank, "bpe_ranks[...]");
    if (value < 0 || value >= std::numeric_limits<std::uint32_t>::max()) {
      throw py::value_error("`bpe_ranks` must map pairs to ranks from 0 to 2**32 - 2, but maps one "
                            "to " +
                            std::to_string(value) + ".");
    }
    if (symbols.size() == 2) {
      merges.push_back({utf8(symbols[0], "bpe_ranks[...]"), utf8(symbols[1], "bpe_ranks[...]"),
                        static_cast<std::uint32_t>(value)});
    }
  }
  return Bpe(entries(encoder, "encoder[...]"), merges);
}

} // namespace ptbert::python
