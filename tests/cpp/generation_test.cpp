#include "ptbert/generation.h"

#include <algorithm>
#include <numeric>
#include <thread>

#include "generation/token_choice.h"
#include "gpt_support.h"
#include "speed/linear_cross_entropy.h"
#include "speed/row_kernels.h"
#include "speed/streamed_weight.h"

namespace ptbert {
namespace {

template <typename Family> class GenerationTest : public SeededTest {};
using Families = testing::Types<GPT2Family, OpenAIGPTFamily>;
TYPED_TEST_SUITE(GenerationTest, Families);

class StreamedWeightTest : public SeededTest {};
class LinearCrossEntropyTest : public SeededTest {};

const TokenRows kPrompts = {{5, 9, 3}, {7}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};

template <typename Family> auto make_model() {
  return lively_gpt<typename Family::Model>(tiny_gpt_config<typename Family::Config>());
}

/// The most probable tokens by the model itself.
template <typename Family>
std::vector<int64_t> greedy(typename Family::Model& model, std::vector<int64_t> ids, int count) {
  torch::NoGradGuard no_grad;
  const auto begin = ids.size();
  for (int i = 0; i < count; ++i) {
    const auto scores = Family::logits(model, torch::tensor(ids).unsqueeze(0));
    ids.push_back(scores[0][-1].argmax().template item<int64_t>());
  }
  return {ids.begin() + static_cast<int64_t>(begin), ids.end()};
}

TYPED_TEST(GenerationTest, TokensAreThoseOfTheModel) {
  auto model = make_model<TypeParam>();
  GenerationOptions options;
  options.max_new_tokens = 8;
  for (const auto& decoder : {decoder_of(model), make_decoder(model)}) {
    const auto rows = generate(decoder, kPrompts, options);
    ASSERT_EQ(rows.size(), kPrompts.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].ids, greedy<TypeParam>(model, kPrompts[i], 8));
      EXPECT_EQ(rows[i].stop_reason, "length");
    }
  }
}

TYPED_TEST(GenerationTest, PlainDecoderGivesTheSame) {
  auto model = make_model<TypeParam>();
  GenerationOptions options;
  options.max_new_tokens = 6;
  const auto expected = generate(make_decoder(model), kPrompts, options);
  auto plain_model = make_model<TypeParam>();
  for (size_t i = 0; i < model->parameters().size(); ++i)
    plain_model->parameters()[i].detach().copy_(model->parameters()[i]);
  plain_model->to(torch::kDouble);
  const auto rows = generate(decoder_of(plain_model), kPrompts, options);
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(rows[i].ids, expected[i].ids);
}

TYPED_TEST(GenerationTest, CallbackAndStopIdsEndRows) {
  auto model = make_model<TypeParam>();
  GenerationOptions options;
  options.max_new_tokens = 8;
  const auto free = generate(make_decoder(model), kPrompts, options);
  options.stop_ids = {free[0].ids[3]};
  int64_t tokens = 0;
  const auto rows = generate(make_decoder(model), kPrompts, options, [&](const NewToken& token) {
    ++tokens;
    return token.row != 1;
  });
  EXPECT_EQ(rows[0].ids.back(), options.stop_ids[0]);
  EXPECT_EQ(rows[0].stop_reason, "stop_id");
  EXPECT_EQ(rows[1].stop_reason, rows[1].ids[0] == options.stop_ids[0] ? "stop_id" : "callback");
  EXPECT_EQ(rows[1].ids.size(), 1);
  EXPECT_EQ(tokens, static_cast<int64_t>(rows[0].ids.size() + 1 + rows[2].ids.size()));
}

TYPED_TEST(GenerationTest, OneBeamPerTokenFindsTheBestPairOfTokens) {
  auto model = make_model<TypeParam>();
  const auto decoder = make_decoder(model);
  GenerationOptions options;
  options.max_new_tokens = 2;
  options.num_beams = 61; // all first tokens
  const auto found = generate(decoder, {{5, 9, 3}}, options).front();
  torch::NoGradGuard no_grad;
  const auto first = TypeParam::logits(model, torch::tensor({{5, 9, 3}}))[0][-1].log_softmax(0);
  double best = -1e9;
  for (int64_t id = 0; id < 61; ++id) {
    const auto second =
        TypeParam::logits(model, torch::tensor({{int64_t{5}, int64_t{9}, int64_t{3}, id}}))[0][-1]
            .log_softmax(0);
    best = std::max(best, first[id].template item<double>() + second.max().template item<double>());
  }
  EXPECT_NEAR(found.score, best / 2, 1e-5);
}

TYPED_TEST(GenerationTest, WindowSlides) {
  auto model = make_model<TypeParam>();
  GenerationOptions options;
  options.max_new_tokens = 60;
  options.sliding_window = true;
  const auto rows = generate(make_decoder(model), kPrompts, options);
  for (const auto& row : rows)
    EXPECT_EQ(row.ids.size(), 60);
  options.sliding_window = false;
  EXPECT_THROW(generate(make_decoder(model), kPrompts, options), c10::ValueError);
}

TYPED_TEST(GenerationTest, EightThreadsShareADecoder) {
  auto model = make_model<TypeParam>();
  const auto decoder = make_decoder(model, WeightFormat::kBFloat16);
  GenerationOptions options;
  options.max_new_tokens = 10;
  options.temperature = 1;
  options.seed = 3;
  const auto expected = generate(decoder, kPrompts, options);
  std::vector<std::vector<GeneratedRow>> found(8);
  std::vector<std::thread> threads;
  for (auto& rows : found)
    threads.emplace_back([&] { rows = generate(decoder, kPrompts, options); });
  for (auto& thread : threads)
    thread.join();
  for (const auto& rows : found) {
    for (size_t i = 0; i < rows.size(); ++i)
      EXPECT_EQ(rows[i].ids, expected[i].ids);
  }
}

TYPED_TEST(GenerationTest, ScoresAreThoseOfTheModel) {
  auto model = make_model<TypeParam>();
  const auto decoder = make_decoder(model);
  const auto scored = score(*decoder, kPrompts);
  torch::NoGradGuard no_grad;
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    const auto ids = torch::tensor(kPrompts[i]);
    const auto expected = TypeParam::logits(model, ids.unsqueeze(0))[0]
                              .log_softmax(1)
                              .narrow(0, 0, ids.size(0) - 1)
                              .gather(1, ids.narrow(0, 1, ids.size(0) - 1).unsqueeze(1))
                              .squeeze(1);
    expect_close(torch::tensor(scored[i].log_probs, torch::kDouble), expected, 1e-5);
  }
  EXPECT_TRUE(std::isnan(scored[1].perplexity()));
}

TYPED_TEST(GenerationTest, DropoutIsRefused) {
  auto model = make_model<TypeParam>();
  model->train();
  EXPECT_EQ(message_of<c10::ValueError>([&] { make_decoder(model); }),
            "`model` must be one that a Decoder can serve, but dropout is on; call eval() first.");
  EXPECT_EQ(message_of<c10::ValueError>([&] { decoder_of(model); }),
            "`model` must be in evaluation mode, but dropout is on; call eval() first.");
}

TEST(TokenChoiceTest, CandidatesAreTheMostProbable) {
  GenerationOptions options;
  options.temperature = 1;
  std::vector<float> scores(50);
  std::iota(scores.begin(), scores.end(), 0.F);
  for (double uniform = 0; uniform < 1; uniform += 0.05) {
    auto copy = scores;
    options.top_k = 3;
    EXPECT_GE(draw_token(options, uniform, copy.data(), 50), 47);
    options.top_k = 0;
    options.top_p = 0.5; // the first has 0.63
    EXPECT_EQ(draw_token(options, uniform, copy.data(), 50), 49);
    options.top_p = 1;
    options.min_p = 0.2; // the second has 0.37 of the first, the third 0.14
    EXPECT_GE(draw_token(options, uniform, copy.data(), 50), 48);
    options.min_p = 0;
  }
}

TEST(TokenChoiceTest, RepeatedSequencesAreBanned) {
  std::vector<float> scores(10, 1.F);
  ban_repeated_ngrams({1, 2, 3, 1, 2}, 3, scores.data());
  EXPECT_TRUE(std::isinf(scores[3]));
  EXPECT_EQ(std::count(scores.begin(), scores.end(), 1.F), 9);
  ban_repeated_ngrams({1}, 3, scores.data()); // shorter than the sequence
  std::vector<float> all(4, 1.F);
  ban_repeated_ngrams({0, 2}, 1, all.data());
  EXPECT_EQ(std::count(all.begin(), all.end(), 1.F), 2);
}

TEST(TokenChoiceTest, RepetitionIsPenalized) {
  std::vector<float> scores = {2, -2, 3};
  penalize_repetition({0, 1, 0}, 2, scores.data());
  EXPECT_EQ(scores, (std::vector<float>{1, -4, 3}));
}

TEST_F(StreamedWeightTest, ProductsAreThoseOfTheirFormat) {
  for (const auto format : {WeightFormat::kFloat32, WeightFormat::kBFloat16, WeightFormat::kInt8}) {
    for (const bool inputs_first : {true, false}) {
      for (const int64_t inputs : {1, 7, 16, 45}) { // also what is no multiple of a register
        const int64_t outputs = 1037;
        const auto weight =
            inputs_first ? torch::randn({inputs, outputs}) : torch::randn({outputs, inputs});
        const auto bias = torch::randn({outputs});
        const auto stored = make_streamed_weight(weight, inputs_first, bias, format);
        for (const int64_t rows : {1, 2, 5}) {
          const auto x = torch::randn({rows, inputs});
          const auto expanded = multiply_expanded(x, stored);
          expect_close(multiply_streamed(x, stored), expanded, 1e-4);
          const auto matrix = inputs_first ? weight : weight.t();
          const auto allowed = format == WeightFormat::kFloat32 ? 1e-4 : 0.35;
          expect_close(expanded, torch::addmm(bias, x, matrix), allowed);
        }
      }
    }
  }
}

TEST_F(StreamedWeightTest, ARowDoesNotDependOnTheOthers) {
  for (const auto format : {WeightFormat::kFloat32, WeightFormat::kBFloat16, WeightFormat::kInt8}) {
    for (const bool inputs_first : {true, false}) {
      const auto weight = inputs_first ? torch::randn({333, 77}) : torch::randn({77, 333});
      const auto stored = make_streamed_weight(weight, inputs_first, {}, format);
      const auto x = torch::randn({41, 333});
      const auto all = multiply_streamed(x, stored);
      for (const int64_t rows : {1, 2, 3, 6})
        EXPECT_TRUE(multiply_streamed(x.narrow(0, 0, rows), stored).equal(all.narrow(0, 0, rows)));
    }
  }
}

TEST_F(StreamedWeightTest, KernelsWithAvx2AreThoseForAnyProcessor) {
  const auto* avx2 = avx2_row_kernels();
  if (avx2 == nullptr)
    GTEST_SKIP() << "This processor has no AVX2.";
  const auto& portable = kPortableRowKernels;
  for (const int64_t inputs : {1, 8, 300}) {
    for (const int64_t rows : {1, 2, 3, 5}) {
      const auto x = torch::randn({rows, inputs});
      const auto check = [&](const auto& multiply, int64_t outputs) {
        auto actual = torch::ones({rows, outputs}), expected = torch::ones({rows, outputs});
        const Rows<const float> from{x.const_data_ptr<float>(), inputs};
        multiply(*avx2, from, Rows<float>{actual.data_ptr<float>(), outputs});
        multiply(portable, from, Rows<float>{expected.data_ptr<float>(), outputs});
        expect_close(actual, expected, 1e-5 * expected.abs().max().item<double>());
      };
      const auto weight = torch::randn({inputs, 29});
      const auto* values = weight.const_data_ptr<float>();
      check([&](const RowKernels& kernels, Rows<const float> from,
                Rows<float> to) { kernels.add_product(from, rows, inputs, {values, 29}, 29, to); },
            29);
      check(
          [&](const RowKernels& kernels, Rows<const float> from, Rows<float> to) {
            kernels.dot_products(from, rows, inputs, {values, inputs}, 29, to);
          },
          29);
      const auto half = torch::randn({inputs, kPanel}).to(torch::kBFloat16);
      const auto* bits = reinterpret_cast<const uint16_t*>(half.const_data_ptr<at::BFloat16>());
      check([&](const RowKernels& kernels, Rows<const float> from,
                Rows<float> to) { kernels.multiply_bfloat16(from, rows, inputs, bits, to[0]); },
            kPanel);
      const auto bytes = torch::randint(-127, 128, {inputs, kPanel}, torch::kChar);
      check(
          [&](const RowKernels& kernels, Rows<const float> from, Rows<float> to) {
            kernels.multiply_int8(from, rows, inputs, bytes.const_data_ptr<int8_t>(), to[0]);
          },
          kPanel);
    }
  }
}

TEST_F(LinearCrossEntropyTest, EqualsTheOperationsItReplaces) {
  const auto labels = torch::randint(0, 61, {300}, torch::kLong);
  auto states = torch::randn({300, 16}).requires_grad_();
  auto weight = torch::randn({61, 16}).requires_grad_();
  ASSERT_EQ(why_not_linear_cross_entropy(states, weight), nullptr);
  const auto loss = linear_cross_entropy(states, weight, labels);
  const auto expected = torch::cross_entropy_loss(states.mm(weight.t()), labels);
  expect_close(loss, expected, 1e-5);
  const auto gradients = torch::autograd::grad({3 * loss}, {states, weight});
  const auto wanted =
      torch::autograd::grad({3 * expected}, {states, weight}, {}, /*retain_graph=*/true);
  for (size_t i = 0; i < 2; ++i)
    expect_close(gradients[i], wanted[i], 1e-6);
  const auto second = [&](const Tensor& value) {
    const auto first = torch::autograd::grad({value}, {states}, {}, true, true)[0];
    return torch::autograd::grad({first.square().sum()}, {weight})[0];
  };
  expect_close(second(linear_cross_entropy(states, weight, labels)),
               second(torch::cross_entropy_loss(states.mm(weight.t()), labels)), 1e-6);
}

} // namespace
} // namespace ptbert
