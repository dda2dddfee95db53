#include "cli/stats_view.h"

#include <gtest/gtest.h>

#include "cli/fields.h"

namespace sock::cli {
namespace {

TEST(StatsView, CountsByStatusAndStartAndNamesTheLatest) {
  manager::Stats stats{};
  for (int n = 0; n < 99; ++n) stats.count("fast", std::nullopt, manager::Start::kParked, 900);
  for (int n = 0; n < 2; ++n) stats.count("slow", Code::kTimeout, manager::Start::kClone, 60'000);
  const auto fields = stats_fields(stats);
  EXPECT_EQ(integer_of(fields, "calls"), 101);
  EXPECT_EQ(integer_of(fields, "calls_ok_parked"), 99);
  EXPECT_EQ(integer_of(fields, "calls_timeout_clone"), 2);
  EXPECT_EQ(fields.if_contains("calls_ok_clone"), nullptr);
  EXPECT_EQ(integer_of(fields, "p50_below_us"), 1024);
  EXPECT_EQ(integer_of(fields, "p99_below_us"), 65'536);
  EXPECT_EQ(array_of(fields, "latest_calls").size(), 5U);
  EXPECT_EQ(text_of(array_of(fields, "latest_calls").front()), "slow timeout 60000 us");
}

TEST(StatsView, ShowsAnEmptySegment) {
  const manager::Stats stats{};
  const auto fields = stats_fields(stats);
  EXPECT_EQ(integer_of(fields, "calls"), 0);
  EXPECT_EQ(integer_of(fields, "p99_below_us"), 0);
}

}  // namespace
}  // namespace sock::cli
