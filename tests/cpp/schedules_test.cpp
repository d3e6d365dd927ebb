#include "ptbert/optim/schedules.h"

#include <c10/util/Exception.h>

#include "support.h"

namespace ptbert {
namespace {

TEST(SchedulesTest, RiseFromZeroToOneDuringWarmup) {
  for (const auto schedule : {warmup_constant, warmup_linear}) {
    EXPECT_DOUBLE_EQ(schedule(0, 0.2), 0);
    EXPECT_DOUBLE_EQ(schedule(0.05, 0.2), 0.25);
    EXPECT_DOUBLE_EQ(schedule(0.2, 0.2), 1);
  }
  for (const auto schedule : {warmup_cosine, warmup_cosine_with_hard_restarts}) {
    EXPECT_DOUBLE_EQ(schedule(0, 0.2, 1), 0);
    EXPECT_DOUBLE_EQ(schedule(0.05, 0.2, 1), 0.25);
    EXPECT_DOUBLE_EQ(schedule(0.2, 0.2, 1), 1);
  }
}

TEST(SchedulesTest, StartAtOneWithoutWarmup) {
  EXPECT_DOUBLE_EQ(warmup_constant(0, 0), 1);
  EXPECT_DOUBLE_EQ(warmup_linear(0, 0), 1);
  EXPECT_DOUBLE_EQ(warmup_cosine(0, 0), 1);
  EXPECT_DOUBLE_EQ(warmup_cosine_with_hard_restarts(0, 0), 1);
  EXPECT_DOUBLE_EQ(warmup_cosine_with_warmup_restarts(0, 0), 1);
}

TEST(SchedulesTest, ReachTheirEnds) {
  EXPECT_DOUBLE_EQ(warmup_constant(2, 0.1), 1);
  EXPECT_DOUBLE_EQ(warmup_linear(1, 0.1), 0);
  EXPECT_DOUBLE_EQ(warmup_linear(2, 0.1), 0);
  EXPECT_NEAR(warmup_cosine(1, 0.1), 0, 1e-12);
  EXPECT_NEAR(warmup_cosine(1, 0.1, 1), 1, 1e-12);
}

TEST(SchedulesTest, FallHalfwayInTheMiddle) {
  EXPECT_DOUBLE_EQ(warmup_linear(0.6, 0.2), 0.5);
  EXPECT_NEAR(warmup_cosine(0.6, 0.2), 0.5, 1e-12);
  EXPECT_NEAR(warmup_cosine_with_hard_restarts(0.6, 0.2), 0.5, 1e-12);
  EXPECT_NEAR(warmup_cosine_with_warmup_restarts(0.6, 0.2), 0.5, 1e-12);
}

TEST(SchedulesTest, RestartOncePerCycle) {
  EXPECT_NEAR(warmup_cosine_with_hard_restarts(0.6 - 1e-9, 0.2, 2), 0, 1e-12);
  EXPECT_NEAR(warmup_cosine_with_hard_restarts(0.6 + 1e-9, 0.2, 2), 1, 1e-12);
  EXPECT_NEAR(warmup_cosine_with_warmup_restarts(0.5 - 1e-9, 0.1, 2), 0, 1e-12);
  EXPECT_DOUBLE_EQ(warmup_cosine_with_warmup_restarts(0.5, 0.1, 2), 0);
  EXPECT_DOUBLE_EQ(warmup_cosine_with_warmup_restarts(0.55, 0.1, 2), 0.5);
}

TEST(SchedulesTest, CountSteps) {
  EXPECT_DOUBLE_EQ(make_schedule("none", -1, 10)(7), 1);
  EXPECT_DOUBLE_EQ(make_schedule("warmup_constant", 0.5, 10)(1), 0.2);
  EXPECT_DOUBLE_EQ(make_schedule("warmup_linear", 0.5, 10)(1), 0.2);
  EXPECT_DOUBLE_EQ(make_schedule("warmup_linear", -1, 10)(0), 1);
  EXPECT_DOUBLE_EQ(make_schedule("warmup_linear", -1, 10)(10), 0);
  EXPECT_NEAR(make_schedule("warmup_cosine", 0, 10)(5), 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(make_schedule("warmup_linear", 0.5, -1)(3), 1);
}

TEST(SchedulesTest, NameWhatIsWrong) {
  EXPECT_EQ(message_of<c10::ValueError>([] { make_schedule("linear", 0.1, 10); }),
            "`schedule` must be \"none\", \"warmup_constant\", \"warmup_cosine\" or "
            "\"warmup_linear\", but is \"linear\".");
  EXPECT_EQ(message_of<c10::ValueError>([] { make_schedule("none", 1, 10); }),
            "`warmup` must be in [0, 1) or -1, but is 1.");
  EXPECT_EQ(message_of<c10::ValueError>([] { make_schedule("none", -0.5, 10); }),
            "`warmup` must be in [0, 1) or -1, but is -0.5.");
}

} // namespace
} // namespace ptbert
