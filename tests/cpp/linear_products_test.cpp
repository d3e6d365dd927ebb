#include "ptbert/speed/linear_products.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <cmath>

#include "support.h"

namespace ptbert {
namespace {

using torch::Tensor;

/// A scope in which linear_product() uses `library` where it can.
class Library {
public:
  explicit Library(ProductLibrary library) { use_product_library(library); }
  ~Library() { use_product_library(ProductLibrary::kMeasured); }
};

/// The library that linear_product() used, and why.
std::string choice(const Tensor& x, const Tensor& weight, const Tensor& bias = {}) {
  const PathRecorder recorder;
  linear_product(x, weight, bias);
  const auto& first = recorder.choices().at(0);
  return first.path + ": " + first.reason;
}

struct Results {
  Tensor output;
  std::vector<Tensor> gradients;
};

/// Output and gradients of `inputs` = {x, weight[, bias]}, those that ask for one.
template <typename Product> Results run(const Product& product, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> leaves, wanted;
  for (const auto& input : inputs) {
    leaves.push_back(input.detach().requires_grad_(input.requires_grad())); // keeps the strides
    if (input.requires_grad())
      wanted.push_back(leaves.back());
  }
  const auto output = product(leaves[0], leaves[1], leaves.size() > 2 ? leaves[2] : Tensor());
  Results results{output, {}};
  if (!wanted.empty())
    results.gradients = torch::autograd::grad({output.sin().sum()}, wanted);
  return results;
}

/// Within rounding, as sums of many terms have it.
void expect_near(const Tensor& actual, const Tensor& expected) {
  const auto scale = std::max(1.0, expected.abs().max().item<double>());
  expect_close(actual / scale, expected / scale, 1e-5);
}

void expect_agreement(ProductLibrary product_library, const std::vector<Tensor>& inputs) {
  const Library library(product_library);
  const std::string name = product_library == ProductLibrary::kOneDnn ? "oneDNN" : "ptbert";
  ASSERT_EQ(choice(inputs[0], inputs[1]), name + ": use_product_library()");
  const auto results = run(linear_product, inputs);
  const auto expected =
      run([](const Tensor& x, const Tensor& w, const Tensor& b) { return torch::linear(x, w, b); },
          inputs);
  expect_near(results.output, expected.output);
  EXPECT_EQ(results.output.requires_grad(), expected.output.requires_grad());
  ASSERT_EQ(results.gradients.size(), expected.gradients.size());
  for (size_t i = 0; i < expected.gradients.size(); ++i)
    expect_near(results.gradients[i], expected.gradients[i]);
}

void skip_without(ProductLibrary product_library) {
  const auto capability = at::get_cpu_capability();
  if (product_library == ProductLibrary::kOneDnn && !at::hasMKLDNN())
    GTEST_SKIP() << "torch was built without oneDNN";
  if (product_library == ProductLibrary::kPtbert && capability != "AVX2" && capability != "AVX512")
    GTEST_SKIP() << "the processor has no AVX2";
}

class LinearProductsTest : public SeededTest {
protected:
  void SetUp() override {
    skip_without(ProductLibrary::kOneDnn);
    SeededTest::SetUp();
  }
};

class OwnProductTest : public SeededTest {
protected:
  void SetUp() override {
    skip_without(ProductLibrary::kPtbert);
    SeededTest::SetUp();
  }
};

/// Tests that run for each library other than ATen.
class EachLibraryTest : public SeededTest, public testing::WithParamInterface<ProductLibrary> {
protected:
  void SetUp() override {
    skip_without(GetParam());
    SeededTest::SetUp();
  }
};
INSTANTIATE_TEST_SUITE_P(Libraries, EachLibraryTest,
                         testing::Values(ProductLibrary::kOneDnn, ProductLibrary::kPtbert),
                         [](const auto& test) {
                           return test.param == ProductLibrary::kOneDnn ? "OneDnn" : "Ptbert";
                         });

TEST_P(EachLibraryTest, AgreesWithTorch) {
  const std::vector<int64_t> outs = GetParam() == ProductLibrary::kPtbert
                                        ? std::vector<int64_t>{32, 45, 59}
                                        : std::vector<int64_t>{1, 16, 45};
  for (const std::vector<int64_t>& rows :
       {std::vector<int64_t>{16}, {37}, {2, 9}, {3, 2, 5}, {1, 129}, {256}}) {
    for (const int64_t in : {1, 8, 33, 801}) {
      for (const int64_t out : outs) {
        auto shape = rows;
        shape.push_back(in);
        const auto x = torch::randn(shape).requires_grad_();
        const auto weight = (torch::randn({out, in}) / std::sqrt(in)).requires_grad_();
        expect_agreement(GetParam(), {x, weight, torch::randn({out}).requires_grad_()});
        expect_agreement(GetParam(), {x, weight});
      }
    }
  }
}

TEST_P(EachLibraryTest, TakesAnyStrides) {
  const auto weight = torch::randn({36, 20}) / 4, bias = torch::randn({72});
  const std::vector<Tensor> inputs{
      torch::randn({20, 30}).t(),                          // columns first
      torch::randn({16, 15, 20}).slice(0, 0, 16, 2),       // every other sequence
      torch::randn({6, 5, 40}).slice(2, 10, 30),           // a part of each row
      torch::randn({5, 6, 20}).transpose(0, 1),            // sequences and tokens changed round
      torch::randn({20}).expand({18, 20}),                 // one row many times
      torch::randn({1, 20, 17}).transpose(1, 2).squeeze(), // columns first, of a batch
  };
  for (const auto& x : inputs) {
    for (const auto& w :
         {weight, torch::randn({20, 36}).t() / 4, torch::randn({36, 40}).slice(1, 0, 20),
          (torch::randn({36, 1}) / 4).expand({36, 20})}) {
      auto shown = w.detach() / 4;
      expect_agreement(GetParam(),
                       {x.detach().requires_grad_(),
                        shown.as_strided(shown.sizes(), shown.strides()).requires_grad_(),
                        bias.slice(0, 0, 72, 2).detach().requires_grad_()});
      expect_agreement(GetParam(), {x.detach(), w.detach() / 4});
    }
  }
}

TEST_P(EachLibraryTest, MakesOnlyTheGradientsThatAreWanted) {
  for (int wanted = 0; wanted < 8; ++wanted) {
    const std::vector<Tensor> inputs{
        torch::randn({4, 6, 20}).requires_grad_((wanted & 1) != 0),
        torch::randn({36, 20}).requires_grad_((wanted & 2) != 0),
        torch::randn({36}).requires_grad_((wanted & 4) != 0),
    };
    expect_agreement(GetParam(), inputs);
    const torch::NoGradGuard no_gradients;
    const Library library(GetParam());
    EXPECT_FALSE(linear_product(inputs[0], inputs[1], inputs[2]).requires_grad());
  }
}

TEST_P(EachLibraryTest, HasSecondDerivatives) {
  const auto second = [](ProductLibrary choice) {
    const Library library(choice);
    torch::manual_seed(1);
    const auto x = torch::randn({20, 8}).requires_grad_();
    const auto weight = torch::randn({34, 8}).requires_grad_();
    const auto bias = torch::randn({34}).requires_grad_();
    const auto loss = linear_product(x, weight, bias).pow(3).sum();
    const auto first = torch::autograd::grad({loss}, {x, weight, bias}, {}, std::nullopt, true);
    return torch::autograd::grad({first[0].square().sum() + first[1].sin().sum() + first[2].sum()},
                                 {x, weight, bias});
  };
  const auto gradients = second(GetParam()), expected = second(ProductLibrary::kAten);
  for (size_t i = 0; i < gradients.size(); ++i)
    expect_near(gradients[i], expected[i]);
}

TEST_F(OwnProductTest, ARowDependsOnNothingElse) {
  const Library library(ProductLibrary::kPtbert);
  const auto x = torch::randn({61, 500}), weight = torch::randn({75, 500});
  const auto expected = linear_product(x, weight, {});
  expect_equal(linear_product(x.slice(0, 20, 29), weight, {}), expected.slice(0, 20, 29));
  const auto threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 3 : 1);
  const auto again = linear_product(x, weight, {});
  at::set_num_threads(threads);
  expect_equal(again, expected);
}

TEST_F(OwnProductTest, TorchComputesWhatItIsNotFor) {
  const Library library(ProductLibrary::kPtbert);
  const auto x = torch::randn({260, 8}), weight = torch::randn({32, 8});
  EXPECT_EQ(choice(x.slice(0, 0, 256), weight), "ptbert: use_product_library()");
  EXPECT_EQ(choice(x.slice(0, 0, 257), weight),
            "ATen: more than 256 rows, for which the core's own product is no faster");
  EXPECT_EQ(choice(x.slice(0, 0, 4), weight), "ptbert: use_product_library()");
  expect_near(linear_product(x.slice(0, 0, 4), weight, {}),
              torch::linear(x.slice(0, 0, 4), weight));
  EXPECT_EQ(choice(x.slice(0, 0, 3), weight), "ATen: too few rows");
  EXPECT_EQ(choice(x[0], weight), "ATen: too few rows");
  EXPECT_EQ(choice(x.slice(0, 0, 4), weight.slice(0, 1)), "ATen: too few features");
  // A lazy negation (the negative bit is set).
  const auto negative = torch::_neg_view(x.slice(0, 0, 9));
  EXPECT_EQ(choice(negative, weight), "ATen: not plain, dense float32");
  expect_equal(linear_product(negative, weight, {}), torch::linear(negative, weight));
  const auto zeros = torch::_efficientzerotensor({9, 8}); // without memory
  EXPECT_EQ(choice(zeros, weight), "ATen: not plain, dense float32");
  const auto nested = torch::_nested_tensor_from_tensor_list({x.slice(0, 0, 9), x.slice(0, 0, 5)});
  EXPECT_TRUE(choice(nested, weight).starts_with("ATen: "));
}

TEST_F(LinearProductsTest, TorchComputesWhatOneDnnIsNotFor) {
  const Library library(ProductLibrary::kOneDnn);
  const auto x = torch::randn({20, 8}), weight = torch::randn({6, 8}), bias = torch::randn({6});
  EXPECT_EQ(choice(x, weight, bias), "oneDNN: use_product_library()");
  EXPECT_EQ(choice(x.slice(0, 0, 15), weight, bias), "ATen: too few rows");
  EXPECT_EQ(choice(x[0], weight, bias), "ATen: too few rows");
  EXPECT_EQ(choice(x.to(torch::kDouble), weight.to(torch::kDouble)),
            "ATen: not plain, dense float32");
  EXPECT_EQ(choice(x.to(torch::kBFloat16), weight.to(torch::kBFloat16)),
            "ATen: not plain, dense float32");
  EXPECT_TRUE(choice(torch::empty({0, 8}), weight).starts_with("ATen: values cannot be read"));
  EXPECT_TRUE(choice(x.to(torch::kMeta), weight.to(torch::kMeta))
                  .starts_with("ATen: values cannot be read"));
  at::autocast::set_autocast_enabled(at::kCPU, true);
  EXPECT_EQ(choice(x, weight, bias), "ATen: autocast is on");
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  const PlainPaths plain_paths;
  EXPECT_EQ(choice(x, weight, bias), "ATen: enable_fast_paths(False)");
}

TEST_F(LinearProductsTest, ErrorsAreThoseOfTorch) {
  const Library library(ProductLibrary::kOneDnn);
  const auto x = torch::randn({20, 8});
  for (const auto& weight : {torch::randn({6, 9}), torch::randn({6, 8}, torch::kDouble)}) {
    const auto message = message_of<c10::Error>([&] { linear_product(x, weight, {}); });
    EXPECT_EQ(message, message_of<c10::Error>([&] { torch::linear(x, weight); }));
  }
}

TEST_F(SeededTest, TheProcessorDecides) {
  const auto x = torch::randn({20, 8}), weight = torch::randn({40, 8});
  torch::set_default_dtype(caffe2::TypeMeta::Make<double>()); // what it measures is float32
  const auto first = choice(x, weight);
  torch::set_default_dtype(caffe2::TypeMeta::Make<float>());
  const auto capability = at::get_cpu_capability();
  if (capability == "AVX2") {
    EXPECT_EQ(first, "ptbert: few rows");
  } else {
    EXPECT_TRUE(first == "oneDNN: oneDNN is faster on AMD with AVX-512" ||
                first == "ATen: nothing else is known to be faster here");
  }
  EXPECT_EQ(choice(x, weight), first);
  expect_close(linear_product(x, weight, {}), torch::linear(x, weight), 1e-5);
  const Library library(ProductLibrary::kAten);
  EXPECT_EQ(choice(x, weight), "ATen: use_product_library()");
}

TEST_F(LinearProductsTest, OtherShapesAreTorchsToJudge) {
  const Library library(ProductLibrary::kOneDnn);
  const auto x = torch::randn({20, 8}), weight = torch::randn({6, 8});
  for (const auto& bias : {torch::randn({1}), torch::randn({}), torch::randn({20, 6})}) {
    EXPECT_EQ(choice(x, weight, bias), "ATen: shapes that torch broadcasts or refuses");
    expect_equal(linear_product(x, weight, bias), torch::linear(x, weight, bias));
  }
}

TEST(ProductLibraryTest, IsRefusedWhereItCannotRun) {
  const auto message = [](ProductLibrary library) {
    return message_of<c10::ValueError>([library] { const Library use(library); });
  };
  EXPECT_EQ(message(ProductLibrary::kOneDnn),
            at::hasMKLDNN() ? "nothing was thrown"
                            : "`library` must be one that torch was built with, but is oneDNN.");
  // ATEN_CPU_CAPABILITY may hide what the processor has.
  const auto text = message(ProductLibrary::kPtbert);
  if (text != "nothing was thrown") {
    EXPECT_EQ(text, "`library` must be one for this processor, but is ptbert's own, which needs "
                    "AVX2 and FMA.");
  }
}

} // namespace
} // namespace ptbert
