#include "ptbert/models/bert_config.h"

#include <cstdio>

#include "ptbert/errors.h"
#include "support.h"

namespace ptbert {
namespace {

TEST(BertConfigTest, MissingKeysKeepTheirDefaults) {
  const auto config = BertConfig::from_json(R"({"vocab_size": 99})");
  EXPECT_EQ(config.vocab_size, 99);
  EXPECT_EQ(config.hidden_size, 768);
  EXPECT_EQ(config.hidden_act, "gelu");
  EXPECT_EQ(config.layer_norm_eps, 1e-12);
}

TEST(BertConfigTest, IsTheSameAfterWritingAndReading) {
  auto config = tiny_config();
  config.hidden_act = "swish";
  config.hidden_dropout_prob = 0.25;
  config.attention_probs_dropout_prob = 0;
  config.max_position_embeddings = 64;
  config.type_vocab_size = 3;
  config.initializer_range = 0.1;
  config.layer_norm_eps = 1e-5;
  const auto read = BertConfig::from_json(config.to_json());
  EXPECT_EQ(read.to_json(), config.to_json());
  EXPECT_EQ(read.intermediate_size, 37);
  EXPECT_EQ(read.hidden_act, "swish");
  EXPECT_EQ(read.layer_norm_eps, 1e-5);
}

TEST(BertConfigTest, WritesSortedKeysAndAFinalNewline) {
  EXPECT_EQ(BertConfig().to_json(), R"({
  "attention_probs_dropout_prob": 0.1,
  "hidden_act": "gelu",
  "hidden_dropout_prob": 0.1,
  "hidden_size": 768,
  "initializer_range": 0.02,
  "intermediate_size": 3072,
  "layer_norm_eps": 1e-12,
  "max_position_embeddings": 512,
  "num_attention_heads": 12,
  "num_hidden_layers": 12,
  "type_vocab_size": 2,
  "vocab_size": 30522
}
)");
}

TEST(BertConfigTest, KeepsUnknownKeys) {
  const auto config = BertConfig::from_json(R"({"id2label": {"0": "no"}, "model_type": "bert"})");
  EXPECT_EQ(config.unknown_keys.at("id2label"), R"({"0":"no"})");
  EXPECT_EQ(config.unknown_keys.at("model_type"), R"("bert")");
  const auto written = nlohmann::json::parse(config.to_json());
  EXPECT_EQ(written["id2label"]["0"], "no");
}

TEST(BertConfigTest, NamesTheFieldOfTheWrongType) {
  EXPECT_EQ(message_of<FormatError>([] { BertConfig::from_json(R"({"hidden_size": "big"})"); }),
            "`hidden_size` must be a whole number, but is \"big\".");
  EXPECT_EQ(message_of<FormatError>([] { BertConfig::from_json(R"({"hidden_size": 32.5})"); }),
            "`hidden_size` must be a whole number, but is 32.5.");
  EXPECT_EQ(message_of<FormatError>(
                [] { BertConfig::from_json(R"({"hidden_size": 9223372036854775808})"); }),
            "`hidden_size` must be below 2^63, but is 9223372036854775808.");
  EXPECT_EQ(message_of<FormatError>([] { BertConfig::from_json(R"({"layer_norm_eps": []})"); }),
            "`layer_norm_eps` must be a number, but is [].");
  EXPECT_EQ(message_of<FormatError>([] { BertConfig::from_json(R"({"hidden_act": null})"); }),
            "`hidden_act` must be a string, but is null.");
}

TEST(BertConfigTest, NamesTheFieldOutOfRange) {
  const auto message = [](const char* json) {
    return message_of<c10::ValueError>([json] { BertConfig::from_json(json).check(); });
  };
  EXPECT_EQ(message("{}"), "nothing was thrown");
  EXPECT_EQ(message(R"({"hidden_size": 0})"), "`hidden_size` must be at least 1, but is 0.");
  EXPECT_EQ(message(R"({"hidden_dropout_prob": 1.5})"),
            "`hidden_dropout_prob` must be in [0, 1], but is 1.5.");
  EXPECT_EQ(message(R"({"initializer_range": 0})"), "nothing was thrown");
  EXPECT_EQ(message(R"({"initializer_range": -1})"),
            "`initializer_range` must be at least 0, but is -1.");
  EXPECT_EQ(message(R"({"layer_norm_eps": 0})"), "`layer_norm_eps` must be above 0, but is 0.");
}

TEST(BertConfigTest, RejectsWhatIsNoJsonObject) {
  EXPECT_EQ(message_of<FormatError>([] { BertConfig::from_json("[1]"); }),
            "The configuration must be a JSON object, but is a JSON array.");
  for (const auto* text : {"", "{", "vocab_size: 99"}) {
    EXPECT_EQ(message_of<FormatError>([text] {
                BertConfig::from_json(text);
              }).rfind("The configuration must be JSON, but is not: ", 0),
              0U);
  }
  // Deeper values are not read, as writing one recurses.
  const auto nested = [](int depth) {
    return R"({"x": )" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(BertConfig::from_json(nested(99)).unknown_keys.size(), 1U);
  EXPECT_EQ(message_of<FormatError>([&] { BertConfig::from_json(nested(100'000)); }),
            "The configuration must be a JSON object, but it is nested more than 100 deep.");
}

TEST(BertConfigTest, ReadsFiles) {
  const auto path = testing::TempDir() + "ptbert_config.json";
  std::ofstream(path) << tiny_config().to_json();
  EXPECT_EQ(BertConfig::from_json_file(path).hidden_size, 32);
  std::remove(path.c_str());
  EXPECT_EQ(message_of<FileError>([&path] { BertConfig::from_json_file(path); }),
            "`" + path +
                "` must be a file that can be read, but opening it fails: No such file or "
                "directory.");
}

} // namespace
} // namespace ptbert
