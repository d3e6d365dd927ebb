#include "ptbert/models/pruning.h"

#include <algorithm>

#include "gpt_support.h"
#include "ptbert/errors.h"
#include "ptbert/generation.h"
#include "ptbert/models/bert.h"

namespace ptbert {
namespace {

/// BERT under the names by which the families of GPT are tested.
struct BertFamily {
  using Config = BertConfig;
  using Trunk = BertModel;
  static Tensor last_states(Trunk& trunk, const Tensor& ids, const Tensor& head_mask = {}) {
    return trunk(ids, Tensor(), torch::ones_like(ids), false, head_mask).encoded_layers.back();
  }
  static Config config() {
    auto config = tiny_config();
    config.initializer_range = 0.3;
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0;
    return config;
  }
};
template <typename Family> auto config_of() { return tiny_gpt_config<typename Family::Config>(); }
template <> auto config_of<BertFamily>() { return BertFamily::config(); }

template <typename Family> class PruneHeadsTest : public SeededTest {
protected:
  using Trunk = typename Family::Trunk;
  static Trunk make() { return lively_gpt<Trunk>(config_of<Family>()); }
  Tensor ids = torch::randint(1, 61, {3, 7}, torch::kLong);
};
using Families = testing::Types<BertFamily, GPT2Family, OpenAIGPTFamily>;
TYPED_TEST_SUITE(PruneHeadsTest, Families);

TYPED_TEST(PruneHeadsTest, EqualsMaskingThem) {
  auto model = this->make();
  const auto mask = torch::tensor({{1.0, 0.0, 0.0, 1.0}, {0.0, 1.0, 1.0, 1.0}});
  const auto masked = TypeParam::last_states(model, this->ids, mask);
  EXPECT_FALSE(torch::allclose(masked, TypeParam::last_states(model, this->ids)));
  model->prune_heads({{0, {1, 2}}, {-1, {0}}});
  expect_close(TypeParam::last_states(model, this->ids), masked, 1e-5);
  const torch::NoGradGuard inference; // attention as one kernel
  expect_close(TypeParam::last_states(model, this->ids), masked, 1e-5);
}

TYPED_TEST(PruneHeadsTest, SecondCallCountsPresentHeads) {
  auto model = this->make();
  const auto mask = torch::tensor({{1.0, 0.0, 1.0, 0.0}, {1.0, 1.0, 1.0, 1.0}});
  const auto masked = TypeParam::last_states(model, this->ids, mask);
  model->prune_heads({{0, {1}}});
  model->prune_heads({{0, {2}}, {1, {}}}); // the fourth of the first heads
  expect_close(TypeParam::last_states(model, this->ids), masked, 1e-5);
  EXPECT_EQ(model->config.pruned_heads, (HeadsOfLayers{{0, {1, 3}}}));
}

TYPED_TEST(PruneHeadsTest, PrunedModelTrains) {
  auto model = this->make();
  model->prune_heads({{0, {1}}});
  model->train();
  std::vector<Tensor> before;
  for (const auto& parameter : model->parameters())
    before.push_back(parameter.detach().clone());
  torch::optim::SGD optimizer(model->parameters(), 0.1);
  TypeParam::last_states(model, this->ids).pow(3).sum().backward();
  optimizer.step();
  const auto after = model->named_parameters();
  for (size_t i = 0; i < after.size(); ++i) {
    if (after[i].value().grad().defined()) { // BERT's pooler gets none
      EXPECT_FALSE(torch::equal(after[i].value(), before[i])) << after[i].key();
    }
  }
  EXPECT_TRUE(std::any_of(after.begin(), after.end(), [](const auto& parameter) {
    return parameter.value().size(0) == 24 && parameter.value().grad().defined();
  }));
}

TYPED_TEST(PruneHeadsTest, ConfigurationMakesThePrunedModel) {
  auto model = this->make();
  model->prune_heads({{0, {3, 1}}, {1, {2}}});
  const auto json = model->config.to_json();
  const auto config = TypeParam::Config::from_json(json);
  EXPECT_EQ(config.pruned_heads, (HeadsOfLayers{{0, {1, 3}}, {1, {2}}}));
  typename TypeParam::Trunk loaded(config);
  loaded->eval();
  EXPECT_EQ(loaded->config.to_json(), json);
  const auto source = model->named_parameters();
  const torch::NoGradGuard no_grad;
  for (auto& parameter : loaded->named_parameters()) {
    ASSERT_EQ(parameter.value().sizes(), source[parameter.key()].sizes()) << parameter.key();
    parameter.value().copy_(source[parameter.key()]);
  }
  expect_equal(TypeParam::last_states(loaded, this->ids), TypeParam::last_states(model, this->ids));
  EXPECT_EQ(config_of<TypeParam>().to_json().find("pruned_heads"), std::string::npos);
}

TYPED_TEST(PruneHeadsTest, HeadsThatCannotBePruned) {
  auto model = this->make();
  const auto before = TypeParam::last_states(model, this->ids);
  const auto message = [&](const HeadsOfLayers& heads) {
    return message_of<c10::ValueError>([&] { model->prune_heads(heads); });
  };
  EXPECT_EQ(message({{2, {0}}}), "`heads_to_prune` must name layers in [-2, 2), but has 2.");
  EXPECT_EQ(message({{0, {0}}, {1, {4}}}),
            "`heads_to_prune[1]` must be in [0, 4), but 4 is among them.");
  EXPECT_EQ(message({{1, {0, 1}}, {-1, {2, 3}}}),
            "`heads_to_prune[1]` must leave at least one of 4 heads, but names all.");
  expect_equal(TypeParam::last_states(model, this->ids), before); // none was removed
  auto config = config_of<TypeParam>();
  config.pruned_heads = {{0, {7}}};
  EXPECT_EQ(message_of<c10::ValueError>([&] { typename TypeParam::Trunk wrong(config); }),
            "`pruned_heads[0]` must be in [0, 4), but 7 is among them.");
}

TYPED_TEST(PruneHeadsTest, WrongTypesInJson) {
  for (const auto* value : {"[1]", "{\"a\": [1]}", "{\"0\": 1}", "{\"-1\": [0]}"}) {
    const auto text = std::string("{\"pruned_heads\": ") + value + "}";
    const auto message = message_of<FormatError>([&] { (void)TypeParam::Config::from_json(text); });
    EXPECT_EQ(message.find("`pruned_heads` must be an object of lists of whole numbers, with "
                           "numbers of layers as keys, but is "),
              0U)
        << message;
  }
}

TYPED_TEST(PruneHeadsTest, KeptOutputsAreOfPresentHeads) {
  typename TypeParam::Trunk model(config_of<TypeParam>(),
                                  AttentionOptions{.keep_multihead_output = true});
  model->prune_heads({{1, {0}}});
  TypeParam::last_states(model, this->ids);
  const auto outputs = model->get_multihead_outputs();
  ASSERT_EQ(outputs.size(), 2);
  EXPECT_EQ(outputs[0].sizes(), (std::vector<int64_t>{3, 4, 7, 8}));
  EXPECT_EQ(outputs[1].sizes(), (std::vector<int64_t>{3, 3, 7, 8}));
}

class PruneHeadsOfWriterTest : public SeededTest {};

TEST_F(PruneHeadsOfWriterTest, PrunedModelWritesAsThePlainPathDoes) {
  auto model = lively_gpt<GPT2LMHeadModel>(tiny_gpt_config<GPT2Config>());
  model->transformer->prune_heads({{0, {1, 2}}});
  GenerationOptions options;
  options.max_new_tokens = 6;
  const auto write = [&] { return generate(model, {{5, 9, 3}}, options).front(); };
  const auto streamed = write();
  const PlainPaths plain;
  const auto expected = write();
  EXPECT_EQ(streamed.ids, expected.ids);
  for (size_t i = 0; i < expected.log_probs.size(); ++i)
    EXPECT_NEAR(streamed.log_probs[i], expected.log_probs[i], 1e-5);
}

} // namespace
} // namespace ptbert
