#include "ptbert/optim/bert_adam.h"
#include "ptbert/optim/openai_adam.h"

#include "support.h"

namespace ptbert {
namespace {

struct Bert {
  using Optimizer = BertAdam;
  using Options = BertAdamOptions;
  using State = BertAdamParamState;
  static const torch::Tensor& average(const State& state) { return state.next_m(); }
};

struct OpenAI {
  using Optimizer = OpenAIAdam;
  using Options = OpenAIAdamOptions;
  using State = OpenAIAdamParamState;
  static const torch::Tensor& average(const State& state) { return state.exp_avg(); }
};

template <typename> class Adam16BitsTest : public SeededTest {};
using Optimizers = testing::Types<Bert, OpenAI>;
TYPED_TEST_SUITE(Adam16BitsTest, Optimizers);

/// Steps that are too small for the parameter's type are made in a float32 copy.
TYPED_TEST(Adam16BitsTest, SmallStepsAddUp) {
  using Optimizer = typename TypeParam::Optimizer;
  for (const auto dtype : {torch::kHalf, torch::kBFloat16}) {
    auto narrow = torch::ones({3, 2}, dtype).requires_grad_();
    auto wide = torch::ones({3, 2}).requires_grad_();
    const typename TypeParam::Options options(1e-4);
    Optimizer first({narrow}, options), second({wide}, options);
    for (int step = 0; step < 30; ++step) {
      const auto gradient = torch::randn({3, 2}).to(dtype);
      narrow.mutable_grad() = gradient.clone();
      wide.mutable_grad() = gradient.to(torch::kFloat);
      first.step();
      second.step();
    }
    const auto& state = static_cast<const typename TypeParam::State&>(
        *first.state().at(narrow.unsafeGetTensorImpl()));
    EXPECT_TRUE(torch::equal(state.master(), wide));
    EXPECT_EQ(TypeParam::average(state).scalar_type(), torch::kFloat);
    EXPECT_TRUE(torch::equal(narrow, wide.to(dtype)));
  }
}

} // namespace
} // namespace ptbert
