#include "ptbert/optim/bert_adam.h"

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

  void step(Tensor gradient, double lr, const BertAdamOptions& options) {
    gradient = gradient.to(torch::kDouble);
    if (options.max_grad_norm() > 0) {
      const auto norm = gradient.norm().item<double>();
      gradient = gradient * std::min(1.0, options.max_grad_norm() / (norm + 1e-6));
    }
    m = options.b1() * m + (1 - options.b1()) * gradient;
    v = options.b2() * v + (1 - options.b2()) * gradient * gradient;
    parameter =
        parameter - lr * (m / (v.sqrt() + options.e()) + options.weight_decay() * parameter);
  }
};

Tensor new_parameter(torch::IntArrayRef shape) { return torch::randn(shape).requires_grad_(); }

BertAdamParamState& state_of(BertAdam& optimizer, const Tensor& parameter) {
  return static_cast<BertAdamParamState&>(*optimizer.state().at(parameter.unsafeGetTensorImpl()));
}

class BertAdamTest : public SeededTest {};

TEST_F(BertAdamTest, FollowsTheFormula) {
  auto parameter = new_parameter({5, 3});
  Reference reference(parameter);
  const auto options = BertAdamOptions(0.1).schedule(make_schedule("warmup_linear", 0.5, 8));
  BertAdam optimizer({parameter}, options);
  for (int64_t step = 0; step < 8; ++step) {
    const auto gradient = torch::randn({5, 3}) * (step % 2 == 0 ? 3 : 0.01); // clipped and not
    parameter.mutable_grad() = gradient.clone();
    optimizer.step();
    reference.step(gradient, 0.1 * options.schedule()(step), options);
    expect_close(parameter, reference.parameter, 1e-5);
  }
  const auto& state = state_of(optimizer, parameter);
  EXPECT_EQ(state.step(), 8);
  expect_close(state.next_m(), reference.m, 1e-6);
  expect_close(state.next_v(), reference.v, 1e-6);
}

TEST_F(BertAdamTest, WorksWithoutContiguousMemory) {
  auto parameter = torch::randn({3, 5}).t().requires_grad_();
  Reference reference(parameter);
  const BertAdamOptions options(0.1);
  BertAdam optimizer({parameter}, options);
  for (int step = 0; step < 3; ++step) {
    const auto gradient = torch::randn({5, 3});
    parameter.mutable_grad() = gradient.clone();
    optimizer.step();
    reference.step(gradient, 0.1, options);
  }
  expect_close(parameter, reference.parameter, 1e-5);
}

TEST_F(BertAdamTest, ClipsEachGradientInPlace) {
  auto large = new_parameter({4});
  auto small = new_parameter({4});
  BertAdam optimizer({large, small}, BertAdamOptions(0.1).max_grad_norm(0.5));
  large.mutable_grad() = torch::full({4}, 10.0);
  small.mutable_grad() = torch::full({4}, 0.01);
  optimizer.step();
  EXPECT_NEAR(large.grad().norm().item<double>(), 0.5, 1e-5);
  expect_close(small.grad(), torch::full({4}, 0.01), 1e-9);
}

TEST_F(BertAdamTest, IsTheSameOnAnyNumberOfThreads) {
  const auto threads = torch::get_num_threads();
  const auto start = torch::randn({123, 457}), gradient = torch::randn({123, 457});
  std::vector<Tensor> results;
  for (const int count : {1, 2, 3}) {
    torch::set_num_threads(count);
    auto parameter = start.clone().requires_grad_();
    Reference reference(parameter);
    BertAdam optimizer({parameter}, BertAdamOptions(0.1));
    for (const double scale : {10.0, 1e-4}) { // clipped and not
      parameter.mutable_grad() = gradient * scale;
      optimizer.step();
      reference.step(gradient * scale, 0.1, BertAdamOptions(0.1));
    }
    expect_close(parameter, reference.parameter, 1e-5);
    results.push_back(parameter.detach());
  }
  torch::set_num_threads(threads);
  expect_equal(results[0], results[1]);
  expect_equal(results[0], results[2]);
}

TEST_F(BertAdamTest, GradientThatIsNoNumberSpreads) {
  for (const auto dtype : {torch::kFloat, torch::kDouble}) { // both ways of computing
    auto parameter = torch::randn({4}, dtype).requires_grad_();
    BertAdam optimizer({parameter}, BertAdamOptions(0.1));
    parameter.mutable_grad() = torch::tensor({1.0, 2.0, 3.0, std::nan("")}, dtype);
    optimizer.step();
    EXPECT_TRUE(parameter.isnan().all().item<bool>());
  }
}

TEST_F(BertAdamTest, GroupsHaveOptionsOfTheirOwn) {
  auto decayed = new_parameter({4});
  auto plain = new_parameter({4});
  Reference decayed_reference(decayed);
  Reference plain_reference(plain);
  const BertAdamOptions defaults(0.1);
  const auto own = BertAdamOptions(0.01).weight_decay(0).max_grad_norm(-1).b1(0.5).b2(0.9).e(1e-3);
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<Tensor>{decayed});
  groups.emplace_back(std::vector<Tensor>{plain}, std::make_unique<BertAdamOptions>(own));
  BertAdam optimizer(groups, defaults);
  auto added = new_parameter({4});
  Reference added_reference(added);
  optimizer.add_param_group({{added}, std::make_unique<BertAdamOptions>(own)});
  for (int step = 0; step < 3; ++step) {
    const auto gradient = torch::randn({4}) * 5;
    decayed.mutable_grad() = gradient.clone();
    plain.mutable_grad() = gradient.clone();
    added.mutable_grad() = gradient.clone();
    optimizer.step();
    decayed_reference.step(gradient, 0.1, defaults);
    plain_reference.step(gradient, 0.01, own);
    added_reference.step(gradient, 0.01, own);
  }
  expect_close(decayed, decayed_reference.parameter, 1e-5);
  expect_close(plain, plain_reference.parameter, 1e-5);
  expect_close(added, added_reference.parameter, 1e-5);
}

TEST_F(BertAdamTest, FirstStepOfAWarmupMovesNothing) {
  auto parameter = new_parameter({4});
  const auto before = parameter.detach().clone();
  BertAdam optimizer({parameter},
                     BertAdamOptions(0.1).schedule(make_schedule("warmup_linear", 0.1, 10)));
  parameter.mutable_grad() = torch::ones({4});
  optimizer.step();
  expect_equal(parameter.detach(), before);
}

TEST_F(BertAdamTest, SkipsParametersWithoutGradient) {
  auto used = new_parameter({4});
  auto unused = new_parameter({4});
  const auto before = unused.detach().clone();
  BertAdam optimizer({used, unused}, BertAdamOptions(0.1));
  used.mutable_grad() = torch::ones({4});
  optimizer.step();
  expect_equal(unused.detach(), before);
  EXPECT_EQ(optimizer.state().size(), 1U);
}

TEST_F(BertAdamTest, ClosureRunsWithGradients) {
  auto parameter = new_parameter({4});
  BertAdam optimizer({parameter}, BertAdamOptions(0.1));
  const auto loss = optimizer.step([&] {
    optimizer.zero_grad();
    auto value = parameter.square().sum();
    value.backward();
    return value;
  });
  EXPECT_GT(loss.item<double>(), 0);
  EXPECT_EQ(state_of(optimizer, parameter).step(), 1);
}

TEST_F(BertAdamTest, LearnsInEveryDtype) {
  for (const auto dtype : {torch::kFloat, torch::kDouble, torch::kBFloat16, torch::kHalf}) {
    auto parameter = torch::ones({4}, dtype).requires_grad_();
    BertAdam optimizer({parameter}, BertAdamOptions(0.1).weight_decay(0));
    parameter.mutable_grad() = torch::ones({4}, dtype);
    optimizer.step();
    EXPECT_EQ(parameter.scalar_type(), dtype);
    // Clipped to norm 1, so that m / sqrt(v) = 0.1 g / sqrt(0.001 g^2) = sqrt(10).
    expect_close(parameter, torch::full({4}, 1 - 0.1 * std::sqrt(10.0)), 5e-3);
  }
}

TEST_F(BertAdamTest, NamesTheOptionOutOfRange) {
  const auto message = [](const BertAdamOptions& options) {
    return message_of<c10::ValueError>([&options] { BertAdam({new_parameter({1})}, options); });
  };
  EXPECT_EQ(message(BertAdamOptions(-1)), "`lr` must be at least 0, but is -1.");
  EXPECT_EQ(message(BertAdamOptions(1).b1(1)), "`b1` must be in [0, 1), but is 1.");
  EXPECT_EQ(message(BertAdamOptions(1).b2(-0.5)), "`b2` must be in [0, 1), but is -0.5.");
  EXPECT_EQ(message(BertAdamOptions(1).e(-1)), "`e` must be at least 0, but is -1.");
  EXPECT_EQ(message(BertAdamOptions(1).weight_decay(-0.1)),
            "`weight_decay` must be at least 0, but is -0.1.");
  EXPECT_EQ(message(BertAdamOptions(1).max_grad_norm(-2)),
            "`max_grad_norm` must be at least 0, or -1 for no clipping, but is -2.");
  EXPECT_EQ(message(BertAdamOptions(1).max_grad_norm(-1)), "nothing was thrown");
  EXPECT_EQ(message(BertAdamOptions(1).max_grad_norm(0)), "nothing was thrown");
  EXPECT_EQ(message_of<c10::ValueError>([] {
              std::vector<OptimizerParamGroup> groups;
              groups.emplace_back(std::vector<Tensor>{new_parameter({1})},
                                  std::make_unique<BertAdamOptions>(-2));
              BertAdam(groups, BertAdamOptions(1));
            }),
            "`lr` must be at least 0, but is -2.");
}

TEST_F(BertAdamTest, RejectsSparseGradients) {
  auto parameter = new_parameter({2, 2});
  parameter.mutable_grad() = torch::ones({2, 2}).to_sparse();
  BertAdam optimizer({parameter}, BertAdamOptions(0.1));
  EXPECT_EQ(message_of<c10::Error>([&optimizer] { optimizer.step(); }),
            "`grad` must be dense, but is sparse.");
}

} // namespace
} // namespace ptbert
