#include "ptbert/models/embedding.h"

#include <limits>

#include "support.h"

namespace ptbert {
namespace {

class EmbeddingTest : public SeededTest {};

TEST_F(EmbeddingTest, PaddingDoesNotCount) {
  const auto inf = std::numeric_limits<float>::infinity();
  const auto states = torch::tensor({1.0F, 8.0F, 3.0F, 2.0F, inf, inf}).view({1, 3, 2});
  const auto mask = torch::tensor({1, 1, 0}).view({1, 3});
  const auto finite = torch::where(states.isinf(), 100.0, states);
  EXPECT_TRUE(torch::equal(pool_tokens(states, mask, Pooling::kFirst),
                           torch::tensor({1.0F, 8.0F}).view({1, 2})));
  expect_close(pool_tokens(finite, mask, Pooling::kMean), torch::tensor({{2.0F, 5.0F}}), 1e-6);
  expect_close(pool_tokens(states, mask, Pooling::kMax), torch::tensor({{3.0F, 8.0F}}), 0);
}

TEST_F(EmbeddingTest, UnitLengthKeepsZeros) {
  const auto vectors = torch::tensor({{3.0F, 4.0F}, {0.0F, 0.0F}});
  expect_close(to_unit_length(vectors), torch::tensor({{0.6F, 0.8F}, {0.0F, 0.0F}}), 1e-6);
}

TEST_F(EmbeddingTest, TextsAreEmbeddedAsAlone) {
  BertConfig config;
  config.vocab_size = 30;
  config.hidden_size = 16;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.intermediate_size = 32;
  config.max_position_embeddings = 16;
  BertModel model(config);
  model->eval();
  const std::vector<std::vector<int64_t>> texts{{2, 5, 3}, {2, 9, 8, 7, 6, 3}, {2, 3}};
  const auto together = embed(model, texts, {.batch_size = 2});
  for (size_t i = 0; i < texts.size(); ++i)
    expect_close(together[static_cast<int64_t>(i)], embed(model, {texts[i]})[0], 1e-5);
  expect_close(together.norm(2, -1), torch::ones({3}), 1e-5);
  EXPECT_FALSE(model->skip_padding);
}

TEST_F(EmbeddingTest, NamesWhatDoesNotFit) {
  const auto states = torch::zeros({2, 3, 4});
  EXPECT_EQ(message_of<c10::ValueError>(
                [&] { pool_tokens(states, torch::ones({2, 2}), Pooling::kMean); }),
            "`attention_mask` must be [2, 3], but is [2, 2].");
  EXPECT_EQ(message_of<c10::ValueError>(
                [&] { pool_tokens(states, torch::zeros({2, 3}), Pooling::kMean); }),
            "`attention_mask` must be 1 at the first token of each text, but is 0.");
}

} // namespace
} // namespace ptbert
