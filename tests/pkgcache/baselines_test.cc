#include <gtest/gtest.h>

#include "pkgcache/baselines/compare.h"
#include "pkgcache/baselines/forklift.h"
#include "pkgcache/baselines/sock.h"
#include "tests/pkgcache/plan_world.h"

namespace sock::pkgcache {
namespace {

const CostTable kTable = {{"numpy", {{"1", {50, 4}}}},
                          {"pandas", {{"1", {60, 9}}}},
                          {"scipy", {{"1", {70, 9}}}},
                          {"six", {{"1", {1, 1}}}}};

TEST(ForkLift, SplitsByCallsTimesMilliseconds) {
  // pandas brings numpy: 2 calls × 110; numpy alone 3 × 50; scipy with numpy 1 × 120; six 9 × 1.
  const PlanWorld world(
      {function_of("a", {"numpy", "pandas"}), function_of("b", {"numpy"}),
       function_of("c", {"numpy", "pandas", "scipy"}), function_of("d", {"six"}, 9)},
      kTable);
  const ZygoteTree tree =
      forklift_tree(world.universe, world.demand, world.dependencies, world.costs, {1000, 100, 30});
  ASSERT_GE(tree.size(), 4U);
  EXPECT_EQ(tree[1].packages, world.set({"numpy", "pandas"}));
  EXPECT_EQ(tree[1].parent, 0U);
  // Within that node scipy is worth 1 × 70; left in the root, numpy 1 × 50 and six 9.
  EXPECT_EQ(tree[2].packages, world.set({"numpy", "pandas", "scipy"}));
  EXPECT_EQ(tree[2].parent, 1U);
  EXPECT_EQ(tree[3].packages, world.set({"numpy"}));
  EXPECT_EQ(tree[3].parent, 0U);
  EXPECT_EQ(tree[4].packages, world.set({"six"}));
  EXPECT_EQ(tree.size(), 5U);
}

TEST(ForkLift, StopsAtTheFirstThatDoesNotFit) {
  const PlanWorld world({function_of("a", {"numpy", "pandas"}), function_of("d", {"six"})}, kTable);
  // 14 MB for the first, which six would not need.
  EXPECT_EQ(
      forklift_tree(world.universe, world.demand, world.dependencies, world.costs, {13.9, 100, 30})
          .size(),
      1U);
  EXPECT_EQ(
      forklift_tree(world.universe, world.demand, world.dependencies, world.costs, {14, 100, 30})
          .size(),
      2U);
  EXPECT_EQ(
      forklift_tree(world.universe, world.demand, world.dependencies, world.costs, {100, 2, 30})
          .size(),
      2U);
}

TEST(ForkLift, ServesByTheFirstThatFits) {
  const PlanWorld world({function_of("a", {"numpy", "pandas", "six"})}, kTable);
  const ZygoteTree tree = {{world.universe.empty_set(), 0, 0},
                           {world.set({"six"}), 0, 1},
                           {world.set({"numpy", "pandas"}), 0, 1},
                           {world.set({"pandas", "six"}), 1, 2}};
  const FirstMatch match(tree);
  EXPECT_EQ(match.find(world.set({"numpy", "pandas", "six"})), 3U);
  EXPECT_EQ(match.find(world.set({"numpy", "pandas"})), 2U);
  EXPECT_EQ(match.find(world.set({"numpy"})), 0U);
}

TEST(Sock, InsertsTheWholeSetUnderTheLargestSubset) {
  const PlanWorld world({function_of("a", {"numpy", "pandas", "scipy", "six"})}, kTable);
  SockCache cache(world.universe.empty_set(), world.costs, 1000);
  const auto first = cache.call(world.set({"numpy"}));
  EXPECT_DOUBLE_EQ(first.service_ms, 50);
  EXPECT_DOUBLE_EQ(first.creation_ms, 50);
  EXPECT_EQ(first.held, 0U);
  EXPECT_DOUBLE_EQ(cache.call(world.set({"numpy"})).service_ms, 0);
  cache.call(world.set({"six", "scipy"}));
  // By count: six and scipy, although pandas takes longer.
  cache.call(world.set({"pandas"}));
  const auto all = cache.call(world.set({"pandas", "six", "scipy"}));
  EXPECT_DOUBLE_EQ(all.service_ms, 60);
  EXPECT_EQ(all.held, 2U);
  const ZygoteTree tree = cache.tree();
  ASSERT_EQ(tree.size(), 5U);
  EXPECT_EQ(tree[4].packages, world.set({"pandas", "six", "scipy"}));
  EXPECT_EQ(tree[4].parent, 2U);
  EXPECT_DOUBLE_EQ(cache.mb(), tree_mb(tree, world.costs));
}

TEST(Sock, EvictsTheLeafWithFewestHitsForItsSize) {
  const PlanWorld world({function_of("a", {"numpy", "pandas", "scipy", "six"})}, kTable);
  SockCache cache(world.universe.empty_set(), world.costs, 5 + 10 + 2);
  for (int i = 0; i < 5; ++i) cache.call(world.set({"numpy"}));   // 5 hits, 5 MB
  for (int i = 0; i < 3; ++i) cache.call(world.set({"pandas"}));  // 3 hits, 10 MB
  cache.call(world.set({"six"}));                                 // 1 hit, 2 MB; full
  EXPECT_EQ(cache.tree().size(), 4U);
  cache.call(world.set({"six", "numpy"}));  // a child of numpy or six, 1 hit
  const ZygoteTree tree = cache.tree();
  for (const TreeNode& node : tree) EXPECT_NE(node.packages, world.set({"pandas"}));
  EXPECT_LE(cache.mb(), 17);
  // What fits in no case is not kept.
  SockCache small(world.universe.empty_set(), world.costs, 3);
  small.call(world.set({"pandas"}));
  EXPECT_EQ(small.tree().size(), 1U);
  EXPECT_DOUBLE_EQ(small.mb(), 0);
}

TEST(Sock, KeepsItsBooksOnRandomCalls) {
  Random random(5);
  const PlanWorld world(random_functions(random, 50, 30), random_costs(random, 30));
  SockCache cache(world.universe.empty_set(), world.costs, 40);
  for (int i = 0; i < 2000; ++i) {
    cache.call(world.demand[random.below(world.demand.size())].packages);
    ASSERT_LE(cache.mb(), 40 + 1e-6);
    ASSERT_NEAR(cache.mb(), tree_mb(cache.tree(), world.costs), 1e-6);
  }
  EXPECT_GT(cache.tree().size(), 3U);
}

TEST(Compare, JudgesEachAlgorithm) {
  Random random(6);
  const auto functions = random_functions(random, 100, 40);
  const PlanWorld world(functions, random_costs(random, 40));
  Comparison comparison;
  comparison.limits.budget_mb = 60;
  std::vector<double> means;
  for (const char* name : {"none", "forklift", "sock", "ours"}) {
    const auto algorithm = algorithm_of(name);
    ASSERT_TRUE(algorithm);
    EXPECT_EQ(to_string(*algorithm), name);
    const Compared result =
        compare(*algorithm, world.universe, world.demand, world.demand, world.costs, comparison);
    EXPECT_LE(result.judgement.mb, 60 + 1e-6) << name;
    EXPECT_EQ(result.use.size(), result.tree.size());
    EXPECT_GE(result.judgement.p99_ms, result.judgement.mean_ms) << name;
    double share = 0;
    for (const NodeUse& use : result.use) share += use.share;
    EXPECT_NEAR(share, 1, 1e-9) << name;
    means.push_back(result.judgement.mean_ms);
  }
  EXPECT_NEAR(
      means[0],
      compare(Algorithm::kOurs, world.universe, world.demand, world.demand, world.costs, comparison)
          .judgement.uncached_ms,
      1e-9);
  EXPECT_LT(means[1], means[0]);
  EXPECT_LT(means[2], means[0]);
  EXPECT_LT(means[3], means[1]);
  EXPECT_LT(means[3], means[2]);
  EXPECT_FALSE(algorithm_of("magic"));
}

TEST(ServiceTimes, PercentilesGoByRate) {
  ServiceTimes times;
  EXPECT_EQ(times.mean(), 0);
  EXPECT_EQ(times.percentile(0.99), 0);
  times.add(1, 98);
  times.add(5, 1);
  times.add(100, 1);
  times.add(1e9, 0);
  EXPECT_DOUBLE_EQ(times.mean(), 2.03);
  EXPECT_EQ(times.percentile(0.5), 1);
  EXPECT_EQ(times.percentile(0.985), 5);
  EXPECT_EQ(times.percentile(1), 100);
}

}  // namespace
}  // namespace sock::pkgcache
