#include "ptbert/text/wordpiece_tokenizer.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;

std::shared_ptr<const Vocabulary> vocabulary(const Strings& tokens) {
  std::vector<Vocabulary::Entry> entries;
  for (const std::string& token : tokens) {
    entries.push_back({token, static_cast<std::int64_t>(entries.size())});
  }
  return std::make_shared<const Vocabulary>(entries);
}

TEST(WordpieceTokenizerTest, TakesTheLongestPieces) {
  const WordpieceTokenizer tokenizer(vocabulary({"un", "##aff", "##able", "una", "##ff"}));
  const Strings expected = {"una", "##ff", "##able"};
  EXPECT_EQ(tokenizer.tokenize("unaffable"), expected);
}

TEST(WordpieceTokenizerTest, MissingPieceMakesTheWholeWordUnknown) {
  const WordpieceTokenizer tokenizer(vocabulary({"un", "##aff"}), "<unk>");
  const Strings expected = {"un", "<unk>", "un", "##aff"};
  EXPECT_EQ(tokenizer.tokenize(" un unaffable\u2028unaff "), expected);
}

TEST(WordpieceTokenizerTest, ContinuationIsOnlyFoundWithItsMark) {
  const WordpieceTokenizer tokenizer(vocabulary({"a", "b", "##a"}));
  const Strings expected = {"a", "##a", "[UNK]"};
  EXPECT_EQ(tokenizer.tokenize("aa ab"), expected);
}

TEST(WordpieceTokenizerTest, LimitCountsCharactersNotBytes) {
  const WordpieceTokenizer tokenizer(vocabulary({"水", "##水"}), "[UNK]", 2);
  const Strings expected = {"水", "##水", "[UNK]"};
  EXPECT_EQ(tokenizer.tokenize("水水 水水水"), expected);
}

TEST(WordpieceTokenizerTest, NeverCutsACharacter) {
  // "é" is C3 A9 and "è" C3 A8: the bytes that they share are no piece.
  const WordpieceTokenizer tokenizer(vocabulary({"\xC3", "é"}));
  const Strings expected = {"é", "[UNK]"};
  EXPECT_EQ(tokenizer.tokenize("é è"), expected);
}

TEST(WordpieceTokenizerTest, AsksTheCallersFunction) {
  const WordpieceTokenizer tokenizer(
      [](std::string_view piece) { return piece.size() == 1 || piece.substr(0, 2) == "##"; });
  const Strings expected = {"a", "##bc"};
  EXPECT_EQ(tokenizer.tokenize("abc"), expected);
}

TEST(WordpieceTokenizerTest, NullVocabularyThrows) {
  try {
    WordpieceTokenizer tokenizer(std::shared_ptr<const Vocabulary>{});
    FAIL() << "nothing was thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "`vocab` must be a vocabulary, but is null.");
  }
}

} // namespace
} // namespace ptbert
