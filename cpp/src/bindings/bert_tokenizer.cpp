#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bert_text_encoder.h"
#include "module.h"
#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"
#include "ptbert/text/vocabulary.h"
#include "ptbert/text/wordpiece_tokenizer.h"
#include "text.h"
#include "text/mapped.h"

namespace py = pybind11;

namespace ptbert::python {
namespace {

std::int64_t token_id(const py::handle& object) {
  if (!PyIndex_Check(object.ptr())) {
    throw py::type_error("`vocab` must map tokens to ints, but maps one to " +
                         type_with_article(object) + ".");
  }
  const std::int64_t id = PyLong_AsLongLong(object.ptr());
  if (id == -1 && PyErr_Occurred() != nullptr) {
    throw py::error_already_set();
  }
  return id;
}

std::shared_ptr<Vocabulary> vocabulary_from_dict(const py::typing::Dict<py::str, py::int_>& vocab) {
  return std::make_shared<Vocabulary>(detail::mapped(vocab, [](const auto& item) {
    return Vocabulary::Entry{std::string(utf8(item.first, "vocab[...]")), token_id(item.second)};
  }));
}

std::vector<std::pair<std::string, std::int64_t>> vocabulary_items(const Vocabulary& vocab) {
  return detail::mapped(vocab.entries(), [](const Vocabulary::Entry& entry) {
    return std::pair(entry.token, entry.id);
  });
}

void register_predicates(py::module_& m) {
  m.def(
      "is_whitespace", [](std::uint32_t code) { return is_whitespace(code); }, py::arg("code"),
      "Whether BERT's text cleaning turns a code point into a space.");
  m.def(
      "is_control", [](std::uint32_t code) { return is_control(code); }, py::arg("code"),
      "Whether BERT's text cleaning drops a code point.");
  m.def(
      "is_punctuation", [](std::uint32_t code) { return is_punctuation(code); }, py::arg("code"),
      "Whether BERT splits words at a code point.");
  m.def(
      "is_chinese_char", [](std::uint32_t code) { return is_chinese_char(code); }, py::arg("code"),
      "Whether BERT's basic tokenization makes a code point a word of its own.");
  m.def(
      "whitespace_tokenize",
      [](const py::object& text) {
        return unlocked(text, [](std::string_view view) { return whitespace_tokenize(view); });
      },
      py::arg("text"), "The words of a text, as str.split makes them.");
}

/// Defines a function from text to text.
void register_step(py::module_& m, const char* name, std::u32string (*step)(std::u32string_view),
                   const char* doc) {
  m.def(
      name,
      [step](const py::object& text) { return encode_utf8(step(decode_utf8(utf8(text, "text")))); },
      py::arg("text"), doc);
}

/// The steps of basic tokenization one by one, for BasicTokenizers whose other steps are replaced.
void register_steps(py::module_& m) {
  register_step(m, "clean_text", clean_text, "Text without controls, and with plain spaces.");
  register_step(m, "tokenize_chinese_chars", tokenize_chinese_chars,
                "Text with spaces around CJK ideographs.");
  register_step(m, "to_lower", to_lower, "Text in lower case.");
  register_step(m, "strip_accents", strip_accents, "Decomposed text without nonspacing marks.");
  m.def(
      "split_on_punctuation",
      [](const py::object& word) {
        const std::u32string codes = decode_utf8(utf8(word, "text"));
        return detail::mapped(split_on_punctuation(codes), encode_utf8);
      },
      py::arg("text"), "Punctuation characters and the runs between them.");
}

void register_vocabulary(py::module_& m) {
  py::class_<Vocabulary, std::shared_ptr<Vocabulary>>(m, "Vocabulary",
                                                      "The tokens of a model and their ids.")
      .def(py::init(&vocabulary_from_dict), py::arg("vocab"))
      .def_static(
          "load",
          [](const py::object& vocab_file) {
            return Vocabulary::load(vocab_file.cast<std::filesystem::path>());
          },
          py::arg("vocab_file"))
      .def(
          "save",
          [](const Vocabulary& vocab, const py::object& vocab_file) {
            vocab.save(vocab_file.cast<std::filesystem::path>());
          },
          py::arg("vocab_file"))
      .def("items", &vocabulary_items)
      .def("is_consecutive", &Vocabulary::is_consecutive)
      .def("__len__", &Vocabulary::size)
      .def("__repr__", [](const Vocabulary& vocab) {
        return "Vocabulary of " + std::to_string(vocab.size()) + " tokens";
      });
}

void register_classes(py::module_& m) {
  py::class_<BasicTokenizer>(m, "BasicTokenizer", "Splits text into words and punctuation.")
      .def(py::init([](bool do_lower_case, const py::typing::Iterable<py::str>& never_split) {
             return BasicTokenizer(do_lower_case, strings(never_split, "never_split[...]"));
           }),
           py::arg("do_lower_case"), py::arg("never_split"))
      .def(
          "tokenize",
          [](const BasicTokenizer& basic, const py::object& text) {
            return unlocked(text, [&](std::string_view view) { return basic.tokenize(view); });
          },
          py::arg("text"));

  py::class_<WordpieceTokenizer>(m, "WordpieceTokenizer", "Splits words into pieces.")
      .def(py::init([](const std::shared_ptr<Vocabulary>& vocab, const py::object& unk_token,
                       std::int64_t max_input_chars_per_word) {
             return WordpieceTokenizer(vocab, std::string(utf8(unk_token, "unk_token")),
                                       max_input_chars_per_word);
           }),
           py::arg("vocab"), py::arg("unk_token"), py::arg("max_input_chars_per_word"))
      .def(
          "tokenize",
          [](const WordpieceTokenizer& wordpiece, const py::object& text) {
            return unlocked(text, [&](std::string_view view) { return wordpiece.tokenize(view); });
          },
          py::arg("text"));

  m.def(
      "wordpiece_tokenize",
      [](const py::object& text, const py::object& vocab, const py::object& unk_token,
         std::int64_t max_input_chars_per_word) {
        const WordpieceTokenizer wordpiece(
            [&](std::string_view piece) { return vocab.contains(py::str(piece)); },
            std::string(utf8(unk_token, "unk_token")), max_input_chars_per_word);
        return wordpiece.tokenize(utf8(text, "text"));
      },
      py::arg("text"), py::arg("vocab"), py::arg("unk_token"), py::arg("max_input_chars_per_word"),
      "WordPiece with any Python container as the vocabulary; holds the GIL.");
}

} // namespace

void register_bert_tokenizer(py::module_& m) {
  register_predicates(m);
  register_steps(m);
  register_vocabulary(m);
  register_classes(m);
  register_bert_text_encoder(m);
}

} // namespace ptbert::python
