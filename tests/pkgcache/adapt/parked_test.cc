#include "pkgcache/adapt/parked.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "pkgcache/planner/random.h"

namespace sock::pkgcache {
namespace {

constexpr std::uint64_t kMb = 1U << 20U;

TEST(Parked, ErlangsLoss) {
  EXPECT_DOUBLE_EQ(erlang_loss(0, 3), 1);
  EXPECT_DOUBLE_EQ(erlang_loss(1, 1), 0.5);
  EXPECT_DOUBLE_EQ(erlang_loss(2, 1), 0.2);
  EXPECT_NEAR(erlang_loss(10, 5), 0.018385, 1e-6);
  EXPECT_DOUBLE_EQ(erlang_loss(3, 0), 0);
}

TEST(Parked, OneForEachThatIsCalledMoreForTheBusy) {
  const std::vector<ParkedDemand> zygotes = {
      {0, 0.3, kMb}, {0.001, 0.3, kMb}, {300, 0.3, kMb}, {3000, 0.3, kMb}};
  const auto parked = plan_parked(zygotes, {});
  EXPECT_EQ(parked[0], 0U);
  EXPECT_EQ(parked[1], 1U);
  EXPECT_GT(parked[2], 3U);
  EXPECT_GT(parked[3], 30U);
  EXPECT_LE(parked[3], 64U);
}

TEST(Parked, TheBudgetHoldsAndIsSpentWhereItSparesMost) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    std::vector<ParkedDemand> zygotes;
    for (int i = 0; i < 30; ++i) {
      zygotes.push_back({random.unit() * 500, random.unit(), kMb + random.below(4 * kMb)});
    }
    ParkedLimits limits;
    limits.budget_bytes = random.below(200) * kMb;
    limits.most = 1 + static_cast<std::uint32_t>(random.below(10));
    const auto parked = plan_parked(zygotes, limits);
    std::uint64_t used = 0;
    for (std::size_t i = 0; i < parked.size(); ++i) {
      EXPECT_LE(parked[i], limits.most);
      used += parked[i] * zygotes[i].clone_bytes;
    }
    EXPECT_LE(used, limits.budget_bytes);
  }
  ParkedLimits one;
  one.budget_bytes = kMb;
  const std::vector<ParkedDemand> pair = {{10, 0.3, kMb}, {20, 0.3, kMb}};
  EXPECT_EQ(plan_parked(pair, one), (std::vector<std::uint32_t>{0, 1}));
}

TEST(Parked, NonsenseIsNoDemand) {
  const double infinite = std::numeric_limits<double>::infinity();
  const std::vector<ParkedDemand> zygotes = {
      {infinite, 1, kMb}, {-1, 1, kMb}, {std::nan(""), 1, kMb}, {1, infinite, 0}};
  const auto parked = plan_parked(zygotes, {});
  EXPECT_EQ(parked[0] + parked[1] + parked[2], 0U);
  EXPECT_EQ(parked[3], 1U);
}

}  // namespace
}  // namespace sock::pkgcache
