#include "pkgcache/planner/kindred.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/pkgcache/plan_world.h"

namespace sock::pkgcache {
namespace {

std::vector<DemandedSet> expected(const PlanWorld& world, const Unseen& unseen) {
  return with_kindred(world.universe, world.demand, world.dependencies, unseen);
}

double total_rate(const std::vector<DemandedSet>& demand) {
  double sum = 0;
  for (const DemandedSet& set : demand) sum += set.rate;
  return sum;
}

double rate_of(const std::vector<DemandedSet>& demand, const PackageSet& set) {
  const auto found = std::ranges::find(demand, set, &DemandedSet::packages);
  return found == demand.end() ? 0 : found->rate;
}

/// Nothing is dropped and nothing added: what is imagined is what is known.
Unseen unchanged(double share, double discount) {
  Unseen unseen;
  unseen.share = share;
  unseen.discount = discount;
  unseen.dropped = 0;
  unseen.added = 0;
  return unseen;
}

TEST(DemandedSets, CountTheFunctionsOfEach) {
  const PlanWorld world({function_of("f", {"a"}, 2), function_of("g", {"a"}, 3),
                         function_of("h", {"b"}, 4), function_of("i", {"b"}, -1)},
                        {});
  ASSERT_EQ(world.demand.size(), 2U);
  for (const DemandedSet& set : world.demand) {
    EXPECT_EQ(set.functions, 2U);
    EXPECT_EQ(set.rate, set.packages == world.set({"a"}) ? 5 : 4);
  }
}

TEST(Dependencies, RootsAreWhatIsAskedFor) {
  const PlanWorld world({function_of("f", {"pandas", "numpy", "six"}), function_of("g", {"numpy"}),
                         function_of("h", {"six"}), function_of("i", {"flask", "jinja2"})},
                        {});
  const auto roots = [&](const std::vector<std::string>& packages) {
    return world.dependencies.roots(world.set(packages));
  };
  using Sets = std::vector<PackageSet>;
  EXPECT_EQ(roots({"pandas", "numpy", "six"}), (Sets{world.set({"pandas", "numpy", "six"})}));
  // Each of the two always comes with the other: one thing.
  EXPECT_EQ(roots({"flask", "jinja2"}), (Sets{world.set({"flask", "jinja2"})}));
  const Sets two = roots({"numpy", "six"});
  EXPECT_EQ(two.size(), 2U);
  EXPECT_TRUE(std::ranges::count(two, world.set({"numpy"})) == 1);
  EXPECT_TRUE(roots({}).empty());
}

TEST(Kindred, TakesTheirCallsFromSetsThatFewFunctionsHave) {
  const PlanWorld world({function_of("f", {"a"}, 3), function_of("g", {"a"}, 3),
                         function_of("h", {"b"}, 6), function_of("i", {"c"}, 0)},
                        {});
  Unseen unseen = unchanged(0.5, 0.8);
  unseen.dropped = 1;  // all that is imagined has no package
  const auto demand = expected(world, unseen);
  EXPECT_NEAR(total_rate(demand), 12, 1e-9);
  EXPECT_NEAR(rate_of(demand, world.set({"a"})), 6 * (1 - 0.5 * 0.8 / 2), 1e-9);
  EXPECT_NEAR(rate_of(demand, world.set({"b"})), 6 * (1 - 0.5 * 0.8), 1e-9);
  EXPECT_NEAR(rate_of(demand, world.set({})), 6 * 0.2 + 6 * 0.4, 1e-9);
}

TEST(Kindred, ResemblesRareAndFrequentFunctionsNearlyAlike) {
  const PlanWorld world({function_of("f", {"a"}, 10'000), function_of("g", {"b"}, 1)}, {});
  const auto demand = expected(world, unchanged(1, 1));
  EXPECT_NEAR(rate_of(demand, world.set({"a"})), 10'001 * 10.0 / 11, 1e-6);
  EXPECT_NEAR(rate_of(demand, world.set({"b"})), 10'001 * 1.0 / 11, 1e-6);
}

TEST(Kindred, CombinesWhatNoFunctionHasTogether) {
  const PlanWorld world({function_of("f", {"pandas", "numpy"}), function_of("g", {"numpy"}),
                         function_of("h", {"flask"}), function_of("i", {"flask==2"})},
                        {});
  const auto demand = expected(world, {.share = 1});
  EXPECT_GT(rate_of(demand, world.set({"pandas", "numpy", "flask"})), 0);
  EXPECT_GT(rate_of(demand, world.set({"numpy", "flask==2"})), 0);
  EXPECT_EQ(rate_of(demand, world.set({"pandas"})), 0);
}

TEST(Kindred, IsSoundDeterministicAndBounded) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Random random(seed);
    const PlanWorld world(random_functions(random, 60, 40), random_costs(random, 40));
    const Unseen unseen{.share = 0.7, .sets = 500};
    const auto demand = expected(world, unseen);
    EXPECT_LE(demand.size(), world.demand.size() + 500);
    EXPECT_GT(demand.size(), world.demand.size());
    EXPECT_NEAR(total_rate(demand), total_rate(world.demand), 1e-6);
    for (const DemandedSet& set : demand) {
      EXPECT_TRUE(world.dependencies.is_closed(set.packages));
      EXPECT_FALSE(world.universe.has_conflict(set.packages));
      EXPECT_GE(set.rate, 0);
    }
    const auto again = expected(world, unseen);
    ASSERT_EQ(again.size(), demand.size());
    for (std::size_t i = 0; i < demand.size(); ++i) {
      EXPECT_EQ(again[i].packages, demand[i].packages);
      EXPECT_EQ(again[i].rate, demand[i].rate);
    }
  }
}

TEST(Kindred, NothingToImagineFrom) {
  const PlanWorld world({function_of("f", {"a"}, 3), function_of("g", {})}, {});
  for (const Unseen& unseen : {Unseen{.share = 0}, Unseen{.sets = 0}, Unseen{.members = 0}}) {
    const auto demand = expected(world, unseen);
    ASSERT_EQ(demand.size(), world.demand.size());
    EXPECT_EQ(rate_of(demand, world.set({"a"})), 3);
  }
}

}  // namespace
}  // namespace sock::pkgcache
