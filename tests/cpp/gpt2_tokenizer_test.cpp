#include "ptbert/text/gpt2_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/errors.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

using Strings = std::vector<std::string>;
using Views = std::vector<std::string_view>;

const std::filesystem::path kFolder =
    std::filesystem::path(__FILE__).parent_path() / "../data/gpt2";

GPT2Tokenizer load(const Strings& special_tokens = {}) {
  return GPT2Tokenizer(kFolder / "vocab.json", kFolder / "merges.txt", special_tokens, 1024);
}

TEST(Gpt2SplitTest, SplitsContractionsWordsNumbersAndWhiteSpace) {
  EXPECT_EQ(split_gpt2_words("it's we'LL 3x  é水! \n"),
            (Views{"it", "'s", " we", "'", "LL", " 3", "x", " ", " é水", "!", " \n"}));
  EXPECT_EQ(split_gpt2_words("a\n b\n\nc"), (Views{"a", "\n", " b", "\n", "\n", "c"}));
  EXPECT_EQ(split_gpt2_words("a\xE3\x80\x80\xE3\x80\x80z"),
            (Views{"a", "\xE3\x80\x80", "\xE3\x80\x80", "z"}));
  EXPECT_EQ(split_gpt2_words(""), Views());
}

TEST(Gpt2TokenizerTest, GivesTextBack) {
  const GPT2Tokenizer tokenizer = load();
  for (const std::string& text :
       Strings{"", "The harbour's boat.", " \n\t é水🌊", std::string("a\0b", 3)}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text), false, false), text);
    EXPECT_EQ(tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)), tokenizer.encode(text));
  }
  EXPECT_EQ(tokenizer.tokenize("the harbour"), (Strings{"the", "Ġ", "harbour"}));
  EXPECT_EQ(tokenizer.max_len(), 1024);
}

TEST(Gpt2TokenizerTest, SpecialTokensFollowTheVocabulary) {
  const GPT2Tokenizer tokenizer = load({"<a>", "<b>"});
  const auto size = static_cast<std::int64_t>(tokenizer.size());
  EXPECT_EQ(tokenizer.convert_tokens_to_ids({"<b>", "none"}), (BpeTokenizer::Ids{size - 1, 0}));
  EXPECT_EQ(tokenizer.convert_ids_to_tokens({size - 2}), Strings{"<a>"});
  EXPECT_EQ(tokenizer.convert_ids_to_tokens({size - 2}, true), Strings());
  EXPECT_THROW(tokenizer.decode({size}), KeyError);
}

TEST(Gpt2TokenizerTest, BatchesEqualSingleTexts) {
  const GPT2Tokenizer tokenizer = load();
  const Strings texts(100, "The boat is slow, and he'll wait.");
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  for (const auto& ids : tokenizer.encode_batch(views, 3)) {
    EXPECT_EQ(ids, tokenizer.encode(texts[0]));
  }
  EXPECT_THROW(tokenizer.encode_batch({"a", "\xFF"}, 2), std::invalid_argument);
}

TEST(Gpt2TokenizerTest, BrokenUtf8IsReplaced) {
  EXPECT_EQ(replace_invalid_utf8("a\xFF\xE6\xB0z\xF0\x9F\x8C\xED\xA0\x80"),
            "a\uFFFD\uFFFDz\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_THROW(load().encode("\xFF"), std::invalid_argument);
}

} // namespace
} // namespace ptbert
