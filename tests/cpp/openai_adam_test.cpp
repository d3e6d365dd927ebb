#include "ptbert/optim/openai_adam.h"

#include <cmath>

#include "support.h"

namespace ptbert {
namespace {

using torch::Tensor;
using torch::optim::OptimizerParamGroup;

/// The documented update with plain tensor operations.
struct Reference {
  Tensor parameter, m, v;

  explicit Reference(const Tensor& start)
      : parameter(start.detach().clone().to(torch::kDouble)), m(torch::zeros_like(parameter)),
        v(torch::zeros_like(parameter)) {}

  void step(Tensor gradient, double lr, int t, const OpenAIAdamOptions& options) {
    gradient = gradient.to(torch::kDouble);
    if (options.max_grad_norm() > 0) {
      const auto norm = gradient.norm().item<double>();
      gradient = gradient * std::min(1.0, options.max_grad_norm() / (norm + 1e-6));
    }
    m = options.b1() * m + (1 - options.b1()) * gradient;
    v = options.b2() * v + (1 - options.b2()) * gradient * gradient;
    const auto correction =
        std::sqrt(1 - std::pow(options.b2(), t)) / (1 - std::pow(options.b1(), t));
    parameter = parameter - lr * correction * m / (v.sqrt() + options.e());
    if (parameter.dim() > 1 || options.vector_l2())
      parameter = parameter - lr * options.weight_decay() * parameter;
  }
};

Tensor new_parameter(torch::IntArrayRef shape) { return torch::randn(shape).requires_grad_(); }

OpenAIAdamParamState& state_of(OpenAIAdam& optimizer, const Tensor& parameter) {
  return static_cast<OpenAIAdamParamState&>(*optimizer.state().at(parameter.unsafeGetTensorImpl()));
}

class OpenAIAdamTest : public SeededTest {};

TEST_F(OpenAIAdamTest, FollowsTheFormula) {
  for (const auto dtype : {torch::kFloat, torch::kDouble}) { // both ways of computing
    auto parameter = torch::randn({5, 3}, dtype).requires_grad_();
    Reference reference(parameter);
    const auto options = OpenAIAdamOptions(0.1)
                             .schedule(make_schedule("warmup_linear", 0.5, 8))
                             .weight_decay(0.1)
                             .max_grad_norm(1);
    OpenAIAdam optimizer({parameter}, options);
    for (int step = 1; step <= 8; ++step) {
      const auto gradient =
          torch::randn({5, 3}, dtype) * (step % 2 == 0 ? 3 : 0.01); // clipped and not
      parameter.mutable_grad() = gradient.clone();
      optimizer.step();
      reference.step(gradient, 0.1 * options.schedule()(step), step, options);
      expect_close(parameter, reference.parameter, dtype == torch::kFloat ? 1e-5 : 1e-12);
    }
    const auto& state = state_of(optimizer, parameter);
    EXPECT_EQ(state.step(), 8);
    expect_close(state.exp_avg(), reference.m, 1e-6);
    expect_close(state.exp_avg_sq(), reference.v, 1e-6);
  }
}

TEST_F(OpenAIAdamTest, DecaysVectorsOnlyIfAsked) {
  for (const auto dtype : {torch::kFloat, torch::kDouble}) {
    for (const bool vector_l2 : {false, true}) {
      const auto options = OpenAIAdamOptions(0.1).weight_decay(0.5).vector_l2(vector_l2);
      auto scalar = torch::ones({}, dtype).requires_grad_();
      auto vector = torch::ones({4}, dtype).requires_grad_();
      auto matrix = torch::ones({4, 1}, dtype).requires_grad_();
      for (auto* parameter : {&scalar, &vector, &matrix})
        parameter->mutable_grad() = torch::zeros_like(*parameter);
      OpenAIAdam({scalar, vector, matrix}, options).step();
      const auto expected = vector_l2 ? 0.95 : 1.0;
      expect_close(scalar, torch::full({}, expected), 1e-6);
      expect_close(vector, torch::full({4}, expected), 1e-6);
      expect_close(matrix, torch::full({4, 1}, 0.95), 1e-6);
    }
  }
}

TEST_F(OpenAIAdamTest, FirstStepOfAWarmupHasARate) {
  auto parameter = torch::ones({4}).requires_grad_();
  OpenAIAdam optimizer({parameter},
                       OpenAIAdamOptions(0.1).schedule(make_schedule("warmup_linear", 0.2, 10)));
  parameter.mutable_grad() = torch::full({4}, 5.0);
  optimizer.step();
  expect_close(parameter, torch::full({4}, 1 - 0.1 / 2), 1e-6);
}

TEST_F(OpenAIAdamTest, WorksWithoutContiguousMemory) {
  auto parameter = torch::randn({3, 5}).t().requires_grad_();
  Reference reference(parameter);
  const auto options = OpenAIAdamOptions(0.1).weight_decay(0.1);
  OpenAIAdam optimizer({parameter}, options);
  for (int step = 1; step <= 3; ++step) {
    const auto gradient = torch::randn({5, 3});
    parameter.mutable_grad() = gradient.clone();
    optimizer.step();
    reference.step(gradient, 0.1, step, options);
  }
  expect_close(parameter, reference.parameter, 1e-5);
}

TEST_F(OpenAIAdamTest, ClipsEachGradientInPlace) {
  auto large = new_parameter({4});
  auto small = new_parameter({4});
  OpenAIAdam optimizer({large, small}, OpenAIAdamOptions(0.1).max_grad_norm(0.5));
  large.mutable_grad() = torch::full({4}, 10.0);
  small.mutable_grad() = torch::full({4}, 0.01);
  optimizer.step();
  EXPECT_NEAR(large.grad().norm().item<double>(), 0.5, 1e-5);
  expect_close(small.grad(), torch::full({4}, 0.01), 1e-9);
}

TEST_F(OpenAIAdamTest, IsTheSameOnAnyNumberOfThreads) {
  const auto threads = torch::get_num_threads();
  const auto start = torch::randn({123, 457}), gradient = torch::randn({123, 457});
  const auto options = OpenAIAdamOptions(0.1).weight_decay(0.1).max_grad_norm(1);
  std::vector<Tensor> results;
  for (const int count : {1, 2, 3}) {
    torch::set_num_threads(count);
    auto parameter = start.clone().requires_grad_();
    Reference reference(parameter);
    OpenAIAdam optimizer({parameter}, options);
    int step = 0;
    for (const double scale : {10.0, 1e-4}) { // clipped and not
      parameter.mutable_grad() = gradient * scale;
      optimizer.step();
      reference.step(gradient * scale, 0.1, ++step, options);
    }
    expect_close(parameter, reference.parameter, 1e-5);
    results.push_back(parameter.detach());
  }
  torch::set_num_threads(threads);
  expect_equal(results[0], results[1]);
  expect_equal(results[0], results[2]);
}

TEST_F(OpenAIAdamTest, GradientThatIsNoNumberSpreads) {
  for (const auto dtype : {torch::kFloat, torch::kDouble}) {
    auto parameter = torch::randn({4}, dtype).requires_grad_();
    OpenAIAdam optimizer({parameter}, OpenAIAdamOptions(0.1).max_grad_norm(1));
    parameter.mutable_grad() = torch::tensor({1.0, 2.0, 3.0, std::nan("")}, dtype);
    optimizer.step();
    EXPECT_TRUE(parameter.isnan().all().item<bool>());
  }
}

TEST_F(OpenAIAdamTest, GroupsHaveOptionsOfTheirOwn) {
  auto plain = new_parameter({4});
  auto decayed = new_parameter({4});
  Reference plain_reference(plain);
  Reference decayed_reference(decayed);
  const OpenAIAdamOptions defaults(0.1);
  const auto own =
      OpenAIAdamOptions(0.01).weight_decay(0.5).vector_l2(true).max_grad_norm(1).b1(0.5).b2(0.9).e(
          1e-3);
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<Tensor>{plain});
  groups.emplace_back(std::vector<Tensor>{decayed}, std::make_unique<OpenAIAdamOptions>(own));
  OpenAIAdam optimizer(groups, defaults);
  auto added = new_parameter({4});
  Reference added_reference(added);
  optimizer.add_param_group({{added}, std::make_unique<OpenAIAdamOptions>(own)});
  for (int step = 1; step <= 3; ++step) {
    const auto gradient = torch::randn({4}) * 5;
    for (auto* parameter : {&plain, &decayed, &added})
      parameter->mutable_grad() = gradient.clone();
    optimizer.step();
    plain_reference.step(gradient, 0.1, step, defaults);
    decayed_reference.step(gradient, 0.01, step, own);
    added_reference.step(gradient, 0.01, step, own);
  }
  expect_close(plain, plain_reference.parameter, 1e-5);
  expect_close(decayed, decayed_reference.parameter, 1e-5);
  expect_close(added, added_reference.parameter, 1e-5);
}

TEST_F(OpenAIAdamTest, SkipsParametersWithoutGradient) {
  auto used = new_parameter({4, 1});
  auto unused = new_parameter({4, 1});
  const auto before = unused.detach().clone();
  OpenAIAdam optimizer({used, unused}, OpenAIAdamOptions(0.1).weight_decay(0.5));
  used.mutable_grad() = torch::ones({4, 1});
  optimizer.step();
  expect_equal(unused.detach(), before);
  EXPECT_EQ(optimizer.state().size(), 1U);
}

TEST_F(OpenAIAdamTest, ClosureRunsWithGradients) {
  auto parameter = new_parameter({4});
  OpenAIAdam optimizer({parameter}, OpenAIAdamOptions(0.1));
  const auto loss = optimizer.step([&] {
    optimizer.zero_grad();
    auto value = parameter.square().sum();
    value.backward();
    return value;
  });
  EXPECT_GT(loss.item<double>(), 0);
  EXPECT_EQ(state_of(optimizer, parameter).step(), 1);
}

TEST_F(OpenAIAdamTest, LearnsInEveryDtype) {
  for (const auto dtype : {torch::kFloat, torch::kDouble, torch::kBFloat16, torch::kHalf}) {
    auto parameter = torch::ones({4}, dtype).requires_grad_();
    OpenAIAdam optimizer({parameter}, OpenAIAdamOptions(0.1));
    parameter.mutable_grad() = torch::full({4}, 3, dtype);
    optimizer.step();
    EXPECT_EQ(parameter.scalar_type(), dtype);
    // The bias correction makes the first step as long as the rate.
    expect_close(parameter, torch::full({4}, 0.9), 5e-3);
  }
}

TEST_F(OpenAIAdamTest, NamesTheOptionOutOfRange) {
  const auto message = [](const OpenAIAdamOptions& options) {
    return message_of<c10::ValueError>([&options] { OpenAIAdam({new_parameter({1})}, options); });
  };
  EXPECT_EQ(message(OpenAIAdamOptions(-1)), "`lr` must be at least 0, but is -1.");
  EXPECT_EQ(message(OpenAIAdamOptions(1).b1(1)), "`b1` must be in [0, 1), but is 1.");
  EXPECT_EQ(message(OpenAIAdamOptions(1).b2(-0.5)), "`b2` must be in [0, 1), but is -0.5.");
  EXPECT_EQ(message(OpenAIAdamOptions(1).e(-1)), "`e` must be at least 0, but is -1.");
  EXPECT_EQ(message(OpenAIAdamOptions(1).weight_decay(-0.1)),
            "`weight_decay` must be at least 0, but is -0.1.");
  EXPECT_EQ(message(OpenAIAdamOptions(1).max_grad_norm(-2)),
            "`max_grad_norm` must be at least 0, or -1 for no clipping, but is -2.");
  EXPECT_EQ(message(OpenAIAdamOptions(1).max_grad_norm(0)), "nothing was thrown");
  EXPECT_EQ(message_of<c10::ValueError>([] {
              std::vector<OptimizerParamGroup> groups;
              groups.emplace_back(std::vector<Tensor>{new_parameter({1})},
                                  std::make_unique<OpenAIAdamOptions>(-2));
              OpenAIAdam(groups, OpenAIAdamOptions(1));
            }),
            "`lr` must be at least 0, but is -2.");
}

TEST_F(OpenAIAdamTest, StepsCountFromOne) {
  auto p = torch::ones({1}), g = torch::ones({1}), m = torch::zeros({1}), v = torch::zeros({1});
  EXPECT_EQ(message_of<c10::ValueError>(
                [&] { openai_adam_update(OpenAIAdamOptions(1), 1, 0, p, g, m, v); }),
            "`step` must be at least 1, but is 0.");
}

TEST_F(OpenAIAdamTest, RejectsSparseGradients) {
  auto parameter = new_parameter({2, 2});
  parameter.mutable_grad() = torch::ones({2, 2}).to_sparse();
  OpenAIAdam optimizer({parameter}, OpenAIAdamOptions(0.1));
  EXPECT_EQ(message_of<c10::Error>([&optimizer] { optimizer.step(); }),
            "`grad` must be dense, but is sparse.");
}

} // namespace
} // namespace ptbert
