#include "ptbert/files/transfo_xl_vocabulary.h"

#include <fstream>

#include "ptbert/errors.h"
#include "ptbert/files/pickled_attributes.h"
#include "support.h"

namespace ptbert {
namespace {

using namespace std::string_literals;
namespace fs = std::filesystem;

/// Files of Python are read in tests/python.
class TransfoXLVocabularyTest : public testing::Test {
protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const char* name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  std::string why_not_loaded() const {
    return message_of<FormatError>([this] { load_transfo_xl_tokenizer(folder_.string()); });
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / "ptbert_transfo_xl_vocabulary";
};

std::string text(const std::string& value) {
  return "\x8c"s + static_cast<char>(value.size()) + value;
}

/// The pickle of {"idx2sym": `symbols`, "lower_case": True}.
std::string pickled(const std::vector<std::string>& symbols) {
  auto program = "\x80\4}("s + text("idx2sym") + "](";
  for (const auto& symbol : symbols)
    program += text(symbol);
  return program + "e" + text("lower_case") + "\x88u.";
}

TEST_F(TransfoXLVocabularyTest, FilesAreTriedInOrder) {
  const auto id_of_sea = [this] {
    return load_transfo_xl_tokenizer(folder_.string()).encode("sea").front();
  };
  write("vocab.txt", "<unk>\nthe\nsea\n");
  EXPECT_EQ(id_of_sea(), 2);
  write("vocab.pkl", pickled({"<unk>", "sea"}));
  EXPECT_EQ(id_of_sea(), 1);
  write("vocab.bin", pickled({"sea", "<unk>"}));
  EXPECT_EQ(id_of_sea(), 0);
  const auto tokenizer = load_transfo_xl_tokenizer((folder_ / "vocab.pkl").string());
  EXPECT_EQ(tokenizer.encode("SEA ship"), (std::vector<int64_t>{1, 0}));
}

TEST_F(TransfoXLVocabularyTest, NamesWhatIsWrong) {
  const auto missing =
      message_of<FileError>([this] { load_transfo_xl_tokenizer(folder_.string()); });
  EXPECT_TRUE(missing.ends_with("must hold vocab.bin, vocab.pkl or vocab.txt, but does not."));
  write("vocab.bin", "\x80\4}.");
  EXPECT_TRUE(why_not_loaded().ends_with("must hold a list `idx2sym` of symbols, but does not."));
  write("vocab.bin", pickled({"a", "b", "a"}));
  EXPECT_EQ(why_not_loaded(),
            "A vocabulary must hold every symbol once, but holds \"a\" again as number 2.");
  write("vocab.bin", "");
  EXPECT_TRUE(why_not_loaded().ends_with("or pickle, but its pickle ends too early."));
}

TEST_F(TransfoXLVocabularyTest, ForeignObjectsAreLeftOut) {
  // {"object": module.name(), "number": -2, "ids": OrderedDict([("a", 7)])}
  write("vocab.pkl", "\x80\2}("s + text("object") + "cmodule\nname\n)R" + text("number") +
                         "J\xfe\xff\xff\xff" + text("ids") + "ccollections\nOrderedDict\n](" +
                         text("a") + "K\7\x86" + "e\x85Ru.");
  const auto [values, left_out] = read_pickled_attributes((folder_ / "vocab.pkl").string());
  EXPECT_EQ(left_out, std::vector<std::string>{"object"});
  EXPECT_EQ(values.at("number"), PickledAttribute(int64_t{-2}));
  EXPECT_EQ(values.at("ids"),
            (PickledAttribute(std::vector<std::pair<std::string, int64_t>>{{"a", 7}})));
}

} // namespace
} // namespace ptbert
