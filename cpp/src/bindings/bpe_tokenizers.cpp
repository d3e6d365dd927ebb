#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bpe_tables.h"
#include "encoded_text.h"
#include "module.h"
#include "ptbert/text/bpe_files.h"
#include "ptbert/text/gpt2_tokenizer.h"
#include "ptbert/text/openai_gpt_tokenizer.h"
#include "text/mapped.h"

namespace py = pybind11;

namespace ptbert::python {
namespace {

using Symbols = BpeTokenizer::Symbols;
/// A tokenizer, and the Python str and int of each of its symbols, which all results share.
template <typename Tokenizer> class PyBpeTokenizer {
public:
  explicit PyBpeTokenizer(Tokenizer cpp)
      : tokenizer(std::move(cpp)), ids_(tokenizer.bpe().num_symbols()),
        tokens_(tokenizer.bpe().num_symbols()) {}

  py::list ids(const Symbols& symbols) {
    return list(symbols, ids_, [&](Bpe::Symbol symbol, std::string_view unknown) -> py::object {
      return py::int_(tokenizer.id_of(symbol, unknown));
    });
  }

  py::list tokens(const Symbols& symbols) {
    return list(symbols, tokens_, [&](Bpe::Symbol symbol, std::string_view unknown) -> py::object {
      return py::str(symbol == Bpe::kUnknown ? unknown : tokenizer.bpe().text(symbol));
    });
  }

  Tokenizer tokenizer;

private:
  template <typename Make>
  static py::list list(const Symbols& symbols, SharedObjects& shared, Make make) {
    auto unknown = symbols.unknown.begin();
    return make_list(symbols.symbols.size(), [&](std::size_t i) {
      const Bpe::Symbol symbol = symbols.symbols[i];
      return symbol == Bpe::kUnknown
                 ? make(symbol, *unknown++)
                 : shared.at(symbol, [&] { return make(symbol, std::string_view()); });
    });
  }

  SharedObjects ids_, tokens_;
};

template <typename Tokenizer>
Symbols symbols_of(const Tokenizer& tokenizer, const py::object& text) {
  return unlocked(text, [&](std::string_view view) { return tokenizer.encode_symbols(view); });
}

template <typename Tokenizer>
py::typing::List<py::typing::List<py::int_>>
encode_batch(PyBpeTokenizer<Tokenizer>& self, const py::typing::Iterable<py::str>& texts,
             std::int64_t num_threads) {
  std::vector<py::object> owners;
  const std::vector<std::string_view> text_views = views(texts, "texts[...]", owners);
  const std::size_t threads = not_negative(num_threads, "num_threads");
  return make_list_in_parts(text_views.size(), [&](const auto& fill) {
    self.tokenizer.encode_symbols_batch(
        text_views, threads, [&](std::size_t first, std::size_t last, const auto& rows) {
          fill(first, last, [&](std::size_t i) { return self.ids(rows[i]); });
        });
  });
}

template <typename Tokenizer>
py::tuple encode_padded(const PyBpeTokenizer<Tokenizer>& self,
                        const py::typing::Iterable<py::str>& texts,
                        std::optional<std::int64_t> max_length, std::int64_t num_threads) {
  std::vector<py::object> owners;
  const std::vector<std::string_view> text_views = views(texts, "texts[...]", owners);
  const std::optional<std::size_t> length = length_of(max_length);
  const std::size_t threads = not_negative(num_threads, "num_threads");
  EncodedBatch batch;
  {
    const py::gil_scoped_release release;
    batch = self.tokenizer.encode_padded(text_views, length, threads);
  }
  return py::make_tuple(tensor_of(std::move(batch.input_ids), batch),
                        tensor_of(std::move(batch.attention_mask), batch));
}

/// The text of concatenated tokens; `errors` handles invalid UTF-8 as in `bytes.decode`.
template <typename Tokenizer>
py::object text_of(const Tokenizer& tokenizer, std::string_view joined, const std::string& errors,
                   bool clean_up) {
  const auto decode = [](const std::string& bytes, const char* how) {
    PyObject* text = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), how);
    if (text == nullptr) {
      throw py::error_already_set();
    }
    return py::reinterpret_steal<py::object>(text);
  };
  const py::object text = decode(tokenizer.bytes_of(joined), errors.c_str());
  if (!clean_up) {
    return text;
  }
  // A Python error handler such as "surrogateescape" may have made lone surrogates.
  PyObject* bytes = PyUnicode_AsEncodedString(text.ptr(), "utf-8", "surrogatepass");
  if (bytes == nullptr) {
    throw py::error_already_set();
  }
  const auto encoded = py::reinterpret_steal<py::bytes>(bytes);
  return decode(clean_up_tokenization(std::string(encoded)), "surrogatepass");
}

template <typename Tokenizer>
py::class_<PyBpeTokenizer<Tokenizer>> register_class(py::module_& m, const char* name,
                                                     const char* doc) {
  using Self = PyBpeTokenizer<Tokenizer>;
  py::class_<Self> cls(m, name, doc);
  cls.def(py::init([](const py::object& vocab_file, const py::object& merges_file) {
            return std::make_unique<Self>(Tokenizer(vocab_file.cast<std::filesystem::path>(),
                                                    merges_file.cast<std::filesystem::path>()));
          }),
          py::arg("vocab_file"), py::arg("merges_file"))
      .def_static(
          "from_tables",
          [](const TokenTable& encoder, const py::dict& bpe_ranks) {
            return std::make_unique<Self>(Tokenizer(bpe_from_tables(encoder, bpe_ranks)));
          },
          py::arg("encoder"), py::arg("bpe_ranks"))
      .def(
          "with_special_tables",
          [](const Self& self, const TokenTable& ids, const IdTable& tokens) {
            Tokenizer copy = self.tokenizer;
            copy.set_special_tables(entries(ids, "special_tokens[...]"), entries_by_id(tokens));
            return std::make_unique<Self>(std::move(copy));
          },
          py::arg("special_tokens"), py::arg("special_tokens_decoder"))
      .def(
          "tokenize",
          [](Self& self, const py::object& text) -> py::typing::List<py::str> {
            return self.tokens(symbols_of(self.tokenizer, text));
          },
          py::arg("text"))
      .def(
          "encode",
          [](Self& self, const py::object& text) -> py::typing::List<py::int_> {
            return self.ids(symbols_of(self.tokenizer, text));
          },
          py::arg("text"))
      .def("encode_batch", &encode_batch<Tokenizer>, py::arg("texts"), py::arg("num_threads"))
      .def("encode_padded", &encode_padded<Tokenizer>, py::arg("texts"), py::arg("max_length"),
           py::arg("num_threads"))
      .def(
          "offsets",
          [](const Self& self, const py::object& text) {
            return offsets_of(unlocked(
                text, [&](std::string_view view) { return self.tokenizer.offsets(view); }));
          },
          py::arg("text"))
      .def(
          "bpe",
          [](Self& self, const py::object& token) -> py::typing::List<py::str> {
            return self.tokens(self.tokenizer.encode_word(utf8(token, "token")));
          },
          py::arg("token"))
      .def(
          "token_id",
          [](const Self& self, const py::object& token) {
            return self.tokenizer.convert_token_to_id(utf8(token, "tokens"));
          },
          py::arg("token"))
      .def(
          "tokens_to_ids",
          [](const Self& self, const py::typing::Iterable<py::str>& tokens) {
            return detail::mapped(tokens, [&](py::handle token) {
              return self.tokenizer.convert_token_to_id(utf8(token, "tokens[...]"));
            });
          },
          py::arg("tokens"))
      .def(
          "ids_to_tokens",
          [](const Self& self, const py::typing::Iterable<py::int_>& ids, bool skip_special) {
            return self.tokenizer.convert_ids_to_tokens(integers(ids), skip_special);
          },
          py::arg("ids"), py::arg("skip_special_tokens"))
      .def(
          "decode",
          [](const Self& self, const py::typing::Iterable<py::int_>& ids, bool skip_special,
             bool clean_up, const std::string& errors) {
            return py::str(text_of(self.tokenizer, self.tokenizer.join(integers(ids), skip_special),
                                   errors, clean_up));
          },
          py::arg("ids"), py::arg("skip_special_tokens"), py::arg("clean_up_tokenization_spaces"),
          py::arg("errors"))
      .def(
          "text_of",
          [](const Self& self, const py::object& joined, bool clean_up, const std::string& errors) {
            return py::str(text_of(self.tokenizer, utf8(joined, "tokens"), errors, clean_up));
          },
          py::arg("joined"), py::arg("clean_up_tokenization_spaces"), py::arg("errors"))
      .def("encoder_items",
           [](const Self& self) {
             const Bpe& bpe = self.tokenizer.bpe();
             return detail::mapped(bpe.tokens(), [&](Bpe::Symbol token) {
               return std::pair(bpe.text(token), bpe.id(token));
             });
           })
      .def("merges",
           [](const Self& self) {
             return detail::mapped(self.tokenizer.bpe().merges(), [](const Bpe::Merge& merge) {
               return std::pair(std::pair(merge.left, merge.right), merge.rank);
             });
           })
      .def(
          "save_vocabulary",
          [](const Self& self, const py::object& vocab_path) {
            self.tokenizer.save_vocabulary(vocab_path.cast<std::filesystem::path>());
          },
          py::arg("vocab_path"))
      .def("num_tokens", [](const Self& self) { return self.tokenizer.bpe().tokens().size(); });
  return cls;
}

} // namespace

void register_bpe_tokenizers(py::module_& m) {
  register_class<GPT2Tokenizer>(m, "GPT2Tokenizer", "Byte-level BPE.")
      .def(
          "words",
          [](const PyBpeTokenizer<GPT2Tokenizer>& self, const py::object& text) {
            return self.tokenizer.words_of(utf8(text, "text"));
          },
          py::arg("text"));
  using OpenAI = PyBpeTokenizer<OpenAIGPTTokenizer>;
  register_class<OpenAIGPTTokenizer>(m, "OpenAIGPTTokenizer", "BPE of lower-cased words.")
      .def(
          "with_basic_tokenizer",
          [](const OpenAI& self, const BasicTokenizer& basic) {
            OpenAIGPTTokenizer copy = self.tokenizer;
            copy.set_basic_tokenizer(basic);
            return std::make_unique<OpenAI>(std::move(copy));
          },
          py::arg("basic_tokenizer"))
      .def(
          "tokenize_words",
          [](OpenAI& self,
             const py::typing::Iterable<py::str>& words) -> py::typing::List<py::str> {
            const Strings copies = strings(words, "words[...]");
            return self.tokens([&] {
              const py::gil_scoped_release release;
              return self.tokenizer.encode_words(copies);
            }());
          },
          py::arg("words"));
  m.attr("GPT2_PATTERN") = kGpt2Pattern;
  m.def(
      "bytes_to_unicode",
      [] {
        std::vector<std::pair<int, std::u32string>> items;
        for (int byte = 0; byte < 256; ++byte) {
          items.emplace_back(
              byte, std::u32string(1, gpt2_byte_character(static_cast<unsigned char>(byte))));
        }
        return items;
      },
      "Each byte and the character that represents it in GPT-2's files.");
  m.def(
      "pad_rows",
      [](const std::vector<BpeTokenizer::Ids>& rows) {
        EncodedBatch batch = [&] {
          const py::gil_scoped_release release;
          const auto lengths = detail::mapped(rows, [](const auto& row) { return row.size(); });
          return EncodedBatch::pad(lengths, 0, false, 1,
                                   [&](std::size_t i, std::int64_t* ids, std::int64_t*) {
                                     std::copy(rows[i].begin(), rows[i].end(), ids);
                                   });
        }();
        return py::make_tuple(tensor_of(std::move(batch.input_ids), batch),
                              tensor_of(std::move(batch.attention_mask), batch));
      },
      py::arg("rows"), "Ids padded with 0 [batch, length], and their attention mask.");
  m.def(
      "standardize_text",
      [](const py::object& text) { return standardize_text(utf8(text, "text")); }, py::arg("text"),
      "GPT's clean-up of text before spaCy.");
}

} // namespace ptbert::python
