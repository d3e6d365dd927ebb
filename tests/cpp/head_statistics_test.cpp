#include "ptbert/analysis/head_statistics.h"

#include <cmath>
#include <limits>

#include "ptbert/models/bert_heads.h"
#include "support.h"

namespace ptbert {
namespace {

class HeadStatisticsTest : public SeededTest {};

TEST_F(HeadStatisticsTest, EntropyOfEvenAndOfSingleMindedHeads) {
  auto attentions = torch::zeros({1, 2, 3, 4});
  attentions.select(1, 0).fill_(0.25);
  attentions.select(1, 1).select(-1, 2).fill_(1);
  HeadStatistics statistics(1);
  statistics.add_attentions(0, attentions);
  expect_close(statistics.entropy(), torch::tensor({{std::log(4.0), 0.0}}));
}

TEST_F(HeadStatisticsTest, ImportanceIsTheMeanOfProductsOfTokens) {
  const auto outputs = torch::randn({2, 3, 5, 4}), gradients = torch::randn({2, 3, 5, 4});
  HeadStatistics statistics(1);
  statistics.add_outputs(0, outputs, gradients);
  const auto expected = torch::einsum("bhli,bhli->bhl", {outputs, gradients}).abs().mean({0, 2});
  expect_close(statistics.importance(false, false), expected.unsqueeze(0));
}

TEST_F(HeadStatisticsTest, NormalizesByLayerAndGlobally) {
  HeadStatistics statistics(2);
  const auto outputs = torch::tensor({3.0, 4.0}).view({1, 2, 1, 1});
  statistics.add_outputs(0, outputs, torch::ones_like(outputs));
  statistics.add_outputs(1, torch::tensor({5.0, 12.0}).view({1, 2, 1, 1}),
                         torch::ones_like(outputs));
  const auto by_layer = torch::tensor({{0.6, 0.8}, {5 / 13.0, 12 / 13.0}});
  expect_close(statistics.importance(true, false), by_layer);
  expect_close(statistics.importance(),
               (by_layer - by_layer.min()) / (by_layer.max() - by_layer.min()));
  HeadStatistics equal(1);
  equal.add_outputs(0, torch::ones({1, 2, 1, 1}), torch::ones({1, 2, 1, 1}));
  expect_close(equal.importance(), torch::zeros({1, 2}));
}

TEST_F(HeadStatisticsTest, PaddingDoesNotCount) {
  auto attentions = torch::softmax(torch::randn({2, 2, 3, 3}), -1);
  auto outputs = torch::randn({2, 2, 3, 4});
  const auto mask = torch::tensor({1, 1, 1, 1, 1, 0}).view({2, 3});
  HeadStatistics padded(1), exact(1);
  for (const auto row : {0, 1}) {
    const auto length = 3 - row;
    const auto attention = attentions.slice(0, row, row + 1).slice(2, 0, length);
    const auto output = outputs.slice(0, row, row + 1).slice(2, 0, length);
    exact.add_attentions(0, attention);
    exact.add_outputs(0, output, output);
  }
  attentions[1].select(1, 2).fill_(std::numeric_limits<float>::quiet_NaN());
  outputs[1].select(1, 2).fill_(std::numeric_limits<float>::infinity());
  padded.add_attentions(0, attentions, mask);
  padded.add_outputs(0, outputs, outputs, mask);
  expect_close(padded.entropy(), exact.entropy());
  expect_close(padded.importance(false, false), exact.importance(false, false));
}

/// The README's way through a native program.
TEST_F(HeadStatisticsTest, OneBatchEqualsItsExamplesOneByOne) {
  auto config = tiny_config();
  config.initializer_range = 0.3;
  BertForSequenceClassification model(
      config, 2, AttentionOptions{.output_attentions = true, .keep_multihead_output = true});
  model->eval();
  const auto ids = random_ids({4, 6});
  auto mask = torch::ones_like(ids);
  mask[1].slice(0, 3).fill_(0);
  const auto labels = torch::tensor({0, 1, 1, 0});
  const auto add = [&](HeadStatistics& statistics, const Tensor& ids, const Tensor& mask,
                       const Tensor& labels) {
    const auto output = model->forward(ids, {}, mask);
    torch::nn::functional::cross_entropy(
        output.logits, labels,
        torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum))
        .backward();
    const auto outputs = model->bert->get_multihead_outputs();
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
      statistics.add_attentions(layer, output.attentions[layer], mask);
      statistics.add_outputs(layer, outputs[layer], outputs[layer].grad(), mask);
    }
  };
  HeadStatistics together(2), alone(2);
  add(together, ids, mask, labels);
  for (int64_t i = 0; i < 4; ++i)
    add(alone, ids.slice(0, i, i + 1), mask.slice(0, i, i + 1), labels.slice(0, i, i + 1));
  expect_close(together.entropy(), alone.entropy());
  expect_close(together.importance(), alone.importance(), 1e-5);
}

TEST_F(HeadStatisticsTest, InputsThatDoNotFit) {
  HeadStatistics statistics(2);
  const auto message = [](auto run) { return message_of<c10::ValueError>(run); };
  EXPECT_EQ(message([&] { statistics.add_attentions(0, torch::ones({2, 3})); }),
            "`attentions` must be of shape [batch, heads, query, key], but are of shape [2, 3].");
  EXPECT_EQ(message([&] { statistics.add_outputs(0, torch::ones({2}), torch::ones({2})); }),
            "`outputs` must be of shape [batch, heads, seq, head_size], but are of shape [2].");
  EXPECT_EQ(message([&] {
              statistics.add_outputs(0, torch::ones({1, 2, 3, 4}), torch::ones({1, 2, 3, 5}));
            }),
            "`gradients` must be of the shape [1, 2, 3, 4] of `outputs`, but are of shape "
            "[1, 2, 3, 5].");
  EXPECT_EQ(
      message(
          [&] { statistics.add_attentions(0, torch::ones({1, 2, 3, 3}), torch::ones({1, 4})); }),
      "`attention_mask` must have 3 numbers for each of the 1 texts that the model reads, but "
      "is of shape [1, 4].");
  EXPECT_EQ(message([&] { statistics.entropy(); }),
            "Batches must hold at least one token, but hold none.");
  EXPECT_EQ(message([] { HeadStatistics(0); }), "`layers` must be at least 1, but is 0.");
  EXPECT_EQ(
      message_of<c10::IndexError>([&] { statistics.add_attentions(2, torch::ones({1, 2, 3, 3})); }),
      "`layer` must be in [0, 2), but is 2.");
  statistics.add_attentions(0, torch::ones({1, 2, 3, 3}));
  EXPECT_EQ(message([&] { statistics.add_attentions(0, torch::ones({1, 4, 3, 3})); }),
            "A layer must have the same number of heads in all batches, but has 4 after 2.");
  // What was refused does not count: three tokens, each of two keys alike.
  HeadStatistics one(1);
  one.add_attentions(0, torch::full({1, 2, 3, 2}, 0.5));
  EXPECT_THROW(one.add_attentions(0, torch::ones({1, 4, 3, 3})), c10::ValueError);
  expect_close(one.entropy(), torch::full({1, 2}, std::log(2.0), torch::kDouble));
  statistics.add_attentions(1, torch::ones({1, 4, 3, 3}));
  EXPECT_EQ(message([&] { statistics.entropy(); }),
            "All layers must have the same number of heads, but have [2, 4]; measure before heads "
            "are pruned, with a `head_mask`.");
}

} // namespace
} // namespace ptbert
