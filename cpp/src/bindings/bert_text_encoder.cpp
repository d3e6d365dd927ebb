#include "bert_text_encoder.h"

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

#include "encoded_text.h"
#include "ptbert/text/bert_text_encoder.h"

namespace ptbert::python {
namespace {

/// BertTextEncoder, and the Python str and int of each of its pieces, which all results share.
class PyBertTextEncoder {
public:
  PyBertTextEncoder(std::optional<BasicTokenizer> basic, WordpieceTokenizer wordpiece)
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
  /// `shared` holds the objects of all pieces, and last that of kUnknownPiece.
  template <typename Make>
  py::list list_of(const std::vector<Piece>& pieces, SharedObjects& shared, Make make) {
    return make_list(pieces.size(), [&](std::size_t i) {
      const std::size_t index = pieces[i] == kUnknownPiece ? pieces_ : pieces[i];
      return shared.at(index, [&] { return make(pieces[i]); });
    });
  }

  std::size_t pieces_;
  BertTextEncoder encoder_;
  SharedObjects tokens_, ids_;
};

std::vector<Piece> find_pieces(const PyBertTextEncoder& self, const py::object& text) {
  return unlocked(text, [&](std::string_view view) { return self.encoder().find_pieces(view); });
}

Offsets offsets(const PyBertTextEncoder& self, const py::object& text) {
  return offsets_of(unlocked(text, [&](std::string_view view) {
    std::vector<Offset> found;
    self.encoder().find_pieces(view, &found);
    return found;
  }));
}

py::typing::List<py::typing::List<py::int_>>
encode_batch(PyBertTextEncoder& self, const py::typing::Iterable<py::str>& texts,
             std::int64_t num_threads) {
  std::vector<py::object> owners;
  const std::vector<std::string_view> text_views = views(texts, "texts[...]", owners);
  const std::size_t threads = not_negative(num_threads, "num_threads");
  return make_list_in_parts(text_views.size(), [&](const auto& fill) {
    self.encoder().find_pieces_of_all(
        text_views, threads, [&](std::size_t first, std::size_t last, const auto& rows) {
          fill(first, last, [&](std::size_t i) { return self.ids(rows[i]); });
        });
  });
}

std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>
encode_pair(const PyBertTextEncoder& self, const py::object& text_a, const py::object& text_b,
            std::optional<std::int64_t> max_length) {
  const std::string_view a = utf8(text_a, "text_a");
  const auto b = text_b.is_none() ? std::nullopt : std::optional(utf8(text_b, "text_b"));
  const std::optional<std::size_t> length = length_of(max_length);
  const py::gil_scoped_release release;
  EncodedPair pair = self.encoder().encode_pair(a, b, length);
  return {std::move(pair.input_ids), std::move(pair.token_type_ids)};
}

py::tuple encode_pairs(const PyBertTextEncoder& self, const py::typing::Iterable<py::str>& texts,
                       const std::optional<py::typing::Iterable<py::str>>& text_pairs,
                       std::optional<std::int64_t> max_length, std::int64_t num_threads) {
  std::vector<py::object> owners;
  const std::vector<std::string_view> a = views(texts, "texts[...]", owners);
  std::optional<std::vector<std::string_view>> b;
  if (text_pairs) {
    b = views(*text_pairs, "text_pairs[...]", owners);
  }
  const std::optional<std::size_t> length = length_of(max_length);
  const std::size_t threads = not_negative(num_threads, "num_threads");
  EncodedBatch batch;
  {
    const py::gil_scoped_release release;
    batch = self.encoder().encode_pairs(a, b, length, threads);
  }
  return py::make_tuple(tensor_of(std::move(batch.input_ids), batch),
                        tensor_of(std::move(batch.token_type_ids), batch),
                        tensor_of(std::move(batch.attention_mask), batch));
}

} // namespace

void register_bert_text_encoder(py::module_& m) {
  py::class_<PyBertTextEncoder>(m, "BertTextEncoder",
                                "Basic tokenization and WordPiece in one pass.")
      .def(py::init<std::optional<BasicTokenizer>, WordpieceTokenizer>(), py::arg("basic"),
           py::arg("wordpiece"))
      .def(
          "tokenize",
          [](PyBertTextEncoder& self, const py::object& text) {
            return self.tokens(find_pieces(self, text));
          },
          py::arg("text"))
      .def(
          "encode",
          [](PyBertTextEncoder& self, const py::object& text) {
            return self.ids(find_pieces(self, text));
          },
          py::arg("text"))
      .def("offsets", &offsets, py::arg("text"))
      .def("encode_batch", &encode_batch, py::arg("texts"), py::arg("num_threads"))
      .def("encode_pair", &encode_pair, py::arg("text_a"), py::arg("text_b"), py::arg("max_length"))
      .def("encode_pairs", &encode_pairs, py::arg("texts"), py::arg("text_pairs"),
           py::arg("max_length"), py::arg("num_threads"));
}

} // namespace ptbert::python
