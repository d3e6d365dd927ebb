#include "ptbert/models/layers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/PhiloxRNGEngine.h>

#include <atomic>
#include <cmath>

#include "ptbert/errors.h"
#include "support.h"

namespace ptbert {
namespace {

class LayersTest : public SeededTest {};

TEST_F(LayersTest, ActivationsAreThoseOfTheirNames) {
  const auto x = torch::linspace(-4, 4, 33);
  expect_close(activation("gelu", "hidden_act", gelu)(x),
               x * 0.5 * (1 + torch::erf(x / std::sqrt(2.0))));
  expect_close(activation("swish", "hidden_act", gelu)(x), x * torch::sigmoid(x));
  expect_close(activation("relu", "hidden_act", gelu)(x), x.clamp_min(0));
  EXPECT_EQ(message_of<KeyError>([] { activation("tanh", "hidden_act", gelu); }),
            "`hidden_act` must be \"gelu\", \"relu\", \"swish\" or a callable, but is \"tanh\".");
}

TEST_F(LayersTest, LinearMultipliesAndAdds) {
  Linear linear(3, 2);
  const auto x = torch::randn({4, 5, 3});
  expect_close(linear(x), torch::matmul(x, linear->weight.t()) + linear->bias);
  Linear without_bias(3, 2, false);
  EXPECT_FALSE(without_bias->bias.defined());
  EXPECT_EQ(without_bias->parameters().size(), 1U);
  expect_close(without_bias(x), torch::matmul(x, without_bias->weight.t()));
}

TEST_F(LayersTest, StartAsThoseOfTorch) {
  torch::manual_seed(3);
  Linear linear(5, 4);
  Embedding embedding(6, 4, 0);
  torch::manual_seed(3);
  torch::nn::Linear torch_linear(5, 4);
  torch::nn::Embedding torch_embedding(torch::nn::EmbeddingOptions(6, 4).padding_idx(0));
  expect_equal(linear->weight.detach(), torch_linear->weight.detach());
  expect_equal(linear->bias.detach(), torch_linear->bias.detach());
  expect_equal(embedding->weight.detach(), torch_embedding->weight.detach());
}

TEST_F(LayersTest, EmbeddingGivesPaddingNoGradient) {
  const auto ids = torch::tensor({0, 2, 2}, torch::kLong);
  Embedding padded(4, 3, 0);
  padded(ids).sum().backward();
  expect_close(padded->weight.grad().sum(1), torch::tensor({0, 0, 6, 0}));
  Embedding plain(4, 3);
  plain(ids).sum().backward();
  expect_close(plain->weight.grad().sum(1), torch::tensor({3, 0, 6, 0}));
}

TEST_F(LayersTest, LayerNormPutsEpsilonInsideTheRoot) {
  BertLayerNorm layer_norm(4, 0.5);
  {
    torch::NoGradGuard no_grad;
    layer_norm->weight.copy_(torch::randn({4}));
    layer_norm->bias.copy_(torch::randn({4}));
  }
  const auto x = torch::randn({2, 3, 4});
  const auto centered = x - x.mean(-1, true);
  const auto variance = centered.square().mean(-1, true);
  expect_close(layer_norm(x),
               layer_norm->weight * centered / torch::sqrt(variance + 0.5) + layer_norm->bias);
}

TEST_F(LayersTest, DropoutActsInTrainingOnly) {
  Dropout dropout(0.5);
  const auto x = torch::ones({1000});
  const auto dropped = dropout(x);
  EXPECT_NEAR(dropped.eq(0).sum().item<double>(), 500, 80);
  EXPECT_EQ(dropped.max().item<double>(), 2);
  dropout->eval();
  expect_equal(dropout(x), x);
}

TEST_F(LayersTest, DropoutKeepsTheMean) {
  for (const double p : {0.1, 0.9}) {
    Dropout dropout(p);
    const auto dropped = dropout(torch::ones({1000, 1000}));
    EXPECT_NEAR(dropped.eq(0).to(torch::kDouble).mean().item<double>(), p, 0.002);
    EXPECT_NEAR(dropped.mean().item<double>(), 1, 0.02);
    const auto kept = dropped.masked_select(dropped.ne(0));
    expect_close(kept, torch::full_like(kept, 1 / (1 - p)), 1e-5);
  }
}

TEST_F(LayersTest, DropoutDrawsElementsOfTheirOwn) {
  Dropout dropout(0.5);
  const auto x = torch::ones({400, 1024}); // rows as long as what one thread draws at a time
  const auto kept = dropout(x).ne(0);
  const auto share_equal = [](const Tensor& a, const Tensor& b) {
    return a.eq(b).to(torch::kDouble).mean().item<double>();
  };
  // Neither neighbours, nor rows, nor the next call repeat what was drawn.
  EXPECT_NEAR(share_equal(kept.slice(1, 1), kept.slice(1, 0, -1)), 0.5, 0.005);
  EXPECT_NEAR(share_equal(kept.slice(0, 1), kept.slice(0, 0, -1)), 0.5, 0.005);
  EXPECT_NEAR(share_equal(dropout(x).ne(0), kept), 0.5, 0.005);
}

TEST_F(LayersTest, DropoutOfASeedIsTheSameOnAnyNumberOfThreads) {
  Dropout dropout(0.3);
  const auto x = torch::randn({100, 1001});
  const auto threads = torch::get_num_threads();
  torch::manual_seed(5);
  const auto expected = dropout(x);
  torch::set_num_threads(1);
  torch::manual_seed(5);
  expect_equal(dropout(x), expected);
  torch::set_num_threads(threads);
}

TEST_F(LayersTest, DropoutHasGradientsOfAnyOrder) {
  Dropout dropout(0.3);
  for (const bool transposed : {false, true}) {
    auto x = torch::rand({50, 70}) + 1;
    x = (transposed ? x.t() : x).detach().requires_grad_();
    const auto dropped = dropout(x);
    const auto factors = (dropped / x).detach(); // 0 or 1 / 0.7
    EXPECT_NEAR(factors.eq(0).to(torch::kDouble).mean().item<double>(), 0.3, 0.04);
    const auto direction = torch::randn(x.sizes());
    const auto first =
        torch::autograd::grad({dropped.square().sum()}, {x}, {}, std::nullopt, true)[0];
    expect_close(first, 2 * factors * factors * x, 1e-5);
    const auto second = torch::autograd::grad({(first * direction).sum()}, {x})[0];
    expect_close(second, 2 * factors * factors * direction, 1e-5);
    const auto expanded = torch::autograd::grad({dropout(x).sum()}, {x})[0]; // of one number
    expect_close(expanded.eq(0).to(torch::kDouble).mean(), torch::tensor(0.3, torch::kDouble),
                 0.04);
  }
}

TEST_F(LayersTest, DropoutKeepsWhatIsNoNumber) {
  Dropout dropout(0.5);
  const auto x = torch::full({1000}, std::nan(""));
  EXPECT_TRUE(dropout(x).isnan().all().item<bool>()); // as a product with 0 does
}

TEST_F(LayersTest, DropoutDrawsFromPhilox) {
  Dropout dropout(0.25);
  torch::manual_seed(7);
  const auto seed =
      at::check_generator<at::CPUGeneratorImpl>(at::detail::getDefaultCPUGenerator())->random64();
  std::vector<float> expected;
  for (uint64_t run = 0; run < 2; ++run) { // 1024 elements from one subsequence
    at::Philox4_32 draw(seed, run);
    std::vector<uint32_t> draws(1024);
    for (int64_t block = 0; block < 1024; block += 32) { // eight counters side by side
      for (int64_t i = 0; i < 32; ++i)
        draws[block + i % 4 * 8 + i / 4] = draw();
    }
    for (const auto number : draws)
      expected.push_back(number < 0x40000000 ? 0 : 1 / 0.75f);
  }
  torch::manual_seed(7);
  expect_equal(dropout(torch::ones({1500})), torch::tensor(expected).slice(0, 0, 1500));
}

TEST_F(LayersTest, LoopsOfOursAreParallel) {
#ifdef __clang__
  GTEST_SKIP() << "only g++ compiles for torch's OpenMP";
#endif
  const auto threads = torch::get_num_threads();
  torch::set_num_threads(2);
  std::atomic<int> shares = 0;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) { ++shares; });
  torch::set_num_threads(threads);
  EXPECT_EQ(shares, 2);
}

TEST_F(LayersTest, DropoutOfThePlainPathDrawsAsTorchDoes) {
  const PlainPaths plain_paths;
  Dropout dropout(0.3);
  const auto x = torch::randn({10, 10});
  torch::manual_seed(5);
  const auto expected = torch::dropout(x, 0.3, true);
  torch::manual_seed(5);
  expect_equal(dropout(x), expected);
}

TEST_F(LayersTest, DropoutOfAllLeavesNothing) {
  Dropout dropout(1);
  expect_equal(dropout(torch::ones({10})), torch::zeros({10}));
}

TEST_F(LayersTest, InitFollowsTheRange) {
  Linear linear(100, 100);
  Embedding embedding(100, 100, 0);
  BertLayerNorm layer_norm(8);
  torch::nn::Sequential modules(linear, embedding, layer_norm);
  {
    torch::NoGradGuard no_grad;
    layer_norm->weight.fill_(7);
    layer_norm->bias.fill_(7);
  }
  init_bert_weights(*modules, 0.3);
  EXPECT_NEAR(linear->weight.std().item<double>(), 0.3, 0.01);
  EXPECT_NEAR(embedding->weight.std().item<double>(), 0.3, 0.01);
  EXPECT_GT(embedding->weight[0].norm().item<double>(), 0); // the padding's row as the others
  EXPECT_EQ(linear->bias.abs().max().item<double>(), 0);
  expect_close(layer_norm->weight, torch::ones({8}));
  expect_close(layer_norm->bias, torch::zeros({8}));
}

} // namespace
} // namespace ptbert
