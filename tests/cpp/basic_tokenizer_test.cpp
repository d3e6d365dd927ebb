#include "ptbert/text/basic_tokenizer.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;

TEST(BasicTokenizerTest, CleansText) {
  EXPECT_EQ(clean_text(U"a\u0007\u200B\uFFFD\tb\u00A0c\u2028"), U"a b c\u2028");
  EXPECT_EQ(clean_text(std::u32string(1, U'\0')), U"");
}

TEST(BasicTokenizerTest, SpacesChineseCharacters) {
  EXPECT_EQ(tokenize_chinese_chars(U"a水船か"), U"a 水  船 か");
}

TEST(BasicTokenizerTest, StripsAccents) {
  EXPECT_EQ(strip_accents(U"Éa\u0301\u0323한"), U"Ea\u1112\u1161\u11AB");
}

TEST(BasicTokenizerTest, SplitsOnEveryPunctuationCharacter) {
  const std::vector<std::u32string_view> expected = {U"a", U".", U".", U"b", U"。"};
  EXPECT_EQ(split_on_punctuation(U"a..b。"), expected);
  EXPECT_TRUE(split_on_punctuation(U"").empty());
}

TEST(BasicTokenizerTest, LowersAndStripsAccentsByDefault) {
  const Strings expected = {"the", "cafe", "'", "s", "水", "οδος", "!"};
  EXPECT_EQ(BasicTokenizer().tokenize(" The CAFÉ's水 ΟΔΟΣ!\n"), expected);
}

TEST(BasicTokenizerTest, KeepsCaseAndAccentsWhenAsked) {
  const Strings expected = {"The", "CAFÉ", "-", "x"};
  EXPECT_EQ(BasicTokenizer(false).tokenize("The CAFÉ-x"), expected);
}

TEST(BasicTokenizerTest, KeepsSpecialTokensOnlyAsWholeWords) {
  const Strings expected = {"[CLS]", "a", "[", "mask", "]", "[", "sep", "]", "."};
  EXPECT_EQ(BasicTokenizer().tokenize("[CLS] a[MASK] [SEP]."), expected);
}

TEST(BasicTokenizerTest, NeverSplitAlsoHoldsForTheLoweredWord) {
  const BasicTokenizer tokenizer(true, {"a-b", "C-D", ""});
  const Strings expected = {"a-b", "C-D", "c", "-", "d"};
  EXPECT_EQ(tokenizer.tokenize("A-B C-D c-d \u0301"), expected);
}

TEST(BasicTokenizerTest, TextThatIsNotUtf8Throws) {
  EXPECT_THROW(BasicTokenizer().tokenize("\xFF"), std::invalid_argument);
  EXPECT_THROW(BasicTokenizer(true, {"\xFF"}), std::invalid_argument);
}

} // namespace
} // namespace ptbert
