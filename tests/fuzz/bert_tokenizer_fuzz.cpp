// BERT's tokenizer: the fast pass beside the named steps, places of pieces, pairs, and vocabulary
// files.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz_support.h"
#include "ptbert/errors.h"
#include "ptbert/text/bert_tokenizer.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert::fuzz {
namespace {

using Strings = std::vector<std::string>;

constexpr const char* kVocabulary =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n##\n#\n'\n.\na\nab\nabc\n##a\n##b\n##bc\n##c\nthe\n##s\n"
    "##ing\ne\n##e\n\u03b1\n##\u03c3\n##\u03c2\n\u6c34\n##\u6c34\ni\n##i\n\U0001D158\n##\U0001D165";

/// Reads a vocabulary, and reads it again after saving it.
std::shared_ptr<const Vocabulary> load_vocabulary(std::string_view content) {
  static const TemporaryFolder folder;
  const auto file = folder.write("vocab.txt", content);
  auto vocab = std::make_shared<const Vocabulary>(Vocabulary::load(file));
  for (const Vocabulary::Entry& entry : vocab->entries()) {
    require(vocab->id(entry.token) == entry.id, "a token has the id of its entry");
    require(vocab->token(entry.id) == entry.token, "an id has the token of its entry");
  }
  if (vocab->is_consecutive()) {
    vocab->save(file);
    const Vocabulary again = Vocabulary::load(file);
    require(std::equal(vocab->entries().begin(), vocab->entries().end(), again.entries().begin(),
                       again.entries().end(),
                       [](const Vocabulary::Entry& a, const Vocabulary::Entry& b) {
                         return a.token == b.token && a.id == b.id;
                       }),
            "a saved vocabulary is the same when loaded");
  }
  return vocab;
}

struct Tokenizer {
  enum Choice : unsigned { kLowerCase = 1, kWhiteSpaceOnly = 2, kMoreNeverSplit = 4 };

  Tokenizer(const std::shared_ptr<const Vocabulary>& vocab, unsigned choices,
            std::int64_t max_input_chars)
      : by_words(choices & kLowerCase,
                 choices & kMoreNeverSplit ? never_split_of(*vocab) : kBertSpecialTokens),
        basic(choices & kWhiteSpaceOnly ? std::nullopt : std::optional(by_words)),
        wordpiece(vocab, "[UNK]", max_input_chars), encoder(basic, wordpiece) {}

  static Strings never_split_of(const Vocabulary& vocab) {
    Strings words = {"Abc", "ab.c", "##a", "\u03b1\u03a3", "\u00e9", "\u6c34", "i\u0307"};
    for (std::size_t i = 0; i < std::min<std::size_t>(vocab.size(), 8); ++i) {
      words.push_back(vocab.entries()[i].token);
    }
    return words;
  }

  BasicTokenizer by_words;
  std::optional<BasicTokenizer> basic; // what comes before WordPiece
  WordpieceTokenizer wordpiece;
  BertTextEncoder encoder;
};

std::u32string without_final_sigma(std::u32string text) {
  std::replace(text.begin(), text.end(), U'\u03c2', U'\u03c3');
  return text;
}

/// Whether a piece is made of the code points `source`.
bool comes_from(const std::string& piece, std::u32string source,
                const std::optional<BasicTokenizer>& basic) {
  if (basic) {
    source = clean_text(source);
    if (basic->do_lower_case()) {
      source += strip_accents(to_lower(source)); // unless it is in never_split
    }
  }
  const auto contains = [&](std::string_view text) {
    return without_final_sigma(source).find(without_final_sigma(decode_utf8(text))) !=
           std::u32string::npos;
  };
  return contains(piece) || (piece.substr(0, 2) == "##" && contains(piece.substr(2)));
}

void check_places(const Tokenizer& tokenizer, const std::string& text) {
  const BertTextEncoder& encoder = tokenizer.encoder;
  std::vector<Offset> offsets;
  const std::vector<Piece> pieces = encoder.find_pieces(text, &offsets);
  require(pieces == encoder.find_pieces(text), "pieces are the same with and without offsets");
  require(pieces.size() == offsets.size(), "every piece has a place");
  const std::u32string codes = decode_utf8(text);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto [begin, end] = offsets[i];
    require(begin < end && end <= codes.size(), "a piece stands within the text");
    require(
        pieces[i] == kUnknownPiece ||
            comes_from(encoder.token(pieces[i]), codes.substr(begin, end - begin), tokenizer.basic),
        "a piece comes from the code points at its place");
  }
}

void check_text(const Tokenizer& tokenizer, std::string_view bytes) {
  const auto& [by_words, basic, wordpiece, encoder] = tokenizer;
  if (find_invalid_utf8(bytes) != std::string_view::npos) {
    require(throws<std::invalid_argument>([&] { tokenizer.by_words.tokenize(bytes); }) &&
                throws<std::invalid_argument>([&] { tokenizer.encoder.find_pieces(bytes); }),
            "text that is not UTF-8 is refused");
  }
  const std::string text = replace_invalid_utf8(bytes);
  require(by_words.tokenize(text) == by_words.tokenize_by_steps(text),
          "the fast pass gives the words of the named steps");
  Strings pieces;
  for (const Piece piece : encoder.find_pieces(text)) {
    pieces.push_back(encoder.token(piece));
  }
  require(pieces == (basic ? tokenize(*basic, wordpiece, text) : wordpiece.tokenize(text)),
          "the encoder gives the pieces of the two tokenizers");
  check_places(tokenizer, text);
}

void check_pairs(const BertTextEncoder& encoder, std::string_view bytes, std::size_t max_length) {
  const std::string text_a = replace_invalid_utf8(bytes), text_b = "the abc";
  const std::size_t pieces_a = encoder.find_pieces(text_a).size();
  const std::size_t pieces_b = encoder.find_pieces(text_b).size();
  const EncodedPair pair = encoder.encode_pair(text_a, text_b, max_length);
  require(pair.input_ids.size() == std::min(pieces_a + pieces_b + 3, max_length),
          "a pair has all tokens for which there is room");
  require(pair.token_type_ids.size() == pair.input_ids.size(), "every token has a type");

  const EncodedBatch batch = encoder.encode_pairs({text_a, ""}, std::nullopt, std::nullopt);
  require(batch.length == pieces_a + 2, "a batch is as long as its longest row");
  const std::vector<std::int64_t> ids = encoder.encode(text_a);
  require(std::equal(ids.begin(), ids.end(), batch.input_ids.get() + 1),
          "a batch has the ids of its texts");
}

void check(Input input) {
  constexpr unsigned kOwnVocabulary = 8, kShortWords = 16;
  const unsigned choices = input.byte() % 32;
  const std::uint8_t limit = input.byte();
  if (choices & kOwnVocabulary) {
    const Tokenizer tokenizer(load_vocabulary(input.part()), choices,
                              static_cast<std::int8_t>(limit));
    check_text(tokenizer, input.rest());
    return;
  }
  // Kept, as making one takes longer than a text; and so are the words in their caches.
  static const auto vocab = load_vocabulary(kVocabulary);
  static std::map<unsigned, Tokenizer> tokenizers;
  const Tokenizer& tokenizer =
      tokenizers.try_emplace(choices, vocab, choices, choices & kShortWords ? 5 : 100)
          .first->second;
  const std::string_view bytes = input.rest();
  check_text(tokenizer, bytes);
  check_pairs(tokenizer.encoder, bytes, 3 + limit);
}

} // namespace
} // namespace ptbert::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    ptbert::fuzz::check({data, size});
  } catch (const ptbert::FormatError&) {
    // A vocabulary that is refused.
  }
  return 0;
}
