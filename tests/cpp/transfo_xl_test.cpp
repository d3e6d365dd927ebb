#include <gtest/gtest.h>

#include <algorithm>

#include "ptbert/errors.h"
#include "ptbert/files/checkpoint.h"
#include "transfo_xl_support.h"

namespace ptbert {
namespace {

/// Values are compared with the original in tests/python.
class TransfoXLTest : public SeededTest {};

/// The last hidden states of `text` in segments, [batch, seq, d_model].
Tensor in_segments(TransfoXLLMHeadModel& model, const Tensor& text, int64_t length) {
  std::vector<Tensor> states, mems;
  for (const auto& segment : text.split(length, 1)) {
    auto output = model->transformer->forward(segment, mems);
    states.push_back(output.last_hidden);
    mems = output.new_mems;
  }
  return torch::cat(states, 1);
}

TEST_F(TransfoXLTest, SegmentsWithMemoryEqualTheWholeText) {
  for (const int64_t attn_type : {0, 1}) {
    auto config = tiny_transfo_xl();
    config.attn_type = attn_type;
    config.same_length = false;
    config.mem_len = 12; // of the whole text
    auto model = lively_transfo_xl(config);
    const auto text = transfo_xl_ids({2, 12});
    // Memory of zeros is attended to: the same number of zeros in both.
    model->transformer->mem_len = 24;
    const std::vector<Tensor> zeros(2, torch::zeros({12, 2, 8}));
    const auto whole = model->transformer->forward(text, zeros).last_hidden;
    auto mems = zeros;
    std::vector<Tensor> states;
    for (const auto& segment : text.split(4, 1)) {
      auto output = model->transformer->forward(segment, mems);
      states.push_back(output.last_hidden);
      mems = output.new_mems;
    }
    expect_close(torch::cat(states, 1), whole, 1e-5);
  }
}

TEST_F(TransfoXLTest, TokensSeeNothingBehindThem) {
  for (int64_t attn_type = 0; attn_type < 4; ++attn_type) {
    auto config = tiny_transfo_xl();
    config.attn_type = attn_type;
    auto model = lively_transfo_xl(config);
    const auto text = transfo_xl_ids({2, 4});
    auto changed = text.clone();
    changed.select(1, 3).fill_(3);
    const auto first_three = [&](const Tensor& x) {
      return model->forward(x).softmax_output.narrow(1, 0, 3);
    };
    expect_close(first_three(text), first_three(changed), 1e-5);
  }
}

TEST_F(TransfoXLTest, KernelEqualsOneOperationAfterTheOther) {
  auto model = lively_transfo_xl(tiny_transfo_xl());
  const auto text = transfo_xl_ids({2, 12});
  const auto slow = in_segments(model, text, 4);
  EXPECT_TRUE(slow.requires_grad());
  const torch::NoGradGuard no_grad;
  const PathRecorder recorder;
  expect_close(in_segments(model, text, 4), slow, 1e-5);
  EXPECT_TRUE(std::any_of(recorder.choices().begin(), recorder.choices().end(),
                          [](const auto& choice) { return choice.path == "one kernel"; }));
  const PlainPaths plain;
  expect_close(in_segments(model, text, 4), slow, 1e-5);
}

TEST_F(TransfoXLTest, LossesAreThoseOfTheLogProbabilities) {
  auto model = lively_transfo_xl(tiny_transfo_xl());
  const auto text = transfo_xl_ids({2, 9}), target = transfo_xl_ids({2, 9});
  const auto log_probs = model->forward(text).softmax_output;
  expect_close(log_probs.exp().sum(-1), torch::ones({2, 9}), 1e-5);
  expect_close(model->forward(text, target).softmax_output,
               -log_probs.gather(-1, target.unsqueeze(-1)).squeeze(-1), 1e-5);
  const torch::NoGradGuard no_grad; // where they are written into one tensor
  expect_close(model->forward(text).softmax_output, log_probs, 1e-5);
}

TEST_F(TransfoXLTest, WeightsAreTied) {
  auto config = tiny_transfo_xl();
  config.untie_r = false;
  TransfoXLLMHeadModel model(config);
  const auto& embedding = *model->transformer->word_emb;
  EXPECT_TRUE(
      model->crit->out_layers->items[1]->weight.is_same(embedding.emb_layers->items[1]->weight));
  EXPECT_TRUE((*model->crit->out_projs)[2].is_same((*embedding.emb_projs)[2]));
  EXPECT_FALSE((*model->crit->out_projs)[0].is_same((*embedding.emb_projs)[0]));
  EXPECT_TRUE(model->transformer->relative_layers->items[1]->dec_attn->r_w_bias.is_same(
      model->transformer->r_w_bias));
}

TEST_F(TransfoXLTest, LengthsAreReset) {
  auto model = lively_transfo_xl(tiny_transfo_xl());
  model->transformer->reset_length(4, 0, 9);
  EXPECT_EQ(model->forward(transfo_xl_ids({2, 4})).new_mems.front().size(0), 9);
  EXPECT_EQ(model->transformer->init_mems(transfo_xl_ids({4, 2})).back().sizes(),
            torch::IntArrayRef({9, 2, 8}));
  model->transformer->reset_length(4, 0, 0);
  EXPECT_TRUE(model->forward(transfo_xl_ids({2, 4})).new_mems.empty());
  EXPECT_THROW(model->transformer->reset_length(0, 0, 0), c10::ValueError);
}

TEST_F(TransfoXLTest, WeightsOfTheTrunkAreLoadedByEitherName) {
  const auto named = [](torch::nn::Module& module) {
    NamedTensors tensors;
    for (const auto& parameter : module.named_parameters())
      tensors.emplace_back(parameter.key(), parameter.value());
    return tensors;
  };
  auto model = lively_transfo_xl(tiny_transfo_xl());
  const auto text = transfo_xl_ids({2, 4});
  TransfoXLModel trunk(tiny_transfo_xl());
  const auto& keys = key_map(trunk->family());
  for (auto& source : {named(*model), named(*model->transformer)}) {
    EXPECT_TRUE(load_weights(named(*trunk), source, keys).missing.empty());
    trunk->eval();
    expect_close(trunk->forward(text).last_hidden, model->transformer->forward(text).last_hidden);
  }
}

TEST_F(TransfoXLTest, ConfigurationReadsBothEras) {
  const auto config = TransfoXLConfig::from_json(
      R"({"vocab_size": 50, "cutoffs": [9], "proj_share_all_but_first": false, "x": 1})");
  EXPECT_EQ(config.n_token, 50);
  EXPECT_EQ(config.tie_projs, (std::vector<bool>{false, false}));
  EXPECT_EQ(config.layer_norm_epsilon, 1e-12);
  EXPECT_EQ(TransfoXLConfig::from_json(config.to_json()).to_json(), config.to_json());
  EXPECT_THROW(TransfoXLConfig::from_json(R"({"vocab_size": "50"})"), FormatError);
  EXPECT_THROW(TransfoXLConfig::from_json(R"({"cutoffs": [1.5]})"), FormatError);
}

} // namespace
} // namespace ptbert
