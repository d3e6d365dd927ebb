#include "ptbert/text/bert_text_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ptbert/errors.h"
#include "ptbert/text/bert_tokenizer.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;
using Ids = std::vector<std::int64_t>;

const std::filesystem::path kVocabulary =
    std::filesystem::path(__FILE__).parent_path() / "../data/vocab.txt";

std::shared_ptr<const Vocabulary> vocabulary(const Strings& tokens) {
  std::vector<Vocabulary::Entry> entries;
  for (const std::string& token : tokens) {
    entries.push_back({token, static_cast<std::int64_t>(entries.size())});
  }
  return std::make_shared<const Vocabulary>(entries);
}

Strings tokens(const BertTextEncoder& encoder, std::string_view text) {
  Strings tokens;
  for (const Piece piece : encoder.find_pieces(text)) {
    tokens.push_back(encoder.token(piece));
  }
  return tokens;
}

/// Random text of characters that are special to some step.
class RandomText {
public:
  std::string operator()(std::size_t longest) {
    static const std::u32string characters =
        U"aAbBzZ  \t\n\u2028.-[]ΣσςİıÉéß水\u8C48\uF900한각\u00AD"
        U"\u0301\u0323\u302E\u1734\U0001D165\u0315'\u00A8\u2260"
        U"\u037E\u0344\u200B\uFFFD\u0000\U0001F600ǅﬁ\u0345";
    std::u32string text(random_() % (longest + 1), U' ');
    for (char32_t& code : text) {
      code = characters[random_() % characters.size()];
      if (random_() % 32 == 0) {
        code = random_() % 0x11000;
        code = code >= 0xD800 && code < 0xE000 ? U'x' : code;
      }
    }
    return encode_utf8(text);
  }

  std::size_t below(std::size_t limit) { return random_() % limit; }

private:
  std::mt19937 random_{20190614};
};

void expect_pass_equals_steps(const BasicTokenizer& tokenizer, const std::string& text) {
  ASSERT_EQ(tokenizer.tokenize(text), tokenizer.tokenize_by_steps(text)) << '"' << text << '"';
}

TEST(BasicPassTest, EqualsTheStepsOnEveryCodePoint) {
  for (const bool do_lower_case : {true, false}) {
    const BasicTokenizer tokenizer(do_lower_case);
    for (char32_t code = 0; code <= 0x10FFFF; ++code) {
      if (code >= 0xD800 && code < 0xE000) {
        continue;
      }
      const std::u32string text = {code, U' ', U'x', code, U'Y', U' ', code, code, U'.', code};
      expect_pass_equals_steps(tokenizer, encode_utf8(text));
      if (code >= 0x32400 && (code < 0xDFF00 || code > 0xE0200)) {
        code += 0xF0; // all unassigned or private
      }
    }
  }
}

TEST(BasicPassTest, EqualsTheStepsOnRandomText) {
  RandomText random;
  for (const bool do_lower_case : {true, false}) {
    const std::vector<Strings> lists = {
        kBertSpecialTokens, {}, {"a-b", "A", "é", "水", "\u0301a", "σ"}};
    for (const Strings& never_split : lists) {
      const BasicTokenizer tokenizer(do_lower_case, never_split);
      for (int i = 0; i < 20000; ++i) {
        expect_pass_equals_steps(tokenizer, random(24));
      }
    }
  }
}

TEST(BasicPassTest, LongWordsAreWhole) {
  const BasicTokenizer tokenizer;
  for (const std::size_t length : {255U, 256U, 257U, 511U, 5000U}) {
    expect_pass_equals_steps(tokenizer,
                             std::string("[").append(length, 'A').append("é").append(length, 'b'));
    expect_pass_equals_steps(tokenizer, std::string(length, 'A').append("Σ").append(length, '.'));
  }
}

TEST(BertTextEncoderTest, EqualsBasicThenWordpieceOnRandomText) {
  RandomText random;
  Strings pieces = {"[UNK]",
                    "a",
                    "##a",
                    "##",
                    "",
                    "水",
                    "e",
                    "##e",
                    "\xC3",
                    "##\xCC",
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  for (int i = 0; i < 200; ++i) {
    const std::string piece = random(3);
    pieces.push_back(piece);
    pieces.push_back(std::string("##").append(piece));
  }
  const auto vocab = vocabulary(pieces);
  for (const bool do_lower_case : {true, false}) {
    const BasicTokenizer basic(do_lower_case);
    for (const std::int64_t limit : {-1, 0, 3, 100}) {
      const WordpieceTokenizer wordpiece(vocab, "<unk>", limit);
      const BertTextEncoder encoder(basic, wordpiece), without_basic(std::nullopt, wordpiece);
      for (int i = 0; i < 5000; ++i) {
        const std::string text = random(30);
        ASSERT_EQ(tokens(encoder, text), tokenize(basic, wordpiece, text)) << text;
        ASSERT_EQ(tokens(without_basic, text), wordpiece.tokenize(text)) << text;
      }
    }
  }
}

TEST(BertTextEncoderTest, TheTrieHoldsEveryTokenOfALargeVocabulary) {
  RandomText random;
  Strings words;
  for (int i = 0; i < 30000; ++i) {
    words.push_back(std::string("w").append(std::to_string(random.below(1000000))) +
                    (i % 7 == 0 ? "é" : ""));
  }
  const auto vocab = vocabulary(words);
  const BertTextEncoder encoder(std::nullopt, WordpieceTokenizer(vocab));
  for (const Vocabulary::Entry& entry : vocab->entries()) {
    ASSERT_EQ(tokens(encoder, entry.token), Strings{entry.token});
  }
}

TEST(BertTextEncoderTest, OffsetsFollowTheCodePoints) {
  const auto vocab = vocabulary({"[UNK]", "deja", "vu", "##s", "-", "水", "한"});
  const BertTextEncoder encoder(BasicTokenizer(true), WordpieceTokenizer(vocab));
  const auto places = [&](std::string_view text) {
    std::vector<Offset> offsets;
    encoder.find_pieces(text, &offsets);
    std::string places;
    for (const Offset& offset : offsets) {
      places += std::to_string(offset.begin) + ":" + std::to_string(offset.end) + " ";
    }
    return places;
  };
  EXPECT_EQ(places("Déjà-vus"), "0:4 4:5 5:7 7:8 ");
  EXPECT_EQ(places(" De\u0301\u200Bja\u0300 水vu"), "1:7 9:10 10:12 ");
  EXPECT_EQ(places("[UNK] ΟΔΟΣ xyz!"), "0:5 6:10 11:14 14:15 ");
  EXPECT_EQ(places("vu \U0001D16D\U0001D165"), "0:2 3:5 "); // marks that are reordered
}

TEST(BertTextEncoderTest, OffsetsOfATextOfFourGibibytesAreRefused) {
  const BertTextEncoder encoder(BasicTokenizer(true), WordpieceTokenizer(vocabulary({"[UNK]"})));
  const std::string_view text("", std::size_t{1} << 32); // refused before it is read
  std::vector<Offset> offsets;
  try {
    encoder.find_pieces(text, &offsets);
    FAIL() << "nothing was thrown";
  } catch (const std::length_error& error) {
    EXPECT_STREQ(error.what(), "`text` must have less than 4 GiB for its tokens to be located, but "
                               "has 4294967296 bytes.");
  }
}

TEST(BertTextEncoderTest, TextsMayBeEncodedOnManyThreads) {
  const BertTokenizer tokenizer(kVocabulary);
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) {
    texts.push_back("The boats sailed quietly " + std::string(i % 50, 'a') + " É" +
                    std::to_string(i));
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::size_t used = 0;
  const auto use = [&](std::size_t first, std::size_t last, const auto& rows) {
    ASSERT_EQ(first, used); // in order, and none twice
    for (; used < last; ++used) {
      ASSERT_EQ(rows[used], tokenizer.encoder().find_pieces(texts[used]));
    }
  };
  tokenizer.encoder().find_pieces_of_all(views, 4, use);
  EXPECT_EQ(used, texts.size());
  const auto refuse = [](std::size_t, std::size_t, const auto&) {
    throw std::runtime_error("no more");
  };
  EXPECT_THROW(tokenizer.encoder().find_pieces_of_all(views, 4, refuse), std::runtime_error);
  texts[1700] = "\xFF";
  const std::vector<std::string_view> broken(texts.begin(), texts.end());
  const auto ignore = [](std::size_t, std::size_t, const auto&) {};
  EXPECT_THROW(tokenizer.encoder().find_pieces_of_all(broken, 4, ignore), std::invalid_argument);
}

TEST(BertTextEncoderTest, PairsAreJoinedAndCutFromTheLonger) {
  const auto vocab = vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"});
  const BertTextEncoder encoder(BasicTokenizer(true), WordpieceTokenizer(vocab));
  EXPECT_EQ(encoder.encode("a b c"), (Ids{4, 5, 1}));
  const EncodedPair pair = encoder.encode_pair("a a a a", "b b", 7);
  EXPECT_EQ(pair.input_ids, (Ids{2, 4, 4, 3, 5, 5, 3}));
  EXPECT_EQ(pair.token_type_ids, (Ids{0, 0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(encoder.encode_pair("a b", "b a", 6).input_ids, (Ids{2, 4, 5, 3, 5, 3}));
  EXPECT_EQ(encoder.encode_pair("a b", std::nullopt, 3).input_ids, (Ids{2, 4, 3}));

  const EncodedBatch batch = encoder.encode_pairs({"a b", ""}, std::nullopt, std::nullopt);
  EXPECT_EQ(batch.length, 4U);
  const auto values = [&](const EncodedBatch::Array& array) {
    return Ids(array.get(), array.get() + batch.batch * batch.length);
  };
  EXPECT_EQ(values(batch.input_ids), (Ids{2, 4, 5, 3, 2, 3, 0, 0}));
  EXPECT_EQ(values(batch.token_type_ids), Ids(8, 0));
  EXPECT_EQ(values(batch.attention_mask), (Ids{1, 1, 1, 1, 1, 1, 0, 0}));
  EXPECT_THROW(encoder.encode_pair("a", "b", 2), std::invalid_argument);
  const WordpieceTokenizer asking([](std::string_view) { return true; }, "[UNK]", 100);
  try {
    BertTextEncoder(std::nullopt, asking);
    FAIL() << "it was accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "`wordpiece` must have a vocabulary, but asks a function.");
  }
  EXPECT_THROW(encoder.encode_pairs({"a"}, std::vector<std::string_view>{}, std::nullopt),
               std::invalid_argument);
  EXPECT_THROW(BertTextEncoder(std::nullopt, WordpieceTokenizer(vocabulary({"a"}))).encode("b"),
               KeyError);
}

} // namespace
} // namespace ptbert
