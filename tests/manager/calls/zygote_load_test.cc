#include "manager/calls/zygote_load.h"

#include <gtest/gtest.h>

namespace sock::manager {
namespace {

class ZygoteLoadTest : public testing::Test {
 protected:
  /// Whether one more is due at any time while so many wait for so long.
  bool due(std::size_t waiting, Millis how_long) {
    bool due = false;
    for (const auto end = now_ + how_long; now_ < end; now_ += Millis(10)) {
      due = load_.observe(waiting, now_) || due;
    }
    return due;
  }

  ZygoteLoad load_;
  Clock::time_point now_ = Clock::time_point(std::chrono::seconds(1000));
};

TEST_F(ZygoteLoadTest, AQueueThatLastsWantsOneMore) {
  EXPECT_FALSE(due(3, Millis(200)));
  EXPECT_TRUE(due(2, Millis(100)));
  load_.grown(now_);
  EXPECT_FALSE(due(3, Millis(200))) << "too soon after the last";
  EXPECT_TRUE(due(3, Millis(100)));
}

TEST_F(ZygoteLoadTest, ShortQueuesAndBurstsDoNot) {
  EXPECT_FALSE(due(1, Millis(1000)));
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(due(8, Millis(200)));
    EXPECT_FALSE(due(0, Millis(20)));
  }
}

TEST_F(ZygoteLoadTest, AQueueMayShrinkForAMomentButNotEnd) {
  EXPECT_FALSE(due(3, Millis(200)));
  EXPECT_FALSE(due(1, Millis(20)));
  EXPECT_TRUE(due(3, Millis(100)));
}

TEST_F(ZygoteLoadTest, OneLessForEachQuietWhile) {
  load_.grown(now_);
  now_ += std::chrono::seconds(59);
  EXPECT_FALSE(load_.take_quiet(now_));
  now_ += std::chrono::seconds(1);
  EXPECT_TRUE(load_.take_quiet(now_));
  EXPECT_FALSE(load_.take_quiet(now_));
  now_ += std::chrono::seconds(59);
  (void)load_.observe(1, now_);
  now_ += std::chrono::seconds(2);
  EXPECT_FALSE(load_.take_quiet(now_)) << "somebody has waited";
}

}  // namespace
}  // namespace sock::manager
