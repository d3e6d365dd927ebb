#include <numeric>

#include "ptbert/generation.h"
#include "speed/row_kernels.h"
#include "transfo_xl_support.h"

namespace ptbert {
namespace {

/// Against the model, which tests in tests/python compare with the original.
class GenerationMemoryTest : public SeededTest {};

const TokenRows kPrompts = {{5, 9, 3}, {7}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};

/// The most probable tokens by the model itself, which reads segments and then single tokens.
std::vector<int64_t> greedy(TransfoXLLMHeadModel& model, const std::vector<int64_t>& prompt,
                            int count) {
  const torch::NoGradGuard no_grad;
  std::vector<int64_t> written;
  std::vector<Tensor> mems;
  Tensor last; // [n_token]
  const auto read = [&](const Tensor& ids) {
    auto output = model->forward(ids.unsqueeze(0), {}, mems);
    last = output.softmax_output[0][-1];
    mems = output.new_mems;
  };
  for (const auto& segment : torch::tensor(prompt).split(model->transformer->tgt_len))
    read(segment);
  for (int i = 0; i < count; ++i) {
    written.push_back(last.argmax().item<int64_t>());
    read(torch::tensor({written.back()}));
  }
  return written;
}

TEST_F(GenerationMemoryTest, TokensAreThoseOfTheModel) {
  for (const bool same_length : {true, false}) {
    for (const bool pre_lnorm : {true, false}) {
      auto config = tiny_transfo_xl();
      config.same_length = same_length;
      config.pre_lnorm = pre_lnorm;
      auto model = lively_transfo_xl(config);
      GenerationOptions options;
      options.max_new_tokens = 25; // memory moves back to the front more than once
      const auto rows = generate(make_decoder(model), kPrompts, options);
      ASSERT_EQ(rows.size(), kPrompts.size());
      for (size_t i = 0; i < rows.size(); ++i)
        EXPECT_EQ(rows[i].ids, greedy(model, kPrompts[i], 25));
    }
  }
}

TEST_F(GenerationMemoryTest, PlainDecoderGivesTheSame) {
  for (const int64_t attn_type : {0, 1}) {
    auto config = tiny_transfo_xl();
    config.attn_type = attn_type;
    auto model = lively_transfo_xl(config);
    model->to(torch::kDouble);
    ASSERT_NE(why_not_decoded(model), nullptr);
    GenerationOptions options;
    options.max_new_tokens = 9;
    const auto rows = generate(model, kPrompts, options);
    for (size_t i = 0; i < rows.size(); ++i)
      EXPECT_EQ(rows[i].ids, greedy(model, kPrompts[i], 9));
  }
}

TEST_F(GenerationMemoryTest, WhatIsWrittenIsScoredAlike) {
  auto model = lively_transfo_xl(tiny_transfo_xl());
  const auto decoder = decoder_of(model);
  GenerationOptions options;
  options.max_new_tokens = 30;
  const auto rows = generate(decoder, kPrompts, options);
  TokenRows texts = kPrompts;
  for (size_t i = 0; i < rows.size(); ++i)
    texts[i].insert(texts[i].end(), rows[i].ids.begin(), rows[i].ids.end());
  const auto scored = score(*decoder, texts);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < 30; ++j)
      EXPECT_NEAR(scored[i].log_probs[kPrompts[i].size() - 1 + j], rows[i].log_probs[j], 1e-5);
  }
}

TEST_F(GenerationMemoryTest, NamesWhatCannotBeContinued) {
  GenerationOptions options;
  options.max_new_tokens = 1;
  const auto refused = [&options](const auto& change, const std::string& message) {
    auto config = tiny_transfo_xl();
    change(config);
    const auto model = lively_transfo_xl(config);
    EXPECT_TRUE(message_of<c10::ValueError>([&] {
                  generate(model, kPrompts, options);
                }).starts_with(message));
  };
  refused([](auto& config) { config.attn_type = 2; }, "`attn_type` must be 0 or 1");
  refused([](auto& config) { config.mem_len = 0; }, "`mem_len` must be above 0");
  refused([](auto& config) { config.ext_len = 1; }, "`ext_len` must be 0");
  options.max_new_tokens = {};
  refused([](auto&) {}, "`max_new_tokens` must be given for a model with memory");
  const auto decoder = decoder_of(lively_transfo_xl(tiny_transfo_xl()));
  EXPECT_TRUE(message_of<c10::ValueError>([&] {
                score(*decoder, kPrompts, {.stride = 3});
              }).starts_with("`stride` must not be given for a model with memory"));
}

TEST_F(GenerationMemoryTest, BiasIsAddedToTheScoresOfAQuery) {
  const auto query = torch::randn({8}), keys = torch::randn({5, 8}), values = torch::randn({5, 8});
  const auto bias = torch::randn({5});
  auto output = torch::empty({8}), weights = torch::empty({5});
  attend_one_query(query.const_data_ptr<float>(), keys.const_data_ptr<float>(),
                   values.const_data_ptr<float>(), 5, 8, 0.5, bias.const_data_ptr<float>(),
                   weights.data_ptr<float>(), output.data_ptr<float>());
  expect_close(output, ((keys.mv(query) + bias) * 0.5).softmax(0).matmul(values), 1e-6);
}

} // namespace
} // namespace ptbert
