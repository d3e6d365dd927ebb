#include "ptbert/text/unicode.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

std::filesystem::path test_data() {
  if (const char* folder = std::getenv("PTBERT_TEST_DATA")) {
    return folder;
  }
  return std::filesystem::path(__FILE__).parent_path() / "../../../shared/data";
}

std::u32string code_points(const std::string& hexadecimal) {
  std::istringstream stream(hexadecimal);
  std::u32string codes;
  for (unsigned long code = 0; stream >> std::hex >> code;) {
    codes.push_back(static_cast<char32_t>(code));
  }
  return codes;
}

TEST(Utf8Test, RoundTripsEveryLength) {
  const std::u32string text = {0,      0x7F,   0x80,   0x7FF,   0x800,
                               0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF};
  EXPECT_EQ(decode_utf8(encode_utf8(text)), text);
  EXPECT_EQ(encode_utf8(U"é水🌊"), "\xC3\xA9\xE6\xB0\xB4\xF0\x9F\x8C\x8A");
}

TEST(Utf8Test, FindsTheFirstMalformedByte) {
  const std::vector<std::string> malformed = {
      "a\x80",         "a\xC1\xBF",         "a\xC3",         "a\xC3(",
      "a\xE0\x9F\xBF", "a\xED\xA0\x80",     "a\xE6\xB0",     "a\xF0\x8F\xBF\xBF",
      "a\xFF",         "a\xF4\x90\x80\x80", "a\xF0\x9F\x8C", "a\xF5\x80\x80\x80"};
  for (const std::string& text : malformed) {
    for (std::size_t before = 0; before < 20; ++before) {
      EXPECT_EQ(find_invalid_utf8(std::string(before, 'a') + text), before + 1) << text;
      EXPECT_EQ(find_invalid_utf8(text + std::string(before, 'a')), 1U) << text;
    }
  }
  EXPECT_EQ(find_invalid_utf8("水"), std::string::npos);
}

TEST(Utf8Test, DecodingMalformedTextThrows) {
  try {
    decode_utf8("sea \xFF");
    FAIL() << "nothing was thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "`text` must be UTF-8, but byte 4 (0xFF) is not.");
  }
}

TEST(UnicodeTest, WhitespaceIsTabLineEndsAndSpaceSeparators) {
  for (const char32_t code : U" \t\n\r\u00A0\u1680\u2003\u3000") {
    EXPECT_EQ(is_whitespace(code), code != 0) << std::hex << static_cast<unsigned>(code);
  }
  EXPECT_FALSE(is_whitespace(U'\u2028'));
  EXPECT_FALSE(is_whitespace(U'\u200B'));
}

TEST(UnicodeTest, ControlsAreAllOtherCategories) {
  // Cc, Cf, Cs, Co, Cn (unassigned in 15.0, and a noncharacter) and what is no code point at all.
  for (const unsigned code : {0x7FU, 0xADU, 0xD800U, 0xE000U, 0x378U, 0xFFFFU, 0x110000U}) {
    EXPECT_TRUE(is_control(code)) << std::hex << code;
  }
  EXPECT_FALSE(is_control(U'\t'));
  EXPECT_FALSE(is_control(U'a'));
  EXPECT_FALSE(is_control(0x11F12)); // new in Unicode 15.0
}

TEST(UnicodeTest, PunctuationCoversAsciiSymbols) {
  for (const char code : std::string("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")) {
    EXPECT_TRUE(is_punctuation(code)) << code;
  }
  EXPECT_TRUE(is_punctuation(0x3002));  // ideographic full stop, Po
  EXPECT_FALSE(is_punctuation(0x20AC)); // euro sign, Sc
  EXPECT_FALSE(is_punctuation(U'a'));
  EXPECT_FALSE(is_punctuation(U' '));
}

TEST(UnicodeTest, ChineseCharactersAreTheCjkBlocks) {
  for (const char32_t code : {0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFAFF, 0x20000, 0x2A6DF,
                              0x2A700, 0x2CEAF, 0x2F800, 0x2FA1F}) {
    EXPECT_TRUE(is_chinese_char(code)) << std::hex << static_cast<unsigned>(code);
  }
  for (const char32_t code : {0x3042, 0x30AB, 0xAC00, 0x4DC0, 0x2A6E0, 0x2CEB0}) {
    EXPECT_FALSE(is_chinese_char(code)) << std::hex << static_cast<unsigned>(code);
  }
}

TEST(UnicodeTest, SplitWhitespaceSplitsOnSeparatorsOfEveryKind) {
  const std::vector<std::u32string_view> expected = {U"a", U"b", U"c", U"d"};
  EXPECT_EQ(split_whitespace(U" a\u2028b\u0085c\u001Cd\u3000"), expected);
  EXPECT_TRUE(split_whitespace(U" \n").empty());
}

TEST(UnicodeTest, LowersSigmaByItsPlace) {
  EXPECT_EQ(to_lower(U"ΟΔΟΣ"), U"οδος");
  EXPECT_EQ(to_lower(U"ΟΣΑ"), U"οσα");
  EXPECT_EQ(to_lower(U"Σ"), U"σ");
  EXPECT_EQ(to_lower(U"ΟΣ'."), U"ος'.");
  EXPECT_EQ(to_lower(U"ΟΣ'Α"), U"οσ'α");
  EXPECT_EQ(to_lower(U"O\u0301Σ"), U"o\u0301ς");
}

TEST(UnicodeTest, LowersWithoutLocale) {
  EXPECT_EQ(to_lower(U"IİÉẞǅ"), U"ii\u0307éßǆ");
  EXPECT_EQ(to_lower(U"\U00010400"), U"\U00010428");
}

TEST(UnicodeTest, DecomposesHangulByArithmetic) {
  EXPECT_EQ(to_nfd(U"가각힣"), U"\u1100\u1161\u1100\u1161\u11A8\u1112\u1175\u11C2");
}

TEST(UnicodeTest, OrdersMarksByCombiningClass) {
  EXPECT_EQ(to_nfd(U"a\u0301\u0323"), U"a\u0323\u0301");
  EXPECT_EQ(to_nfd(U"\u0301a\u0323"), U"\u0301a\u0323");
  EXPECT_EQ(to_nfd(U"\u1E69"), U"s\u0323\u0307");
}

// Unicode's own conformance test: NFD of every column, see the head of the file.
TEST(UnicodeTest, NfdPassesNormalizationTest) {
  std::ifstream file(test_data() / "text" / "unicode-15.0" / "NormalizationTest.txt");
  if (!file) {
    GTEST_SKIP() << "no NormalizationTest.txt: set PTBERT_TEST_DATA";
  }
  int lines = 0;
  for (std::string line; std::getline(file, line);) {
    std::vector<std::u32string> columns;
    std::istringstream stream(line);
    for (std::string column; columns.size() < 5 && std::getline(stream, column, ';');) {
      columns.push_back(code_points(column));
    }
    if (columns.size() < 5 || line[0] == '#' || line[0] == '@') {
      continue;
    }
    ++lines;
    ASSERT_EQ(to_nfd(columns[0]), columns[2]) << line;
    ASSERT_EQ(to_nfd(columns[1]), columns[2]) << line;
    ASSERT_EQ(to_nfd(columns[2]), columns[2]) << line;
    ASSERT_EQ(to_nfd(columns[3]), columns[4]) << line;
    ASSERT_EQ(to_nfd(columns[4]), columns[4]) << line;
  }
  EXPECT_GT(lines, 18000);
}

} // namespace
} // namespace ptbert
