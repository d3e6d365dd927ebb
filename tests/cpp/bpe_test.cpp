#include "ptbert/text/bpe.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;
using Entries = std::vector<Vocabulary::Entry>;
using Merges = std::vector<Bpe::Merge>;

Strings merged(const Bpe& bpe, const std::string& word) {
  std::vector<Bpe::Piece> pieces;
  for (const char letter : word) {
    pieces.push_back({bpe.find(std::string(1, letter)), 1});
  }
  bpe.merge(pieces);
  Strings symbols;
  std::size_t position = 0;
  for (const Bpe::Piece& piece : pieces) {
    symbols.push_back(word.substr(position, piece.bytes));
    EXPECT_EQ(bpe.text(piece.symbol), piece.symbol == Bpe::kUnknown ? "" : symbols.back());
    position += piece.bytes;
  }
  return symbols;
}

TEST(BpeTest, MergesTheLowestRankEverywhereFirst) {
  const Bpe bpe({}, Merges{{"b", "c", 0}, {"a", "b", 1}, {"ab", "bc", 2}});
  EXPECT_EQ(merged(bpe, "abcab"), (Strings{"a", "bc", "ab"}));
  EXPECT_EQ(merged(bpe, "abbc"), (Strings{"abbc"}));
  EXPECT_EQ(merged(bpe, "xaby"), (Strings{"x", "ab", "y"}));
  EXPECT_EQ(merged(bpe, ""), Strings());
}

TEST(BpeTest, MergesOverlappingPairsFromTheLeft) {
  const Bpe bpe({}, Merges{{"a", "a", 0}});
  EXPECT_EQ(merged(bpe, "aaa"), (Strings{"aa", "a"}));
  EXPECT_EQ(merged(bpe, "aaaaa"), (Strings{"aa", "aa", "a"}));
}

TEST(BpeTest, AMergeOfALowerRankThatBecomesPossibleWaitsForTheRound) {
  // "ab" + "a" has the lower rank, but "a" + "b" is merged everywhere first, as in the 2019
  // library.
  const Bpe bpe({}, Merges{{"ab", "a", 0}, {"a", "b", 1}});
  EXPECT_EQ(merged(bpe, "abab"), (Strings{"ab", "ab"}));
  EXPECT_EQ(merged(bpe, "abaab"), (Strings{"aba", "ab"}));
}

TEST(BpeTest, LongWordsMergeAsShortOnes) {
  const Bpe bpe(
      {}, Merges{{"ab", "a", 0}, {"a", "b", 1}, {"b", "b", 2}, {"bb", "ab", 3}, {"x", "x", 4}});
  std::uint32_t random = 1;
  for (int round = 0; round < 200; ++round) {
    std::string word, separated;
    Strings expected;
    for (int part = 0; part < 12; ++part) { // "." is merged with nothing
      std::string letters;
      for (int i = 0; i < 10; ++i) {
        random = random * 1664525 + 1013904223;
        letters.push_back("abx"[(random >> 16) % 3]);
      }
      for (const std::string& symbol : merged(bpe, letters + ".")) {
        expected.push_back(symbol);
      }
      word += letters + ".";
    }
    EXPECT_EQ(merged(bpe, word), expected);
  }
}

TEST(BpeTest, LastOfEqualTokensGivesTheId) {
  const Bpe bpe(Entries{{"a", 0}, {"b", 1}, {"a", 5}, {"c", 1}}, {});
  EXPECT_EQ(bpe.tokens().size(), 3);
  EXPECT_EQ(bpe.id(bpe.find("a")), 5);
  EXPECT_EQ(bpe.text(bpe.symbol_of_id(1)), "c");
  EXPECT_EQ(bpe.symbol_of_id(0), Bpe::kUnknown);
  EXPECT_EQ(bpe.symbol_of_id(-1), Bpe::kUnknown);
  EXPECT_EQ(bpe.id(Bpe::kUnknown), 0);
}

TEST(BpeTest, LastOfEqualMergesGivesTheRank) {
  const Bpe bpe({}, Merges{{"a", "b", 0}, {"b", "c", 1}, {"a", "b", 2}});
  EXPECT_EQ(merged(bpe, "abc"), (Strings{"a", "bc"}));
  const Merges merges = bpe.merges();
  ASSERT_EQ(merges.size(), 2);
  EXPECT_EQ(merges[1].left, "a");
  EXPECT_EQ(merges[1].rank, 2);
}

TEST(BpeTest, ManySymbolsAreFoundAgain) {
  Entries tokens;
  for (int i = 0; i < 5000; ++i) {
    tokens.push_back({"token" + std::to_string(i), i});
  }
  const Bpe bpe(tokens, {});
  for (const Vocabulary::Entry& token : tokens) {
    EXPECT_EQ(bpe.id(bpe.find(token.token)), token.id);
  }
  EXPECT_EQ(bpe.find("token5000"), Bpe::kUnknown);
}

} // namespace
} // namespace ptbert
