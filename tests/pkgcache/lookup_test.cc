#include "pkgcache/planner/lookup.h"

#include <gtest/gtest.h>

#include "tests/pkgcache/plan_world.h"

namespace sock::pkgcache {
namespace {

std::size_t naive(const ZygoteTree& tree, const CostModel& costs, const PackageSet& wanted) {
  std::size_t best = 0;
  double least = costs.service_ms(wanted, tree[0].packages);
  for (std::size_t i = 1; i < tree.size(); ++i) {
    if (!tree[i].packages.is_subset_of(wanted)) continue;
    const double ms = costs.service_ms(wanted, tree[i].packages);
    if (ms < least - 1e-9) {
      least = ms;
      best = i;
    }
  }
  return best;
}

TEST(BestMatch, IsThatOfANaiveScan) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    const auto functions = random_functions(random, 80, 90);
    const PlanWorld world(functions, random_costs(random, 90), {kUnsealedClone, 4, 1});
    std::vector<PackageSet> sets;
    for (std::size_t i = 0; i < world.demand.size(); i += 2) {
      PackageSet set = world.demand[i].packages;
      set.for_each([&](std::size_t p) {
        if (random.below(3) == 0) set.erase(p);
      });
      if (!set.empty() && std::ranges::find(sets, set) == sets.end()) sets.push_back(set);
    }
    const ZygoteTree tree = arrange(sets, world.universe.empty_set(), world.costs);
    const BestMatch match(tree, world.costs);
    for (const DemandedSet& call : world.demand) {
      const std::size_t found = match.find(call.packages);
      EXPECT_NEAR(world.costs.service_ms(call.packages, tree[found].packages),
                  world.costs.service_ms(call.packages,
                                         tree[naive(tree, world.costs, call.packages)].packages),
                  1e-9);
      EXPECT_TRUE(tree[found].packages.is_subset_of(call.packages));
    }
    EXPECT_EQ(match.find(world.universe.empty_set()), 0U);
  }
}

TEST(BestMatch, WeighsTimeNotCount) {
  const CostTable table = {{"a", {{"1", {1, 1}}}}, {"b", {{"1", {1, 1}}}}, {"c", {{"1", {9, 1}}}}};
  const PlanWorld world({function_of("f", {"a", "b", "c"})}, table);
  const ZygoteTree tree = {
      {world.universe.empty_set(), 0, 0}, {world.set({"a", "b"}), 0, 1}, {world.set({"c"}), 0, 1}};
  EXPECT_EQ(BestMatch(tree, world.costs).find(world.set({"a", "b", "c"})), 2U);
  EXPECT_EQ(BestMatch(tree, world.costs).find(world.set({"a", "b"})), 1U);
  EXPECT_EQ(BestMatch(tree, world.costs).find(world.set({"a"})), 0U);
}

TEST(Arrange, TakesTheHeaviestParentThatIsNotTooDeep) {
  const CostTable table = {{"a", {{"1", {1, 1}}}},
                           {"b", {{"1", {1, 2}}}},
                           {"c", {{"1", {1, 3}}}},
                           {"d", {{"1", {1, 4}}}}};
  const PlanWorld world({function_of("f", {"a", "b", "c", "d"})}, table);
  const std::vector<PackageSet> sets = {world.set({"a", "b", "c", "d"}), world.set({"a", "b"}),
                                        world.set({"c"}), world.set({"a"}),
                                        world.set({"a", "b", "c"})};
  const auto parent_of = [&](const ZygoteTree& tree, const PackageSet& set) {
    const auto node = std::ranges::find(tree, set, &TreeNode::packages);
    return tree[node->parent].packages;
  };
  const ZygoteTree deep = arrange(sets, world.universe.empty_set(), world.costs, 4);
  EXPECT_EQ(parent_of(deep, sets[0]), sets[4]);
  // a+b and c weigh the same: the first of them, by size.
  EXPECT_EQ(parent_of(deep, sets[4]), sets[2]);
  EXPECT_EQ(parent_of(deep, sets[1]), sets[3]);
  EXPECT_NEAR(tree_mb(deep, world.costs), 5 + 1 + 2 + 3 + 3 + 4, 1e-9);
  const ZygoteTree flat = arrange(sets, world.universe.empty_set(), world.costs, 1);
  for (std::size_t i = 1; i < flat.size(); ++i) EXPECT_EQ(flat[i].parent, 0U);
}

TEST(Dependencies, AreTheNamesThatAlwaysAccompany) {
  const PlanWorld world(
      {function_of("f", {"pandas", "numpy==1", "six"}), function_of("g", {"pandas", "numpy==2"}),
       function_of("h", {"numpy==1"}), function_of("i", {"six"})},
      {});
  EXPECT_FALSE(world.dependencies.is_closed(world.set({"pandas"})));
  EXPECT_TRUE(world.dependencies.is_closed(world.set({"numpy==1"})));
  EXPECT_TRUE(world.dependencies.is_closed(world.set({"pandas", "numpy==1"})));
  EXPECT_EQ(world.dependencies.trimmed(world.set({"pandas", "six"})), world.set({"six"}));
  const PackageSet all = world.set({"pandas", "numpy==1", "six"});
  const auto pandas = world.universe.find({"pandas", "1"});
  EXPECT_EQ(world.dependencies.closure(*pandas, all), world.set({"pandas", "numpy==1"}));
}

TEST(CostModel, EstimatesWhatTheTableLacks) {
  const CostTable table = {{"a", {{"1", {10, 1}}, {"2", {20, 2}}, {"3", {90, 9}}}},
                           {"b", {{"1", {30, 3}}}}};
  const PlanWorld world({function_of("f", {"a==2", "b"}), function_of("g", {"a==7", "zzz"})},
                        table);
  EXPECT_DOUBLE_EQ(world.costs.import_ms(world.set({"a==2", "b"})), 50);
  EXPECT_DOUBLE_EQ(world.costs.import_ms(world.set({"a==7"})), 20);
  EXPECT_DOUBLE_EQ(world.costs.import_ms(world.set({"zzz"})), 30);
  EXPECT_EQ(world.costs.unknown(), 1U);
}

TEST(CostModel, CloneCostsAreThoseMeasured) {
  const PlanWorld world({function_of("f", {"pandas"})}, {});
  const PackageSet bare = world.set({});
  const PackageSet pandas = world.set({"pandas"});
  const CostTable table = {{"pandas", {{"1", {200, 32}}}}};
  const CostModel sealed(world.universe, table, {kSealedClone});
  EXPECT_NEAR(sealed.clone_ms(bare), 0.167, 0.002);
  EXPECT_NEAR(sealed.clone_ms(pandas), 0.344, 0.02);
  const CostModel unsealed(world.universe, table, {kUnsealedClone});
  EXPECT_NEAR(unsealed.clone_ms(bare), 0.354 + 0.047 * 4 + 0.00134 * 49, 1e-6);
}

TEST(CostModel, CountsMappingsWhereTheyAreMeasured) {
  const PlanWorld world({function_of("f", {"a", "b==7", "c"})}, {});
  const CostTable table = {{"a", {{"1", {10, 2, 1000}}}},
                           {"b", {{"1", {10, 2, 100}}, {"2", {10, 2, 300}}, {"3", {10, 2}}}},
                           {"c", {{"1", {10, 2}}}}};
  const CostModel costs(world.universe, table, {{0, 0, 1}, 4, 1});
  EXPECT_DOUBLE_EQ(costs.mappings(world.set({"a"})), 1000);
  EXPECT_DOUBLE_EQ(costs.mappings(world.set({"b==7"})), 300);
  EXPECT_DOUBLE_EQ(costs.mappings(world.set({"c"})), 2 * 14);
  EXPECT_DOUBLE_EQ(costs.clone_ms(world.set({"a", "c"})), (49 + 1000 + 28) / 1e3);
  EXPECT_DOUBLE_EQ(costs.saved_ms(world.set({"a"})), 10 - 1);
}

}  // namespace
}  // namespace sock::pkgcache
