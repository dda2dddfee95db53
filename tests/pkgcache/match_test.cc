#include "pkgcache/match.h"

#include <gtest/gtest.h>

#include <vector>

namespace sock::pkgcache {
namespace {

using Set = std::vector<Package>;

const Package kNumpy{"numpy", "1.24.2"};
const Package kOtherNumpy{"numpy", "1.26.0"};
const Package kPandas{"pandas", "1.5.3"};
const Package kPytz{"pytz", "2022.7.1"};
const Package kSix{"six", "1.16.0"};

TEST(Match, TakesTheLargestSubset) {
  const std::vector<Set> candidates = {
      {}, {kNumpy}, {kNumpy, kPytz}, {kNumpy, kPandas, kPytz, kSix}, {kSix}};
  EXPECT_EQ(best_zygote(candidates, {kNumpy, kPandas, kPytz}), 2U);
  EXPECT_EQ(best_zygote(candidates, {kNumpy, kPandas, kPytz, kSix}), 3U);
  EXPECT_EQ(best_zygote(candidates, {kPytz}), 0U);
  EXPECT_EQ(best_zygote(candidates, {}), 0U);
}

TEST(Match, NeverTakesAnotherVersion) {
  const std::vector<Set> candidates = {
      {}, {kNumpy}, {kOtherNumpy}, {kNumpy, kPytz, kSix}, {kOtherNumpy, kPytz}};
  EXPECT_EQ(best_zygote(candidates, {kOtherNumpy, kPytz, kSix}), 4U);
  EXPECT_EQ(best_zygote(candidates, {kOtherNumpy, kSix}), 2U);
  EXPECT_EQ(best_zygote(candidates, {{"numpy", "1.24"}}), 0U);
}

TEST(Match, FirstOfEquals) {
  const std::vector<Set> candidates = {{}, {kSix}, {kNumpy}};
  EXPECT_EQ(best_zygote(candidates, {kNumpy, kSix}), 1U);
}

TEST(Match, NothingFits) {
  const std::vector<Set> candidates = {{kSix}, {kNumpy}};
  EXPECT_EQ(best_zygote(candidates, {kPytz}), std::nullopt);
  EXPECT_EQ(best_zygote({}, {kPytz}), std::nullopt);
}

}  // namespace
}  // namespace sock::pkgcache
