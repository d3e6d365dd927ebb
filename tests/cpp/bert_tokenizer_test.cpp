#include "ptbert/text/bert_tokenizer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptbert/errors.h"

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;
using Ids = std::vector<std::int64_t>;

const std::filesystem::path kVocabulary =
    std::filesystem::path(__FILE__).parent_path() / "../data/vocab.txt";

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

/// Returns the message of the exception that `run` throws.
template <typename Error, typename Run> std::string message_of(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

class BertTokenizerTest : public testing::Test {
protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / (std::string("ptbert_") + test->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& content) const {
    std::ofstream(folder_ / "vocab.txt", std::ios::binary) << content;
    return folder_ / "vocab.txt";
  }

  std::filesystem::path folder_;
};

TEST_F(BertTokenizerTest, GivesLiteralIds) {
  const BertTokenizer tokenizer(kVocabulary);
  const Strings tokens = tokenizer.tokenize("[CLS] The boats sailed quietly. [SEP]");
  EXPECT_EQ(tokens, (Strings{"[CLS]", "the", "boats", "sailed", "quiet", "##ly", ".", "[SEP]"}));
  const Ids ids = tokenizer.convert_tokens_to_ids(tokens);
  EXPECT_EQ(ids, (Ids{2, 65, 80, 87, 84, 59, 15, 3}));
  EXPECT_EQ(tokenizer.convert_ids_to_tokens(ids), tokens);
}

TEST_F(BertTokenizerTest, KeepsCaseWhenAsked) {
  const BertTokenizer tokenizer(kVocabulary, false, 512);
  EXPECT_EQ(tokenizer.tokenize("The Sea é"), (Strings{"The", "Sea", "é"}));
  EXPECT_EQ(tokenizer.max_len(), 512);
  EXPECT_EQ(BertTokenizer(kVocabulary).max_len(), std::nullopt);
}

TEST_F(BertTokenizerTest, SkipsBasicTokenizationWhenAsked) {
  const BertTokenizer tokenizer(kVocabulary, true, std::nullopt, false);
  EXPECT_EQ(tokenizer.tokenize("The boat. sea"), (Strings{"The", "[UNK]", "sea"}));
}

TEST_F(BertTokenizerTest, SavesToDirectoryOrFile) {
  const BertTokenizer tokenizer(kVocabulary);
  EXPECT_EQ(tokenizer.save_vocabulary(folder_), folder_ / "vocab.txt");
  EXPECT_EQ(read(folder_ / "vocab.txt"), read(kVocabulary));
  EXPECT_EQ(tokenizer.save_vocabulary(folder_ / "words"), folder_ / "words");
  EXPECT_EQ(read(folder_ / "words"), read(kVocabulary));
}

TEST_F(BertTokenizerTest, UnknownTokenOrIdThrows) {
  const BertTokenizer tokenizer(kVocabulary);
  EXPECT_EQ(message_of<KeyError>([&] { tokenizer.convert_tokens_to_ids({"ocean"}); }),
            "`tokens` must be in the vocabulary of 140 tokens, but \"ocean\" is not.");
  EXPECT_EQ(message_of<std::out_of_range>([&] { tokenizer.convert_ids_to_tokens({140}); }),
            "`ids` must be in the vocabulary of 140 tokens, but 140 is not.");
}

TEST_F(BertTokenizerTest, VocabularyStripsLinesAndKeepsTheLastOfEqualTokens) {
  const Vocabulary vocab = Vocabulary::load(write("a\r\n \tb\u00A0\u3000\rc\n\na"));
  Strings tokens;
  Ids ids;
  for (const Vocabulary::Entry& entry : vocab.entries()) {
    tokens.push_back(entry.token);
    ids.push_back(entry.id);
  }
  EXPECT_EQ(tokens, (Strings{"a", "b", "c", ""}));
  EXPECT_EQ(ids, (Ids{4, 1, 2, 3}));
  EXPECT_EQ(vocab.id("a"), 4);
  EXPECT_EQ(vocab.token(4), "a");
  EXPECT_EQ(Vocabulary::load(write("\uFEFFa\n\uFEFF")).token(0), "a");
  EXPECT_EQ(Vocabulary::load(write("\uFEFFa\n\uFEFF")).token(1), "\uFEFF");
  EXPECT_THROW(vocab.token(0), std::out_of_range);
  EXPECT_FALSE(vocab.is_consecutive());
  EXPECT_TRUE(Vocabulary::load(kVocabulary).is_consecutive());
}

TEST_F(BertTokenizerTest, MissingOrBrokenVocabularyThrows) {
  const std::string folder = folder_.string();
  EXPECT_EQ(message_of<FileError>([&] { BertTokenizer(folder_ / "absent"); }),
            "`vocab_file` must be an existing file, but " + folder + "/absent does not exist.");
  EXPECT_EQ(message_of<FileError>([&] { BertTokenizer tokenizer(folder_); }),
            "`vocab_file` must be a file, but " + folder + " is a directory.");
  EXPECT_EQ(message_of<FormatError>([&] { BertTokenizer(write("")); }),
            "`vocab_file` must hold one token a line, but " + folder + "/vocab.txt is empty.");
  EXPECT_EQ(message_of<FormatError>([&] { BertTokenizer(write("a\n\xFF\n")); }),
            "`vocab_file` must be UTF-8, but byte 2 of " + folder + "/vocab.txt is not.");
}

TEST_F(BertTokenizerTest, SavingWithoutDirectoryThrows) {
  const BertTokenizer tokenizer(kVocabulary);
  EXPECT_EQ(
      message_of<FileError>([&] { tokenizer.save_vocabulary(folder_ / "absent" / "vocab.txt"); }),
      "`vocab_path` must be a writable file or an existing directory, but " + folder_.string() +
          "/absent/vocab.txt cannot be written.");
}

} // namespace
} // namespace ptbert
