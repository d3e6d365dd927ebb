#include "text_encoder.h"

#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "ptbert/text/bert_text_encoder.h"
#include "tensors.h"
#include "text.h"

namespace ptbert::python {
namespace {

/// BertTextEncoder whose results are Python objects. A token or an id is made into one once, and
/// shared by all results that hold it.
class TextEncoder {
public:
  TextEncoder(std::optional<BasicTokenizer> basic, WordpieceTokenizer wordpiece)
      : pieces_(wordpiece.vocab() == nullptr ? 0 : wordpiece.vocab()->size()),
        encoder_(std::move(basic), std::move(wordpiece)), tokens_(pieces_ + 1), ids_(pieces_ + 1) {}

  const BertTextEncoder& encoder() const { return encoder_; }

  py::typing::List<py::str> tokens(const std::vector<Piece>& pieces) {
    return list_of(pieces, tokens_,
                   [&](Piece piece) -> py::object { return py::str(encoder_.token(piece)); });
  }

  py::typing::List<py::int_> ids(const std::vector<Piece>& pieces) {
    return list_of(pieces, ids_,
                   [&](Piece piece) -> py::object { return py::int_(encoder_.id(piece)); });
  }

private:
  /// `made` holds the objects of all pieces, then that of kUnknownPiece.
  template <typename Make>
  py::list list_of(const std::vector<Piece>& pieces, std::vector<py::object>& made, Make make) {
    py::list list(pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      py::object& object = made[pieces[i] == kUnknownPiece ? pieces_ : pieces[i]];
      if (!object) {
        object = make(pieces[i]);
      }
      PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), py::object(object).release().ptr());
    }
    return list;
  }

  std::size_t pieces_;
  BertTextEncoder encoder_;
  std::vector<py::object> tokens_, ids_;
};

/// The UTF-8 forms of strs that `keep` holds on to.
std::vector<std::string_view> views(const py::typing::Iterable<py::str>& texts, const char* name,
                                    std::vector<py::object>& keep) {
  std::vector<std::string_view> views;
  for (const py::handle text : texts) {
    keep.push_back(py::reinterpret_borrow<py::object>(text));
    views.push_back(utf8(text, name));
  }
  return views;
}

std::size_t not_negative(std::int64_t value, const char* name) {
  if (value < 0) {
    throw py::value_error("`" + std::string(name) + "` must not be negative, but is " +
                          std::to_string(value) + ".");
  }
  return static_cast<std::size_t>(value);
}

std::optional<std::size_t> length_of(std::optional<std::int64_t> max_length) {
  return max_length ? std::optional(not_negative(*max_length, "max_length")) : std::nullopt;
}

Tensor tensor_of(std::vector<std::int64_t> values, const EncodedBatch& batch) {
  auto* const kept = new std::vector<std::int64_t>(std::move(values));
  return torch::from_blob(
      kept->data(),
      {static_cast<std::int64_t>(batch.batch), static_cast<std::int64_t>(batch.length)},
      [kept](void*) { delete kept; }, torch::kInt64);
}

py::typing::List<py::typing::Tuple<py::int_, py::int_>> offsets_of(const TextEncoder& self,
                                                                   const py::object& text) {
  const std::vector<Offset> offsets = unlocked(text, [&](std::string_view view) {
    std::vector<Offset> found;
    self.encoder().find_pieces(view, &found);
    return found;
  });
  py::list list(offsets.size());
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    list[i] = py::make_tuple(offsets[i].begin, offsets[i].end);
  }
  return list;
}

py::list encode_batch(TextEncoder& self, const py::typing::Iterable<py::str>& texts,
                      std::int64_t num_threads) {
  std::vector<py::object> keep;
  const std::vector<std::string_view> text_views = views(texts, "texts[...]", keep);
  const std::size_t threads = not_negative(num_threads, "num_threads");
  std::vector<std::vector<Piece>> pieces;
  {
    const py::gil_scoped_release release;
    pieces = self.encoder().find_pieces_of_all(text_views, threads);
  }
  py::list result(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    result[i] = self.ids(pieces[i]);
  }
  return result;
}

std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>
encode_pair(const TextEncoder& self, const py::object& text_a, const py::object& text_b,
            std::optional<std::int64_t> max_length) {
  const std::string_view a = utf8(text_a, "text_a");
  const auto b = text_b.is_none() ? std::nullopt : std::optional(utf8(text_b, "text_b"));
  const std::optional<std::size_t> length = length_of(max_length);
  const py::gil_scoped_release release;
  EncodedPair pair = self.encoder().encode_pair(a, b, length);
  return {std::move(pair.input_ids), std::move(pair.token_type_ids)};
}

py::tuple encode_pairs(const TextEncoder& self, const py::typing::Iterable<py::str>& texts,
                       const std::optional<py::typing::Iterable<py::str>>& text_pairs,
                       std::optional<std::int64_t> max_length, std::int64_t num_threads) {
  std::vector<py::object> keep;
  const std::vector<std::string_view> a = views(texts, "texts[...]", keep);
  std::optional<std::vector<std::string_view>> b;
  if (text_pairs) {
    b = views(*text_pairs, "text_pairs[...]", keep);
  }
  const std::optional<std::size_t> length = length_of(max_length);
  const std::size_t threads = not_negative(num_threads, "num_threads");
  EncodedBatch batch;
  {
    const py::gil_scoped_release release;
    batch = self.encoder().encode_pairs(a, b, length, threads);
  }
  return py::make_tuple(to_python(tensor_of(std::move(batch.input_ids), batch)),
                        to_python(tensor_of(std::move(batch.token_type_ids), batch)),
                        to_python(tensor_of(std::move(batch.attention_mask), batch)));
}

} // namespace

void register_text_encoder(py::module_& m) {
  py::class_<TextEncoder>(m, "TextEncoder", "Basic tokenization and WordPiece in one pass.")
      .def(py::init<std::optional<BasicTokenizer>, WordpieceTokenizer>(), py::arg("basic"),
           py::arg("wordpiece"))
      .def(
          "tokenize",
          [](TextEncoder& self, const py::object& text) {
            return self.tokens(unlocked(
                text, [&](std::string_view view) { return self.encoder().find_pieces(view); }));
          },
          py::arg("text"))
      .def(
          "encode",
          [](TextEncoder& self, const py::object& text) {
            return self.ids(unlocked(
                text, [&](std::string_view view) { return self.encoder().find_pieces(view); }));
          },
          py::arg("text"))
      .def("offsets", &offsets_of, py::arg("text"))
      .def("encode_batch", &encode_batch, py::arg("texts"), py::arg("num_threads"))
      .def("encode_pair", &encode_pair, py::arg("text_a"), py::arg("text_b"), py::arg("max_length"))
      .def("encode_pairs", &encode_pairs, py::arg("texts"), py::arg("text_pairs"),
           py::arg("max_length"), py::arg("num_threads"));
}

} // namespace ptbert::python
