#include "gpt_support.h"

namespace ptbert {
namespace {

/// Tests of both families. Values are compared with the original in tests/python.
template <typename Family> class GPTTest : public SeededTest {};
using Families = testing::Types<GPT2Family, OpenAIGPTFamily>;
TYPED_TEST_SUITE(GPTTest, Families);

class GPT2Test : public SeededTest {};
class OpenAIGPTTest : public SeededTest {};

template <typename Family> auto make_model() {
  return lively_gpt<typename Family::Model>(tiny_gpt_config<typename Family::Config>());
}

TYPED_TEST(GPTTest, TokensSeeNothingBehindThem) {
  auto model = make_model<TypeParam>();
  const auto ids = gpt_ids({2, 7});
  auto changed = ids.clone();
  changed.select(1, 6).fill_(3);
  const auto first_six = [&](const Tensor& x) {
    return TypeParam::logits(model, x).narrow(1, 0, 6);
  };
  expect_close(first_six(ids), first_six(changed), 1e-5);
}

TYPED_TEST(GPTTest, LeadingDimensionsAreRows) {
  auto model = make_model<TypeParam>();
  const auto ids = gpt_ids({2, 3, 5});
  expect_close(TypeParam::logits(model, ids).flatten(0, 1),
               TypeParam::logits(model, ids.flatten(0, 1)), 1e-5);
  expect_close(TypeParam::logits(model, ids[0][0]), TypeParam::logits(model, ids)[0][0], 1e-5);
}

TYPED_TEST(GPTTest, LossAtLabelledPositionsEqualsThatOfAll) {
  auto model = make_model<TypeParam>();
  const auto ids = gpt_ids({3, 8});
  auto labels = ids.clone();
  labels.narrow(1, 5, 3).fill_(-1); // padding at the end of rows
  labels[1].narrow(0, 2, 6).fill_(-1);
  const auto gradients = [&] {
    model->zero_grad();
    const auto loss = TypeParam::loss(model, ids, labels);
    loss.backward();
    std::vector<Tensor> found = {loss.detach()};
    for (const auto& parameter : model->parameters()) {
      const auto& gradient = parameter.grad();
      found.push_back(gradient.defined() ? gradient.clone() : torch::zeros_like(parameter));
    }
    return found;
  };
  const auto fast = gradients();
  const PlainPaths plain;
  const auto slow = gradients();
  for (size_t i = 0; i < fast.size(); ++i)
    expect_close(fast[i], slow[i], 1e-5);
}

TYPED_TEST(GPTTest, HeadMaskRemovesHeads) {
  auto trunk = lively_gpt<typename TypeParam::Trunk>(tiny_gpt_config<typename TypeParam::Config>());
  const auto ids = gpt_ids({1, 6});
  const auto all = TypeParam::last_states(trunk, ids);
  expect_close(TypeParam::last_states(trunk, ids, torch::ones({4})), all, 1e-5);
  EXPECT_FALSE(torch::allclose(
      TypeParam::last_states(trunk, ids, torch::tensor({1.0, 0.0, 1.0, 1.0})), all));
}

TYPED_TEST(GPTTest, SpecialTokensAreAddedBehindTheVocabulary) {
  auto model = make_model<TypeParam>();
  const auto before = model->lm_head->decoder->weight.clone();
  model->set_num_special_tokens(2);
  const auto weight = model->lm_head->decoder->weight;
  EXPECT_EQ(weight.size(0), 63);
  expect_equal(weight.narrow(0, 0, 61), before);
  EXPECT_EQ(TypeParam::logits(model, torch::tensor({{62, 1}})).size(-1), 63);
  model->set_num_special_tokens(2, /*predict_special_tokens=*/false);
  EXPECT_EQ(TypeParam::logits(model, torch::tensor({{62, 1}})).size(-1), 61);
  EXPECT_EQ(message_of<c10::ValueError>([&] { model->set_num_special_tokens(-1); }),
            "`num_special_tokens` must be at least 0, but is -1.");
}

TYPED_TEST(GPTTest, ConfigurationIsReadAndWritten) {
  using Config = typename TypeParam::Config;
  const auto config = Config::from_json(R"({"n_positions": 32, "n_embd": 8, "new": [1]})");
  EXPECT_EQ(config.n_ctx, 32);
  EXPECT_EQ(Config::from_json(config.to_json()).to_json(), config.to_json());
  EXPECT_EQ(config.unknown_keys.at("new"), "[1]");
  auto untied = tiny_gpt_config<Config>();
  untied.unknown_keys["tie_word_embeddings"] = "false";
  EXPECT_EQ(message_of<c10::ValueError>([&] { typename TypeParam::Model model(untied); }),
            "`tie_word_embeddings` must be true, which is what this library computes, but is "
            "false.");
}

TYPED_TEST(GPTTest, DoubleHeadsReturnTheLossesOfTheirLabels) {
  auto model =
      lively_gpt<typename TypeParam::DoubleHeads>(tiny_gpt_config<typename TypeParam::Config>());
  const auto ids = gpt_ids({2, 3, 5});
  const auto last = torch::full({2, 3}, 4, torch::kLong);
  const auto scores = model->forward(ids, last);
  EXPECT_EQ(scores.lm_logits.sizes(), (std::vector<int64_t>{2, 3, 5, 61}));
  const auto labels = torch::tensor({2, 0});
  const auto losses = model->forward(ids, last, ids, labels);
  expect_close(losses.mc_loss, torch::cross_entropy_loss(scores.mc_logits, labels), 1e-5);
  const auto predictions = scores.lm_logits.narrow(2, 0, 4).reshape({-1, 61});
  expect_close(losses.lm_loss,
               torch::cross_entropy_loss(predictions, ids.narrow(2, 1, 4).flatten()), 1e-5);
  EXPECT_FALSE(model->forward(ids, last, {}, labels).lm_loss.defined());
}

TEST_F(GPT2Test, PastGivesWhatTheWholeTextGives) {
  auto model = lively_gpt<GPT2LMHeadModel>(tiny_gpt_config<GPT2Config>());
  const auto ids = gpt_ids({2, 9});
  const auto whole = model->forward(ids);
  const auto first = model->forward(ids.narrow(1, 0, 4));
  const auto second = model->forward(ids.narrow(1, 4, 5), {}, {}, {}, first.presents);
  expect_close(second.logits, whole.logits.narrow(1, 4, 5), 1e-5);
  expect_close(second.presents[1], whole.presents[1], 1e-5);
}

TEST_F(GPT2Test, LongTextIsRefused) {
  auto model = lively_gpt<GPT2LMHeadModel>(tiny_gpt_config<GPT2Config>());
  EXPECT_EQ(message_of<c10::IndexError>([&] { model->forward(gpt_ids({1, 25})); }),
            "`input_ids` must hold at most 24 tokens a row (`n_positions`), those of `past` "
            "included, but holds 25.");
}

TEST_F(OpenAIGPTTest, HiddenStatesBeginWithTheEmbeddings) {
  auto trunk = lively_gpt<OpenAIGPTModel>(tiny_gpt_config<OpenAIGPTConfig>());
  const auto ids = gpt_ids({1, 4});
  const auto states = trunk->forward(ids).hidden_states;
  ASSERT_EQ(states.size(), 3);
  expect_close(states[0],
               trunk->tokens_embed(ids) + trunk->positions_embed(torch::arange(4).unsqueeze(0)),
               1e-5);
}

} // namespace
} // namespace ptbert
