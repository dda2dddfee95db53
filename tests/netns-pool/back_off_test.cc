#include "netns-pool/back_off.h"

#include <gtest/gtest.h>

#include <thread>

#include "netns-pool/recent_median.h"

namespace sock::netns {
namespace {

std::int64_t pause_ms(const BackOff& back_off, Clock::time_point since) {
  return micros_between(since, back_off.until()) / 1000;
}

TEST(BackOff, DoublesWithEveryFailureAndStartsAnewAfterSuccess) {
  BackOff back_off;
  EXPECT_TRUE(back_off.over());
  for (const std::int64_t expected : {10, 20, 40}) {
    const auto begin = Clock::now();
    back_off.failed();
    EXPECT_FALSE(back_off.over());
    EXPECT_GE(pause_ms(back_off, begin), expected);
    EXPECT_LT(pause_ms(back_off, begin), expected + 10);
    // The rest of the same batch changes nothing.
    const auto until = back_off.until();
    back_off.failed();
    EXPECT_EQ(back_off.until(), until);
    std::this_thread::sleep_until(until);
    EXPECT_TRUE(back_off.over());
  }
  back_off.succeeded();
  const auto begin = Clock::now();
  back_off.failed();
  EXPECT_LT(pause_ms(back_off, begin), 20);
}

TEST(RecentMedian, IsOfTheLatestValues) {
  RecentMedian median;
  EXPECT_FALSE(median.median());
  median.add(7);
  EXPECT_EQ(median.median(), 7);
  for (int i = 0; i < 256; ++i) median.add(1000);
  EXPECT_EQ(median.median(), 1000);
  for (std::uint64_t i = 0; i < 256; ++i) median.add(i);
  EXPECT_EQ(median.median(), 128);
}

}  // namespace
}  // namespace sock::netns
