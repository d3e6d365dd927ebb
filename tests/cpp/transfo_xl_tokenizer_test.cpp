#include "ptbert/text/transfo_xl_tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptbert/errors.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;
using Ids = std::vector<std::int64_t>;

class TransfoXLTokenizerTest : public testing::Test {
protected:
  std::filesystem::path write(const std::string& content) {
    const auto file = std::filesystem::path(testing::TempDir()) /
                      (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) +
                       std::to_string(count_++));
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

  template <typename Error, typename Function> static std::string message_of(Function function) {
    try {
      function();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing thrown";
  }

private:
  int count_ = 0;
};

Strings lines_of(const std::filesystem::path& file) {
  Strings lines;
  LineReader reader(file, "path");
  for (std::string_view line; reader.next(line);)
    lines.emplace_back(line);
  return lines;
}

TEST_F(TransfoXLTokenizerTest, ReaderEndsLinesAsPythonDoes) {
  EXPECT_EQ(lines_of(write("a\nb\r\nc\rd")), (Strings{"a", "b", "c", "d"}));
  EXPECT_EQ(lines_of(write("\r\n\n\r")), (Strings{"", "", ""}));
  EXPECT_EQ(lines_of(write("")), Strings());
  EXPECT_EQ(lines_of(write("\uFEFFa\n\uFEFFb")), (Strings{"a", "\uFEFFb"}));
  EXPECT_EQ(lines_of(write("\uFEFF")), Strings());
}

TEST_F(TransfoXLTokenizerTest, ReaderFindsLineEndsAcrossBlocks) {
  constexpr std::size_t kBlock = 1 << 20;
  const std::string before(kBlock - 1, 'x');
  EXPECT_EQ(lines_of(write(before + "\r\ny")), (Strings{before, "y"}));
  EXPECT_EQ(lines_of(write(before + "\r")), (Strings{before}));
  EXPECT_EQ(lines_of(write(before + "\n")), (Strings{before}));
  const std::string cut = before + "\u00e9" + std::string(2 * kBlock, 'z');
  EXPECT_EQ(lines_of(write(cut + "\n" + cut)), (Strings{cut, cut}));
}

TEST_F(TransfoXLTokenizerTest, SplitsAtEverySeparatorAndAtNothingElse) {
  for (char32_t code = 1; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF)
      continue;
    const std::string line = encode_utf8(std::u32string{U'a', code, U'b'});
    ASSERT_EQ(split_line(line, {}).size(), is_word_separator(code) ? 2 : 1)
        << "U+" << std::hex << +code;
  }
}

TEST_F(TransfoXLTokenizerTest, DelimiterKeepsEmptySymbols) {
  LineFormat format;
  format.delimiter = " ";
  EXPECT_EQ(split_line("\u2028a  b ", format), (Strings{"a", "", "b"}));
  EXPECT_EQ(split_line("", format), (Strings{""}));
  format.delimiter = "--";
  EXPECT_EQ(split_line("a---b", format), (Strings{"a", "-b"}));
}

TEST_F(TransfoXLTokenizerTest, EmptyDelimiterMakesCharactersSymbols) {
  LineFormat format;
  format.delimiter = "";
  format.add_eos = true;
  EXPECT_EQ(split_line(" a \u6c34\n", format), (Strings{"a", " ", "\u6c34", "<eos>"}));
}

TEST_F(TransfoXLTokenizerTest, LowersWithTheFinalSigma) {
  TransfoXLTokenizerOptions options;
  options.lower_case = true;
  const TransfoXLTokenizer tokenizer(options);
  EXPECT_EQ(tokenizer.tokenize("ABC \u039f\u03a3", true),
            (Strings{"abc", "\u03bf\u03c2", "<eos>"}));
  EXPECT_EQ(tokenizer.tokenize("A", true, true), (Strings{"<S>", "a", "<S>"}));
  EXPECT_THROW(tokenizer.tokenize("\xff"), std::invalid_argument);
}

TEST_F(TransfoXLTokenizerTest, NumbersByFrequencyThenByAppearance) {
  TransfoXLTokenizerOptions options;
  options.special = {"<unk>", "<eos>"};
  options.min_freq = 2;
  TransfoXLTokenizer tokenizer(options);
  const auto file = write("c b a a\nb <unk> rare\n");
  tokenizer.count_file(file);
  tokenizer.count_file(write("c"));
  tokenizer.build_vocab();
  ASSERT_EQ(tokenizer.size(), 5);
  EXPECT_EQ(tokenizer.symbol(2), "c");
  EXPECT_EQ(tokenizer.symbol(3), "b");
  EXPECT_EQ(tokenizer.symbol(4), "a");
  EXPECT_EQ(tokenizer.encode_file(file), (Ids{2, 3, 4, 4, 1, 3, 0, 0, 1}));
  EXPECT_EQ(message_of<std::out_of_range>([&] { tokenizer.symbol(5); }),
            "`id` must be in the vocabulary of 5 symbols, but is 5.");
}

TEST_F(TransfoXLTokenizerTest, MaxSizeDoesNotCountSpecialSymbols) {
  TransfoXLTokenizerOptions options;
  options.special = {"<eos>"};
  options.max_size = 1;
  TransfoXLTokenizer tokenizer(options);
  const auto file = write("a a b");
  tokenizer.count_file(file);
  tokenizer.build_vocab();
  EXPECT_EQ(tokenizer.size(), 2);
  EXPECT_EQ(
      message_of<KeyError>([&] { tokenizer.id("b"); }),
      "`symbol` must be in the vocabulary of 2 symbols, which has no <unk>, but \"b\" is not.");
  EXPECT_EQ(message_of<FormatError>([&] { tokenizer.encode_file(file); }),
            "`path` must hold symbols of the vocabulary, which has no <unk>, but line 1 of " +
                file.string() + " holds \"b\".");
}

TEST_F(TransfoXLTokenizerTest, VocabularyFileIsTakenWhole) {
  TransfoXLTokenizerOptions options;
  options.vocab_file = write("<S> 12\n<UNK> 3\nthe\nthe\n<unk>");
  TransfoXLTokenizer tokenizer(options);
  tokenizer.build_vocab();
  EXPECT_EQ(tokenizer.encode_file(write("the cat"), true, true), (Ids{0, 2, 1, 0}));

  options.vocab_file = write("the\n\n");
  EXPECT_EQ(message_of<FormatError>([&] { TransfoXLTokenizer(options).build_vocab(); }),
            "`vocab_file` must hold one token a line, but line 2 of " +
                options.vocab_file->string() + " is blank.");
  options.vocab_file = write("the\n");
  EXPECT_EQ(message_of<FormatError>([&] { TransfoXLTokenizer(options).build_vocab(); }),
            "`vocab_file` must hold <unk> or <UNK>, but " + options.vocab_file->string() +
                " holds neither.");
}

TEST_F(TransfoXLTokenizerTest, MessagesNameFileAndLine) {
  const auto file = write("fine\nnot \xff\n");
  EXPECT_EQ(message_of<FormatError>([&] { TransfoXLTokenizer().count_file(file); }),
            "`path` must be UTF-8, but line 2 of " + file.string() +
                " has the byte 0xFF, its number 5.");
  EXPECT_EQ(message_of<FileError>([] { TransfoXLTokenizer().count_file("/no/such"); }),
            "`path` must be an existing file, but /no/such does not exist.");
  EXPECT_EQ(message_of<FileError>([] { TransfoXLTokenizer().count_file("/"); }),
            "`path` must be a file, but / is a directory.");
}

TEST(SymbolTableTest, NumbersManySymbolsInTheOrderOfAdding) {
  SymbolTable table;
  for (std::uint32_t round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < 100000; ++i)
      ASSERT_EQ(table.add(std::to_string(i)), i);
  }
  EXPECT_EQ(table.size(), 100000);
  EXPECT_EQ(table[54321], "54321");
  EXPECT_EQ(table.find("99999"), 99999);
  EXPECT_EQ(table.find("x"), std::nullopt);
  EXPECT_EQ(table.add(""), 100000);
  EXPECT_EQ(table.find(""), 100000);
}

} // namespace
} // namespace ptbert
