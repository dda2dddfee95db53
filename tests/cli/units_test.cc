#include "cli/units.h"

#include <gtest/gtest.h>

#include <limits>

namespace sock::cli {
namespace {

TEST(Units, Bytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KB");
  EXPECT_EQ(human_bytes(256LL << 20), "256 MB");
  EXPECT_EQ(human_bytes(3LL << 30), "3.0 GB");
}

TEST(Units, Micros) {
  EXPECT_EQ(human_micros(0), "0.00 ms");
  EXPECT_EQ(human_micros(842), "0.84 ms");
  EXPECT_EQ(human_micros(1'204'000), "1.20 s");
}

TEST(Units, Seconds) {
  EXPECT_EQ(human_seconds(-1), "-");
  EXPECT_EQ(human_seconds(42), "42s");
  EXPECT_EQ(human_seconds(190), "3m 10s");
  EXPECT_EQ(human_seconds(3600), "1h");
  EXPECT_EQ(human_seconds(86400 * 12 + 3 * 3600), "12d 3h");
}

TEST(Units, TimeSurvivesNonsense) {
  EXPECT_EQ(human_time(0), "-");
  EXPECT_EQ(human_time(-5), "-");
  EXPECT_EQ(human_time(1'769'860'800), "2026-01-31 12:00:00Z");
  EXPECT_EQ(human_time(std::numeric_limits<std::int64_t>::max()), "-");
}

}  // namespace
}  // namespace sock::cli
