#include "base/stock_target.h"

#include <gtest/gtest.h>

namespace sock {
namespace {

using std::chrono::seconds;

class StockTargetTest : public testing::Test {
 protected:
  /// Calls at a steady rate, all of them hits, for `how_long`.
  void run(StockTarget& target, double rate, seconds how_long) {
    const auto end = now_ + how_long;
    const auto step =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / rate));
    for (; now_ < end; now_ += step) target.taken(now_, true);
  }

  /// Looks once a second for `how_long` without a call; what is wanted in the end.
  std::uint32_t idle(StockTarget& target, seconds how_long) {
    for (const auto end = now_ + how_long; now_ < end; now_ += seconds(1)) {
      (void)target.wanted(now_);
    }
    return target.wanted(now_);
  }

  Clock::time_point now_ = Clock::time_point(seconds(1000));
};

TEST_F(StockTargetTest, HoldsItsMinimumWithoutCalls) {
  StockTarget target(3, 64);
  EXPECT_EQ(target.wanted(now_), 3U);
  EXPECT_EQ(idle(target, seconds(100)), 3U);
  target.set_min(5);
  EXPECT_EQ(target.wanted(now_), 5U);
}

TEST_F(StockTargetTest, TheFirstCallIsReasonToKeepOneReady) {
  StockTarget target(0, 64);
  EXPECT_EQ(target.wanted(now_), 0U);
  target.taken(now_, false);
  EXPECT_EQ(target.wanted(now_), 1U);
  EXPECT_EQ(idle(target, seconds(9)), 1U);
  EXPECT_EQ(idle(target, seconds(60)), 0U);
}

TEST_F(StockTargetTest, AMissDoubles) {
  StockTarget target(1, 64);
  for (const std::uint32_t wanted : {2U, 4U, 8U, 16U, 32U, 64U, 64U}) {
    target.taken(now_, false);
    EXPECT_EQ(target.wanted(now_), wanted);
    now_ += seconds(1);
  }
}

TEST_F(StockTargetTest, ABurstIsMetInFullAtOnceButNotBeyond) {
  StockTarget target(1, 64);
  target.taken(now_, true);
  for (int i = 0; i < 29; ++i) {
    target.taken(now_, false);
    now_ += std::chrono::microseconds(500);
  }
  EXPECT_EQ(target.wanted(now_), 30U);
  StockTarget small(1, 8);
  for (int i = 0; i < 30; ++i) small.taken(now_, false);
  EXPECT_EQ(small.wanted(now_), 8U);
}

TEST_F(StockTargetTest, FewAreEnoughForTenCallsASecond) {
  StockTarget target(0, 64);
  run(target, 10, seconds(20));
  EXPECT_NEAR(target.rate(now_), 10, 1);
  EXPECT_GE(target.wanted(now_), 1U);
  EXPECT_LE(target.wanted(now_), 2U);
}

TEST_F(StockTargetTest, AThousandCallsASecondNeedWhatIsTakenMeanwhileAndABurst) {
  StockTarget target(1, 64);
  for (int i = 0; i < 100; ++i) target.made(Micros(5'000));
  run(target, 1000, seconds(20));
  EXPECT_NEAR(target.rate(now_), 1000, 20);
  // Five are taken while one is made.
  const std::uint32_t quick = target.wanted(now_);
  EXPECT_GE(quick, 10U);
  EXPECT_LE(quick, 25U);
  for (int i = 0; i < 100; ++i) target.made(Micros(20'000));
  EXPECT_GE(target.wanted(now_), quick + 20);
  for (int i = 0; i < 100; ++i) target.made(Micros(1'000'000));
  EXPECT_EQ(target.wanted(now_), 64U);
}

TEST_F(StockTargetTest, ShrinksInStepsAndSlowly) {
  StockTarget target(1, 64);
  for (int i = 0; i < 63; ++i) target.taken(now_, false);
  ASSERT_EQ(target.wanted(now_), 64U);
  EXPECT_EQ(idle(target, seconds(9)), 64U);
  std::uint32_t last = 64;
  for (int i = 0; i < 120; ++i) {
    const std::uint32_t wanted = idle(target, seconds(1));
    EXPECT_LE(wanted, last);
    EXPECT_LE(last - wanted, last / 4 + 1);
    if (i == 20) {
      EXPECT_GT(wanted, 16U);
    }
    last = wanted;
  }
  EXPECT_EQ(last, 1U);
}

TEST_F(StockTargetTest, ShrinksAsFarWhenNobodyLooked) {
  StockTarget target(2, 64);
  for (int i = 0; i < 60; ++i) target.taken(now_, false);
  now_ += seconds(3600);
  EXPECT_EQ(target.wanted(now_), 2U);
}

TEST_F(StockTargetTest, AMissEndsShrinking) {
  StockTarget target(0, 64);
  for (int i = 0; i < 32; ++i) target.taken(now_, false);
  const std::uint32_t before = idle(target, seconds(30));
  ASSERT_LT(before, 32U);
  target.taken(now_, false);
  EXPECT_GE(target.wanted(now_), 2 * before);
}

TEST_F(StockTargetTest, TheMinimumWinsOverTheMaximum) {
  StockTarget target(9, 4);
  EXPECT_EQ(target.wanted(now_), 9U);
  for (int i = 0; i < 10; ++i) target.taken(now_, false);
  EXPECT_EQ(target.wanted(now_), 9U);
}

}  // namespace
}  // namespace sock
