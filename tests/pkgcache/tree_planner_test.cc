#include "pkgcache/planner/tree_planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "pkgcache/planner/judge.h"
#include "pkgcache/planner/kindred.h"
#include "pkgcache/planner/lookup.h"
#include "pkgcache/planner/selection.h"
#include "tests/pkgcache/plan_world.h"

namespace sock::pkgcache {
namespace {

TreeLimits limits_of(double budget_mb, double unseen = 0) {
  TreeLimits limits;
  limits.budget_mb = budget_mb;
  limits.unseen.share = unseen;
  limits.search_work = 300'000;
  return limits;
}

ZygoteTree plan(const PlanWorld& world, const TreeLimits& limits) {
  return plan_tree(world.universe, world.demand, world.dependencies, world.costs, limits);
}

double mean_ms(const PlanWorld& world, const ZygoteTree& tree) {
  const BestMatch match(tree, world.costs);
  return judge(tree, world.demand, world.costs,
               [&](const PackageSet& wanted) { return match.find(wanted); })
      .mean_ms;
}

void expect_sound(const PlanWorld& world, const ZygoteTree& tree, const TreeLimits& limits) {
  ASSERT_FALSE(tree.empty());
  EXPECT_TRUE(tree[0].packages.empty());
  std::set<PackageSet> seen = {tree[0].packages};
  double mb = 0;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    const TreeNode& node = tree[i];
    ASSERT_LT(node.parent, i);
    EXPECT_TRUE(tree[node.parent].packages.is_subset_of(node.packages));
    EXPECT_TRUE(seen.insert(node.packages).second) << "twice";
    EXPECT_EQ(node.depth, tree[node.parent].depth + 1);
    EXPECT_LE(node.depth, limits.max_depth);
    EXPECT_TRUE(world.dependencies.is_closed(node.packages));
    EXPECT_FALSE(world.universe.has_conflict(node.packages));
    mb += world.costs.parameters().node_mb + world.costs.memory_mb(node.packages) -
          world.costs.memory_mb(tree[node.parent].packages);
  }
  EXPECT_LE(mb, limits.budget_mb + 1e-9);
  EXPECT_NEAR(mb, tree_mb(tree, world.costs), 1e-6);
}

bool same(const ZygoteTree& a, const ZygoteTree& b) {
  return std::ranges::equal(a, b, [](const TreeNode& x, const TreeNode& y) {
    return x.packages == y.packages && x.parent == y.parent && x.depth == y.depth;
  });
}

TEST(TreePlanner, PlansAreSoundAndNeverWorseThanNone) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const PlanWorld world(random_functions(random, 60, 30), random_costs(random, 30),
                          {kUnsealedClone, 4, 1});
    const ZygoteTree none = {{world.universe.empty_set(), 0, 0}};
    double last = mean_ms(world, none);
    for (const double budget : {0.0, 0.5, 5.0, 30.0, 1000.0}) {
      TreeLimits limits = limits_of(budget, seed % 2 == 0 ? 0.3 : 0);
      limits.max_depth = 1 + seed % 4;
      const ZygoteTree tree = plan(world, limits);
      expect_sound(world, tree, limits);
      EXPECT_LE(mean_ms(world, tree), mean_ms(world, none) + 1e-9) << seed << " " << budget;
      // More memory serves better, but for what a heuristic may miss.
      EXPECT_LE(mean_ms(world, tree), last * 1.05 + 1e-9) << seed << " " << budget;
      last = mean_ms(world, tree);
    }
  }
}

TEST(TreePlanner, SameArgumentsSamePlan) {
  Random random(3);
  auto functions = random_functions(random, 80, 40);
  const CostTable table = random_costs(random, 40);
  const PlanWorld world(functions, table);
  const ZygoteTree first = plan(world, limits_of(60, 0.2));
  EXPECT_TRUE(same(first, plan(world, limits_of(60, 0.2))));
  // The order of the functions is not an argument. Rates add up in another order: whole numbers.
  for (Function& function : functions) function.rate = std::floor(function.rate);
  const PlanWorld ordered(functions, table);
  std::ranges::reverse(functions);
  const PlanWorld reversed(functions, table);
  EXPECT_TRUE(same(plan(ordered, limits_of(60, 0.2)), plan(reversed, limits_of(60, 0.2))));
}

TEST(TreePlanner, NothingToPlan) {
  const PlanWorld world({}, {});
  EXPECT_EQ(plan(world, limits_of(100)).size(), 1U);
  const PlanWorld bare({function_of("f", {})}, {});
  EXPECT_EQ(plan(bare, limits_of(100, 0.2)).size(), 1U);
  const PlanWorld idle({function_of("f", {"a"}, 0)}, {{"a", {{"1", {10, 1}}}}});
  EXPECT_EQ(plan(idle, limits_of(100, 0.2)).size(), 1U);
}

TEST(TreePlanner, ABudgetForOneTakesWhatAllShare) {
  const CostTable table = {
      {"numpy", {{"1", {50, 4}}}}, {"pandas", {{"1", {60, 9}}}}, {"scipy", {{"1", {70, 9}}}}};
  const PlanWorld world({function_of("a", {"numpy", "pandas"}), function_of("b", {"numpy"}),
                         function_of("c", {"numpy", "scipy"})},
                        table);
  const ZygoteTree small = plan(world, limits_of(5));
  ASSERT_EQ(small.size(), 2U);
  EXPECT_EQ(small[1].packages, world.set({"numpy"}));
  const ZygoteTree large = plan(world, limits_of(100));
  ASSERT_EQ(large.size(), 4U);
  EXPECT_EQ(large[2].parent, 1U);
  EXPECT_EQ(large[3].parent, 1U);
}

TEST(TreePlanner, VersionsAreDifferentPackages) {
  const CostTable table = {{"numpy", {{"1", {50, 4}}, {"2", {50, 4}}}}};
  const PlanWorld world({function_of("a", {"numpy==1"}, 1), function_of("b", {"numpy==2"}, 9)},
                        table);
  const ZygoteTree tree = plan(world, limits_of(5));
  ASSERT_EQ(tree.size(), 2U);
  EXPECT_EQ(tree[1].packages, world.set({"numpy==2"}));
}

TEST(TreePlanner, ADearerCloneIsNotWorthACheapImport) {
  const CostTable table = {{"blob", {{"1", {0.5, 50}}}}};
  const PlanWorld world({function_of("a", {"blob"})}, table, {kUnsealedClone, 4, 1});
  EXPECT_EQ(plan(world, limits_of(1000)).size(), 1U);
}

TEST(TreePlanner, IsReadyForCombinationsThatNobodyHas) {
  const CostTable table = {{"pandas", {{"1", {200, 9}}}}, {"flask", {{"1", {90, 2}}}}};
  const PlanWorld world({function_of("a", {"pandas"}), function_of("b", {"flask"})}, table);
  const auto holds_both = [&](double unseen) {
    return std::ranges::any_of(plan(world, limits_of(100, unseen)), [&](const TreeNode& node) {
      return node.packages == world.set({"pandas", "flask"});
    });
  };
  EXPECT_FALSE(holds_both(0));
  EXPECT_TRUE(holds_both(1));
}

TEST(TreePlanner, OnlyTheHeaviestSetsCountWhenThereAreTooMany) {
  const CostTable table = {{"light", {{"1", {5, 1}}}}, {"heavy", {{"1", {500, 9}}}}};
  const PlanWorld world({function_of("a", {"light"}, 9), function_of("b", {"heavy"}, 1)}, table);
  TreeLimits limits = limits_of(100);
  limits.most_sets = 1;
  const ZygoteTree tree = plan(world, limits);
  ASSERT_EQ(tree.size(), 2U);
  EXPECT_EQ(tree[1].packages, world.set({"heavy"}));
}

TEST(Candidates, ServeThoseThatHaveThemAndAreDistinct) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Random random(seed);
    const PlanWorld world(random_functions(random, 50, 30), random_costs(random, 30));
    const auto expected =
        with_kindred(world.universe, world.demand, world.dependencies, {.share = 1, .sets = 300});
    CandidateLimits limits;
    limits.candidates = 200;
    const auto candidates = find_candidates(world.universe, world.demand, expected,
                                            world.dependencies, world.costs, limits);
    EXPECT_EQ(candidates.size(), 200U);
    std::set<PackageSet> seen;
    for (const Candidate& candidate : candidates) {
      EXPECT_TRUE(seen.insert(candidate.packages).second);
      EXPECT_DOUBLE_EQ(candidate.ms, world.costs.saved_ms(candidate.packages));
      EXPECT_DOUBLE_EQ(candidate.mb, world.costs.memory_mb(candidate.packages));
      std::vector<std::uint32_t> serves;
      for (std::uint32_t d = 0; d < expected.size(); ++d) {
        if (candidate.packages.is_subset_of(expected[d].packages)) serves.push_back(d);
      }
      EXPECT_EQ(candidate.serves, serves);
    }
  }
}

TEST(Candidates, AreOfEveryKind) {
  const CostTable table = {{"a", {{"1", {90, 2}}}},
                           {"b", {{"1", {80, 2}}}},
                           {"c", {{"1", {70, 2}}}},
                           {"d", {{"1", {60, 2}}}},
                           {"junk", {{"1", {1, 90}}}}};
  const auto found = [&](std::vector<Function> functions, const CandidateLimits& limits) {
    for (const char* alone : {"a", "b", "c", "d", "junk"}) {
      functions.push_back(function_of(alone, {alone}));
    }
    const PlanWorld world(functions, table);
    const auto candidates = find_candidates(world.universe, world.demand, world.demand,
                                            world.dependencies, world.costs, limits);
    return std::ranges::find(candidates, world.set({"a", "b"}), &Candidate::packages) !=
           candidates.end();
  };
  CandidateLimits unions;
  unions.heavy_sets = 0;
  CandidateLimits intersections;
  intersections.heavy_packages = 0;
  CandidateLimits neither = unions;
  neither.heavy_packages = 0;
  const Function abc = function_of("abc", {"a", "b", "c"});
  const Function abd = function_of("abd", {"a", "b", "d"});
  const Function dirty = function_of("ab+", {"a", "b", "junk"});
  EXPECT_FALSE(found({abc, abd}, neither));
  EXPECT_TRUE(found({abc, abd}, intersections));
  EXPECT_TRUE(found({abc}, unions));
  EXPECT_TRUE(found({dirty}, neither)) << "without what saves little";
}

/// The least mean over every choice of up to `most` closed sets that fits.
double optimum(const PlanWorld& world, double budget_mb, std::size_t most) {
  std::vector<PackageSet> sets;
  for (std::size_t bits = 1; bits < (std::size_t{1} << world.universe.size()); ++bits) {
    PackageSet set = world.universe.empty_set();
    for (std::size_t i = 0; i < world.universe.size(); ++i) {
      if ((bits >> i & 1U) != 0) set.insert(i);
    }
    if (!world.dependencies.is_closed(set) || world.universe.has_conflict(set)) continue;
    const bool serves = std::ranges::any_of(
        world.demand, [&](const DemandedSet& call) { return set.is_subset_of(call.packages); });
    if (serves) sets.push_back(std::move(set));
  }
  double best = 1e18;
  std::vector<PackageSet> chosen;
  const auto choose = [&](auto&& self, std::size_t from) -> void {
    const ZygoteTree tree = arrange(chosen, world.universe.empty_set(), world.costs);
    if (tree_mb(tree, world.costs) <= budget_mb) best = std::min(best, mean_ms(world, tree));
    if (chosen.size() == most) return;
    for (std::size_t i = from; i < sets.size(); ++i) {
      chosen.push_back(sets[i]);
      self(self, i + 1);
      chosen.pop_back();
    }
  };
  choose(choose, 0);
  return best;
}

TEST(TreePlanner, FindsTheOptimumOfSmallInstances) {
  std::size_t exact = 0;
  constexpr std::uint64_t kInstances = 25;
  for (std::uint64_t seed = 1; seed <= kInstances; ++seed) {
    Random random(seed);
    const PlanWorld world(random_functions(random, 7, 6), random_costs(random, 6),
                          {kSealedClone, 4, 4});
    // At 4 MB each, three fit and no more.
    const double budget = 15.9;
    const double best = optimum(world, budget, 3);
    const double found = mean_ms(world, plan(world, limits_of(budget)));
    EXPECT_GE(found, best - 1e-9) << seed;
    EXPECT_LE(found, best * 1.1 + 1e-9) << seed;
    if (found <= best + 1e-9) ++exact;
  }
  EXPECT_GE(exact, kInstances * 8 / 10);
}

TEST(Selection, KeepsCountAsTreesComeAndGo) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Random random(seed);
    const PlanWorld world(random_functions(random, 40, 20), random_costs(random, 20));
    const auto candidates = find_candidates(world.universe, world.demand, world.demand,
                                            world.dependencies, world.costs);
    ASSERT_GT(candidates.size(), 10U);
    Selection selection(world.demand, candidates, world.costs);
    for (int step = 0; step < 120; ++step) {
      const std::size_t c = random.below(candidates.size());
      const double saved = selection.saved();
      const double mb = selection.mb();
      if (selection.contains(c)) {
        const double loss = selection.loss(c);
        const double cost = selection.cost_mb(c);
        selection.remove(c);
        EXPECT_NEAR(saved - loss, selection.saved(), 1e-6);
        EXPECT_NEAR(mb - cost, selection.mb(), 1e-6);
      } else {
        const double most = selection.most_gain(c);
        const double gain = selection.gain(c);
        EXPECT_GE(most, gain - 1e-9);
        const double cost = selection.cost_mb(c);
        selection.add(c);
        EXPECT_NEAR(saved + gain, selection.saved(), 1e-6);
        EXPECT_NEAR(mb + cost, selection.mb(), 1e-6);
      }
      std::vector<PackageSet> sets;
      for (const std::size_t chosen : selection.chosen()) {
        sets.push_back(candidates[chosen].packages);
      }
      const auto tree = arrange(sets, world.universe.empty_set(), world.costs, 1000);
      ASSERT_NEAR(selection.mb(), tree_mb(tree, world.costs), 1e-6) << seed << " " << step;
    }
  }
}

}  // namespace
}  // namespace sock::pkgcache
