#include "ptbert/text/openai_gpt_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;

const std::filesystem::path kFolder =
    std::filesystem::path(__FILE__).parent_path() / "../data/openai-gpt";

TEST(OpenAIGPTTokenizerTest, TokenizesAndSaves) {
  const OpenAIGPTTokenizer tokenizer(kFolder / "vocab.json", kFolder / "merges.txt", {"[x]"});
  EXPECT_EQ(tokenizer.tokenize("The [x] É"), (Strings{"the</w>", "[", "x", "]</w>", "e</w>"}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("The sea , it is .")), "the sea, it is.");
  const auto folder = std::filesystem::path(testing::TempDir()) / "ptbert_openai_gpt";
  std::filesystem::create_directories(folder);
  tokenizer.save_vocabulary(folder);
  const OpenAIGPTTokenizer again(folder / "vocab.json", folder / "merges.txt", {"[x]"});
  EXPECT_EQ(again.encode("The [x] harbour"), tokenizer.encode("The [x] harbour"));
  EXPECT_EQ(again.size(), tokenizer.size());
  std::filesystem::remove_all(folder);
}

TEST(OpenAIGPTTokenizerTest, OffsetsOfMarksThatChangePlacesAreInOrder) {
  const Bpe::Merge merge{"\U0001D165", "\U0001D16D</w>", 0};
  const OpenAIGPTTokenizer tokenizer(Bpe({}, {merge}));
  const std::vector<Offset> offsets = tokenizer.offsets("a \U0001D16D\U0001D165");
  ASSERT_EQ(offsets.size(), 2);
  EXPECT_EQ(offsets[1].begin, 2);
  EXPECT_EQ(offsets[1].end, 4);
}

TEST(OpenAIGPTTokenizerTest, StandardizesText) {
  EXPECT_EQ(standardize_text("a — b… \n\n c!!(´)"), "a - b... \n c !! ( ' )");
}

} // namespace
} // namespace ptbert
