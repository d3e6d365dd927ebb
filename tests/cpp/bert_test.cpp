#include "ptbert/models/bert.h"

#include "support.h"

namespace ptbert {
namespace {

class BertEmbeddingsTest : public SeededTest {};
class BertSelfAttentionTest : public SeededTest {};
class BertEncoderTest : public SeededTest {};
class BertModelTest : public SeededTest {};

/// A model whose hidden states are of order one, so that differences show.
BertModel lively_model() {
  auto config = tiny_config();
  config.initializer_range = 0.3;
  BertModel model(config);
  model->eval();
  return model;
}

TEST_F(BertEmbeddingsTest, TokenTypesAreZeroByDefault) {
  BertEmbeddings embeddings(tiny_config());
  embeddings->eval();
  const auto ids = random_ids({2, 5});
  expect_equal(embeddings->forward(ids), embeddings->forward(ids, torch::zeros_like(ids)));
  EXPECT_FALSE(torch::equal(embeddings->forward(ids), //
                            embeddings->forward(ids, torch::ones_like(ids))));
}

TEST_F(BertSelfAttentionTest, IsSoftmaxOfScaledProducts) {
  auto config = tiny_config();
  config.num_attention_heads = 1;
  BertSelfAttention attention(config);
  attention->eval();
  const auto x = torch::randn({2, 5, 32});
  const auto mask = torch::randn({2, 1, 1, 5});
  const auto scores = torch::matmul(attention->query(x), attention->key(x).transpose(1, 2));
  const auto probs = torch::softmax(scores / std::sqrt(32.0) + mask.squeeze(1), -1);
  expect_close(attention->forward(x, mask).hidden_states,
               torch::matmul(probs, attention->value(x)));
}

TEST_F(BertSelfAttentionTest, MasksPaddedPositions) {
  BertSelfAttention attention(tiny_config());
  attention->eval();
  const auto mask = torch::tensor({0.0, 0.0, -10000.0}).view({1, 1, 1, 3});
  const auto x = torch::randn({1, 3, 32});
  auto changed = x.clone();
  changed.select(1, 2).fill_(9);
  const auto first_two = [&attention](const Tensor& hidden_states, const Tensor& mask) {
    return attention->forward(hidden_states, mask).hidden_states.narrow(1, 0, 2);
  };
  expect_close(first_two(x, mask), first_two(changed, mask));
  EXPECT_FALSE(torch::allclose(first_two(x, {}), first_two(changed, {})));
}

TEST_F(BertSelfAttentionTest, HeadsMustDivideTheHiddenSize) {
  auto config = tiny_config();
  config.num_attention_heads = 5;
  EXPECT_EQ(message_of<c10::ValueError>([&config] { BertSelfAttention attention(config); }),
            "`hidden_size` (32) must be a multiple of `num_attention_heads` (5).");
}

TEST_F(BertEncoderTest, LayersStartEqual) {
  BertEncoder encoder(tiny_config());
  const auto first = encoder->layer->items[0]->parameters();
  const auto second = encoder->layer->items[1]->parameters();
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    expect_equal(first[i].detach(), second[i].detach());
    EXPECT_FALSE(first[i].is_alias_of(second[i]));
    EXPECT_TRUE(second[i].is_leaf() && second[i].requires_grad());
  }
}

TEST_F(BertEncoderTest, ReturnsAllLayersOrTheLast) {
  BertEncoder encoder(tiny_config());
  encoder->eval();
  const auto x = torch::randn({2, 5, 32});
  const auto all = encoder->forward(x).encoded_layers;
  ASSERT_EQ(all.size(), 2U);
  const auto last = encoder->forward(x, {}, false).encoded_layers;
  ASSERT_EQ(last.size(), 1U);
  expect_equal(last[0].detach(), all[1].detach());
}

TEST_F(BertEncoderTest, ResizesItsList) {
  BertEncoder encoder(tiny_config());
  encoder->layer->resize(1);
  EXPECT_EQ(encoder->layer->children().size(), 1U);
  EXPECT_EQ(encoder->forward(torch::randn({2, 5, 32})).encoded_layers.size(), 1U);
  encoder->layer->resize(4);
  EXPECT_EQ(encoder->layer->children().size(), 4U);
  EXPECT_EQ(encoder->forward(torch::randn({2, 5, 32})).encoded_layers.size(), 4U);
  EXPECT_EQ(encoder->named_parameters().size(), 4U * 16U);
  EXPECT_TRUE(encoder->named_parameters().contains("layer.3.output.dense.weight"));
}

TEST_F(BertModelTest, GivesEveryLayerAndThePooledOutput) {
  auto model = lively_model();
  const auto output = model->forward(random_ids({2, 5}));
  ASSERT_EQ(output.encoded_layers.size(), 2U);
  EXPECT_EQ(output.encoded_layers[1].sizes(), (std::vector<int64_t>{2, 5, 32}));
  EXPECT_EQ(output.pooled_output.sizes(), (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(model->forward(random_ids({2, 5}), {}, {}, false).encoded_layers.size(), 1U);
}

TEST_F(BertModelTest, PaddingDoesNotChangeTheTokens) {
  auto model = lively_model();
  const auto ids = random_ids({1, 4});
  const auto padded = torch::constant_pad_nd(ids, {0, 3});
  const auto mask = padded.ne(0);
  const auto alone = model->forward(ids);
  const auto beside = model->forward(padded, {}, mask);
  expect_close(beside.encoded_layers[1].narrow(1, 0, 4), alone.encoded_layers[1], 1e-5);
  expect_close(beside.pooled_output, alone.pooled_output, 1e-5);
  const auto unmasked = model->forward(padded);
  EXPECT_FALSE(torch::allclose(unmasked.pooled_output, alone.pooled_output, 1e-3, 1e-3));
}

TEST_F(BertModelTest, TakesIdsAndMasksOfSeveralDtypes) {
  auto model = lively_model();
  const auto ids = random_ids({2, 5});
  const auto mask = torch::tensor({1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, torch::kLong).view({2, 5});
  const auto expected = model->forward(ids, {}, mask).pooled_output;
  for (const auto dtype : {torch::kBool, torch::kInt, torch::kFloat, torch::kHalf}) {
    expect_equal(model->forward(ids.to(torch::kInt), {}, mask.to(dtype)).pooled_output.detach(),
                 expected.detach());
  }
}

TEST_F(BertModelTest, DropsOutInTrainingOnly) {
  BertModel model(tiny_config());
  const auto ids = random_ids({2, 5});
  EXPECT_FALSE(torch::equal(model->forward(ids).pooled_output, model->forward(ids).pooled_output));
  model->eval();
  expect_equal(model->forward(ids).pooled_output.detach(),
               model->forward(ids).pooled_output.detach());
}

TEST_F(BertModelTest, PooledOutputWithoutPaddingIsThatWithIt) {
  auto model = lively_model();
  const auto ids = random_ids({4, 7});
  const auto types = torch::randint(2, {4, 7}, torch::kLong);
  auto lengths = torch::tensor({3, 7, 1, 3}).unsqueeze(1);
  for (const auto& mask : {torch::arange(7).lt(lengths).to(torch::kLong), Tensor()}) {
    const auto fast = model->forward_pooled(ids, types, mask).pooled_output;
    fast.square().sum().backward();
    std::vector<Tensor> gradients;
    for (const auto& parameter : model->parameters())
      gradients.push_back(parameter.grad().clone());
    model->zero_grad();

    const PlainPaths plain_paths;
    const auto plain = model->forward_pooled(ids, types, mask).pooled_output;
    expect_equal(plain, model->forward(ids, types, mask).pooled_output);
    expect_close(fast, plain);
    plain.square().sum().backward();
    for (size_t i = 0; i < gradients.size(); ++i)
      expect_close(gradients[i], model->parameters()[i].grad(), 1e-5);
    model->zero_grad();
  }
}

TEST_F(BertModelTest, PooledOutputHonoursOverrides) {
  auto model = lively_model();
  const auto ids = random_ids({2, 5});
  auto& layer = model->encoder->layer->items.back();
  layer->attention->output->dense->set_override([](const Tensor& x) { return 0 * x; });
  const auto expected = model->forward(ids).pooled_output;
  expect_equal(model->forward_pooled(ids).pooled_output, expected);
  layer->attention->output->dense->clear_override();
  EXPECT_FALSE(torch::allclose(model->forward_pooled(ids).pooled_output, expected));
}

TEST_F(BertModelTest, HeadMaskRemovesWhatAHeadGives) {
  auto config = tiny_config();
  config.initializer_range = 0.3;
  BertModel model(config,
                  AttentionOptions{.output_attentions = true, .keep_multihead_output = true});
  model->eval();
  const auto ids = random_ids({2, 5});
  const auto mask = torch::tensor({0.0, 1.0, 1.0, 0.5});
  const auto masked = model->forward(ids, {}, {}, true, mask);
  ASSERT_EQ(masked.attentions.size(), 2U);
  const auto weights = masked.attentions.front(); // [batch, heads, query, key]
  expect_close(weights.sum(-1), mask.view({1, 4, 1}).expand({2, 4, 5}));

  const auto& self_attention = model->encoder->layer->items.front()->attention->self_attention;
  const auto heads = self_attention->multihead_output; // [batch, heads, seq, head_size]
  expect_close(heads.select(1, 0), torch::zeros({2, 5, 8}));
  masked.pooled_output.sum().backward();
  EXPECT_GT(heads.grad().abs().sum().item<double>(), 0);

  const auto rows = mask.expand({2, 4});
  expect_equal(model->forward(ids, {}, {}, true, rows).pooled_output, masked.pooled_output);
  expect_equal(model->forward_pooled(ids, {}, {}, mask).pooled_output, masked.pooled_output);
  EXPECT_EQ(model->forward_pooled(ids, {}, {}, mask).attentions.size(), 2U);
}

TEST_F(BertModelTest, AttentionIsNotGivenUnlessAskedFor) {
  auto model = lively_model();
  EXPECT_TRUE(model->forward(random_ids({2, 5})).attentions.empty());
  const auto& layer = model->encoder->layer->items.front();
  EXPECT_FALSE(layer->attention->self_attention->multihead_output.defined());
}

TEST_F(BertModelTest, HeadMaskOfAnotherShapeIsAnError) {
  auto model = lively_model();
  const auto message = [&model](const Tensor& head_mask) {
    return message_of<c10::ValueError>(
        [&] { model->forward(random_ids({2, 5}), {}, {}, true, head_mask); });
  };
  EXPECT_EQ(message(torch::ones({2, 4, 1})),
            "`head_mask` must be of shape [heads] or [layers, heads], but is of shape [2, 4, 1].");
  EXPECT_EQ(message(torch::ones({3, 4})),
            "`head_mask` must have a row for each of 2 layers, but has 3.");
  EXPECT_EQ(message(torch::ones({3})),
            "`head_mask` must be for the 4 heads that the layer has, but is for 3.");
}

TEST_F(BertModelTest, EqualSeedsGiveEqualModels) {
  torch::manual_seed(1);
  BertModel model(tiny_config());
  torch::manual_seed(1);
  BertModel same(tiny_config());
  BertModel other(tiny_config());
  const auto parameters = model->parameters();
  for (size_t i = 0; i < parameters.size(); ++i)
    expect_equal(parameters[i].detach(), same->parameters()[i].detach());
  EXPECT_FALSE(torch::equal(parameters[0], other->parameters()[0]));
}

TEST_F(BertModelTest, StartsAsItsConfigurationSays) {
  auto config = tiny_config();
  config.initializer_range = 0.5;
  BertModel model(config);
  for (const auto& parameter : model->named_parameters()) {
    const auto& name = parameter.key();
    const auto& value = parameter.value();
    if (name.find("LayerNorm.weight") != std::string::npos) {
      expect_close(value, torch::ones_like(value));
    } else if (name.find("bias") != std::string::npos) {
      expect_close(value, torch::zeros_like(value));
    } else if (value.numel() > 500) {
      EXPECT_NEAR(value.std().item<double>(), 0.5, 0.05) << name;
    }
  }
}

TEST_F(BertModelTest, AllocatesNothingOnMeta) {
  const DefaultDevice meta(torch::kMeta);
  BertConfig config; // BERT-base
  const auto before = torch::randint(1 << 30, {1}).item<int64_t>();
  torch::manual_seed(0);
  BertModel model(config);
  EXPECT_EQ(torch::randint(1 << 30, {1}).item<int64_t>(), before); // no random number was drawn
  for (const auto& parameter : model->parameters())
    EXPECT_TRUE(parameter.is_meta());
}

TEST_F(BertModelTest, RunsInEveryFloatingDtype) {
  auto model = lively_model();
  const auto ids = random_ids({2, 5});
  const auto mask = torch::tensor({1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, torch::kLong).view({2, 5});
  const auto expected = model->forward(ids, {}, mask).pooled_output;
  for (const auto& [dtype, tolerance] :
       {std::pair{torch::kDouble, 1e-5}, {torch::kHalf, 2e-2}, {torch::kBFloat16, 0.15}}) {
    model->to(dtype);
    const auto pooled = model->forward(ids, {}, mask).pooled_output;
    EXPECT_EQ(pooled.scalar_type(), dtype);
    expect_close(pooled, expected, tolerance);
    pooled.sum().backward();
    model->zero_grad();
    model->to(torch::kFloat);
  }
}

TEST_F(BertModelTest, RunsOnTheGpu) {
  if (!torch::cuda::is_available())
    GTEST_SKIP() << "no CUDA device";
  auto model = lively_model();
  const auto ids = random_ids({2, 5});
  const auto expected = model->forward(ids).pooled_output;
  model->to(torch::kCUDA);
  const auto pooled = model->forward(ids.cuda()).pooled_output;
  EXPECT_TRUE(pooled.is_cuda());
  expect_close(pooled, expected, 1e-3);
  pooled.sum().backward();
  EXPECT_TRUE(model->embeddings->word_embeddings->weight.grad().is_cuda());
}

TEST_F(BertModelTest, NamesTheArgumentThatBreaksItsRule) {
  BertModel model(tiny_config());
  const auto ids = random_ids({2, 5});
  const auto run = [&](const Tensor& input_ids, const Tensor& types = {}, const Tensor& mask = {}) {
    return [=] { BertModel(model)->forward(input_ids, types, mask); };
  };
  EXPECT_EQ(message_of<c10::TypeError>(run(ids.to(torch::kFloat))),
            "`input_ids` must be of dtype int64 or int32, but is float32.");
  EXPECT_EQ(message_of<c10::ValueError>(run(ids[0])),
            "`input_ids` must be of shape [batch, seq], but is of shape [5].");
  EXPECT_EQ(message_of<c10::ValueError>(run(random_ids({0, 5}))),
            "`input_ids` must hold at least one token, but is of shape [0, 5].");
  EXPECT_EQ(message_of<c10::IndexError>(run(ids.clone().fill_(99))),
            "`input_ids` must be in [0, 99), but holds 99.");
  EXPECT_EQ(message_of<c10::IndexError>(run(ids.clone().fill_(-1))),
            "`input_ids` must be in [0, 99), but holds -1.");
  EXPECT_EQ(message_of<c10::IndexError>(run(random_ids({1, 513}))),
            "`input_ids` must hold at most 512 tokens a row (`max_position_embeddings`), but holds "
            "513.");
  EXPECT_EQ(message_of<c10::TypeError>(run(ids, ids.to(torch::kFloat))),
            "`token_type_ids` must be of dtype int64 or int32, but is float32.");
  EXPECT_EQ(message_of<c10::ValueError>(run(ids, ids[0])),
            "`token_type_ids` must be of the shape of `input_ids`, [2, 5], but is of shape [5].");
  EXPECT_EQ(message_of<c10::IndexError>(run(ids, torch::full_like(ids, 2))),
            "`token_type_ids` must be in [0, 2), but holds 2.");
  EXPECT_EQ(message_of<c10::ValueError>(run(ids, {}, ids.t())),
            "`attention_mask` must be of the shape of `input_ids`, [2, 5], but is of shape "
            "[5, 2].");
  EXPECT_EQ(message_of<c10::TypeError>(run(ids, {}, ids.to(torch::kComplexFloat))),
            "`attention_mask` must be of a real dtype, but is complex64.");
}

TEST_F(BertModelTest, NamesTheFieldThatBreaksItsRule) {
  const auto message = [](auto change) {
    auto config = tiny_config();
    change(config);
    return message_of<c10::ValueError>([&config] { BertModel model(config); });
  };
  EXPECT_EQ(message([](BertConfig& config) { config.num_hidden_layers = 0; }),
            "`num_hidden_layers` must be at least 1, but is 0.");
  EXPECT_EQ(message([](BertConfig& config) { config.vocab_size = -3; }),
            "`vocab_size` must be at least 1, but is -3.");
  EXPECT_EQ(message([](BertConfig& config) { config.hidden_dropout_prob = 1.5; }),
            "`hidden_dropout_prob` must be in [0, 1], but is 1.5.");
}

} // namespace
} // namespace ptbert
